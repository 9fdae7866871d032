/** Rows 29 to 32 of the RFC's table: compressed messages as RFC 7692 defines them, sent and received, on both sides. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { constants, deflateRawSync } from "node:zlib";
import type { CloseInfo } from "../../../src/index.ts";
import { continuation, frame, ping, text } from "../frame.ts";
import { type DeflatePeer, packed } from "./deflate-peer.ts";
import { PAYLOADS, part } from "./payloads.ts";
import { withClient, withServer } from "./roles.ts";

const LIMIT = { timeout: 60_000 };

const hex = (octets: string): Buffer => Buffer.from(octets.replaceAll(" ", ""), "hex");

/** Runs the same with an echo server and with an echo client that have both agreed to these parameters. */
function onBothSides(
  what: string,
  talk: (peer: DeflatePeer) => Promise<void>,
  judge: (info: CloseInfo) => void = ({ code }) => assert.equal(code, 1000),
  params = "",
): void {
  const extension = `permessage-deflate${params}`;
  it(`${what}, as server`, LIMIT, async () => {
    const options = { compression: { serverContextTakeover: true, clientContextTakeover: true, threshold: 1 } };
    judge(
      await withServer(`${extension}${params.includes("client_max") ? "" : "; client_max_window_bits"}`, options, talk),
    );
  });
  it(`${what}, as client`, LIMIT, async () => {
    judge(await withClient(() => extension, { compression: { threshold: 1 } }, talk));
  });
}

/** Expects a Close with this code, and the end of the connection. */
function refuses(what: string, say: (peer: DeflatePeer) => void, code: number): void {
  onBothSides(
    `${what} is answered with ${code}`,
    async (peer) => {
      say(peer);
      assert.equal(await peer.closeCode(), code);
    },
    (info) => {
      assert.deepEqual([info.code, info.by, info.wasClean], [code, "local", false]);
      assert.match(String((info.cause as Error).name), code === 1009 ? /^LimitError$/ : /^ProtocolError$/);
    },
  );
}

const HELLO = hex("f2 48 cd c9 c9 07 00");

describe("row 29, RFC 7692 6.1: RSV1", () => {
  const [first, second] = [HELLO.subarray(0, 3), HELLO.subarray(3)];
  for (const opcode of [8, 9, 10]) {
    const payload = opcode === 8 ? Buffer.of(3, 232) : "";
    refuses(`on control frame ${opcode}`, (peer) => peer.write(frame(opcode, payload, { rsv: 4 })), 1002);
  }
  refuses(
    "on a continuation of what is compressed",
    (peer) => peer.write(text(first, { rsv: 4, fin: false }), continuation(second, { rsv: 4 })),
    1002,
  );
  refuses(
    "on a continuation of what is not",
    (peer) => peer.write(text("He", { fin: false }), continuation("llo", { rsv: 4 })),
    1002,
  );
  for (const rsv of [1, 2, 3, 5, 6, 7]) {
    refuses(`with others, as ${rsv}`, (peer) => peer.write(text(HELLO, { rsv })), 1002);
  }
  onBothSides("on the first of many frames, with a Ping between, makes a message", async (peer) => {
    peer.write(text(first, { rsv: 4, fin: false }), ping("between"), continuation(second));
    assert.equal((await peer.hear()).payload.toString(), "Hello");
    assert.equal((await peer.control(10)).toString(), "between");
    await peer.close();
  });
  onBothSides("may be there or not, message by message", async (peer) => {
    for (let round = 0; round < 3; round += 1) {
      peer.write(text("plain"));
      assert.equal((await peer.hear()).payload.toString(), "plain");
      peer.say(1, Buffer.from("compressed"));
      assert.equal((await peer.hear()).payload.toString(), "compressed");
      peer.write(frame(2, "pl", { fin: false }), continuation("ain"));
      assert.equal((await peer.hear()).payload.toString(), "plain");
    }
    await peer.close();
  });
});

describe("row 30, RFC 7692 7.1.1 and 7.1.2: what is sent", () => {
  const [, , , json] = PAYLOADS;
  assert.ok(json);
  for (const bits of [8, 9, 10, 11, 12, 13, 14, 15]) {
    const params = `; server_max_window_bits=${bits}; client_max_window_bits=${bits}`;
    onBothSides(
      `refers back by no more than 2^${bits} octets, and nearly as far`,
      async (peer) => {
        for (const size of [1, 100, 5_000, 66_000, 100_000]) {
          const message = part(json, size, size % 7);
          peer.say(1, message);
          const heard = await peer.hear();
          assert.ok(heard.payload.equals(message));
        }
        assert.ok(peer.farthest > 2 ** bits / 4, `the farthest reference is ${peer.farthest}`);
        await peer.close();
      },
      undefined,
      params,
    );
  }
  onBothSides(
    "refers to no earlier message where context is not taken over",
    async (peer) => {
      const message = part(json, 3_000, 0);
      const sizes: number[] = [];
      for (let round = 0; round < 3; round += 1) {
        peer.say(1, message);
        const heard = await peer.hear();
        assert.ok(heard.payload.equals(message));
        assert.ok(heard.compressed);
        sizes.push(heard.packed.length);
      }
      assert.equal(new Set(sizes).size, 1);
      await peer.close();
    },
    undefined,
    "; server_no_context_takeover; client_no_context_takeover",
  );
});

const ONE_OCTET_AT_A_TIME = 1;
const flushed = (data: string | Uint8Array, options = {}): Buffer =>
  deflateRawSync(data, { finishFlush: constants.Z_SYNC_FLUSH, ...options }).subarray(0, -4);
const LONG = part(PAYLOADS[0]!, 50_000, 3);
const TWO_LAST = Buffer.concat([deflateRawSync("Hel"), deflateRawSync("lo"), Buffer.of(0)]);

/** Compressed data without its last four bytes, and its content. */
const BLOCKS: Readonly<Record<string, readonly [octets: Uint8Array, means: string | Uint8Array]>> = {
  "a fixed block (7.2.3.1)": [HELLO, "Hello"],
  "a stored block (7.2.3.3)": [hex("00 05 00 fa ff 48 65 6c 6c 6f 00"), "Hello"],
  "a block marked as the last (7.2.3.4)": [hex("f3 48 cd c9 c9 07 00 00"), "Hello"],
  "a block marked as the last, without the octet behind it": [hex("f3 48 cd c9 c9 07 00"), "Hello"],
  "two blocks (7.2.3.5)": [hex("f2 48 05 00 00 00 ff ff ca c9 c9 07 00"), "Hello"],
  "two blocks marked as the last": [TWO_LAST, "Hello"],
  "an empty message (7.2.3.6)": [hex("00"), ""],
  "an empty message in a fixed block": [hex("02 00"), ""],
  "a dynamic block": [flushed(LONG, { level: 9 }), LONG],
  "a dynamic block marked as the last": [Buffer.concat([deflateRawSync(LONG, { level: 9 }), Buffer.of(0)]), LONG],
  "stored blocks of 50,000 octets": [flushed(LONG, { level: 0 }), LONG],
  "4,097 octets in a block marked as the last": [
    Buffer.concat([deflateRawSync(LONG.subarray(0, 4_097)), Buffer.of(0)]),
    LONG.subarray(0, 4_097),
  ],
  "empty blocks between others": [Buffer.concat([hex("00 00 00 ff ff 00 00 00 ff ff"), HELLO]), "Hello"],
  "single octets, each in a block": [
    Buffer.concat(Array.from("Hello", (octet) => Buffer.concat([flushed(octet), hex("00 00 ff ff")]))).subarray(0, -4),
    "Hello",
  ],
};

describe("row 31, RFC 7692 7.2.3: a message that is", () => {
  for (const [what, [octets, means]] of Object.entries(BLOCKS)) {
    for (const [cut, size] of [["in one frame", Infinity] as const, ["in fragments", ONE_OCTET_AT_A_TIME] as const]) {
      if (size === ONE_OCTET_AT_A_TIME && octets.length > 1_000) continue;
      onBothSides(`${what} is understood ${cut}`, async (peer) => {
        for (let round = 0; round < 2; round += 1) {
          peer.sayPacked(2, octets, size);
          assert.ok((await peer.hear()).payload.equals(Buffer.from(means)));
        }
        await peer.close();
      });
    }
  }
  onBothSides("empty is sent as one octet, 0, or uncompressed", async (peer) => {
    peer.write(text(""));
    const { packed: octets, compressed } = await peer.hear();
    assert.equal(octets.toString("hex"), compressed ? "00" : "");
    await peer.close();
  });
});

describe("row 32, RFC 7692 7.2.2: context that is taken over", () => {
  onBothSides("is kept for what comes: the example of 7.2.3.2", async (peer) => {
    for (const octets of [HELLO, hex("f2 00 11 00 00"), hex("f2 00 11 00 00")]) {
      peer.sayPacked(1, octets);
      assert.equal((await peer.hear()).payload.toString(), "Hello");
    }
    await peer.close();
  });
  onBothSides("is kept over 32,768 octets, messages that are not compressed, and fragments", async (peer) => {
    const [text_, , document_] = PAYLOADS;
    assert.ok(text_ && document_);
    const first = part(document_, 20_000, 0);
    for (const message of [first, part(text_, 10_000, 0), first, Buffer.alloc(0), part(document_, 3, 0), first]) {
      peer.say(2, message, 1_000);
      assert.ok((await peer.hear()).payload.equals(message));
      peer.write(text("between"));
      assert.equal((await peer.hear()).payload.toString(), "between");
    }
    await peer.close();
  });
  onBothSides("makes the same message smaller the second time", async (peer) => {
    const message = part(PAYLOADS[2]!, 5_000, 0);
    const sizes: number[] = [];
    for (let round = 0; round < 2; round += 1) {
      peer.say(2, message);
      sizes.push((await peer.hear()).packed.length);
    }
    assert.ok(sizes[1]! < sizes[0]! / 10, String(sizes));
    await peer.close();
  });
  onBothSides(
    "is not there where it was given up: what refers to it is answered with 1007",
    async (peer) => {
      peer.sayPacked(1, HELLO);
      assert.equal((await peer.hear()).payload.toString(), "Hello");
      peer.sayPacked(1, hex("f2 00 11 00 00"));
      assert.equal(await peer.closeCode(), 1007);
    },
    ({ code }) => assert.equal(code, 1007),
    "; server_no_context_takeover; client_no_context_takeover",
  );
});

describe("RFC 7692 7.2.2 and RFC 6455 7.4.1: what is compressed wrongly", () => {
  const wrong: Readonly<Record<string, Uint8Array>> = {
    "a block of type 3": hex("06"),
    "a stored block whose lengths disagree": hex("00 05 00 00 00 48 65 6c 6c 6f 00"),
    "a block that ends in its middle": HELLO.subarray(0, 4),
    "a reference to before the beginning": hex("f2 00 11 00 00"),
    noise: Buffer.from("ffffffffffffffffffffffffffff", "hex"),
    "noise behind the last block": Buffer.concat([deflateRawSync("Hello"), hex("ff ff ff ff ff ff ff ff")]),
    "a stored block that is announced and does not come": hex("00 ff ff 00 00 48"),
  };
  for (const [what, octets] of Object.entries(wrong)) {
    refuses(what, (peer) => peer.sayPacked(2, octets), 1007);
    refuses(`${what}, in fragments`, (peer) => peer.sayPacked(2, octets, ONE_OCTET_AT_A_TIME), 1007);
  }
  const badText = (octets: string): Buffer => packed(hex(octets), { takeover: false, bits: 15 });
  refuses("a text that is no UTF-8", (peer) => peer.sayPacked(1, badText("48 ff")), 1007);
  refuses("a text that ends in a character", (peer) => peer.sayPacked(1, badText("48 e2 82")), 1007);
  refuses("a text that is no UTF-8, in fragments", (peer) => peer.sayPacked(1, badText("48 ed a0 80"), 1), 1007);
  onBothSides("a character that is cut by fragments is none of these", async (peer) => {
    peer.sayPacked(1, badText("e2 82 ac f0 9f 98 80"), ONE_OCTET_AT_A_TIME);
    assert.equal((await peer.hear()).payload.toString(), "€😀");
    await peer.close();
  });
});

describe("RFC 6455 7.4.1: what is too large only when it is inflated", () => {
  const MANY = 2 ** 20 + 1;
  refuses(
    "one octet over maxMessageSize",
    (peer) =>
      peer.sayPacked(
        2,
        flushed(
          LONG.subarray(0, 9)
            .toString()
            .repeat(MANY / 9 + 1),
        ),
      ),
    1009,
  );
  refuses("the same in fragments", (peer) => peer.sayPacked(2, flushed(Buffer.alloc(MANY)), 16), 1009);
  refuses("over the ratio, and over 64 KiB", (peer) => peer.sayPacked(2, flushed(Buffer.alloc(500_000))), 1009);
  onBothSides("over the ratio, and not over 64 KiB, is taken", async (peer) => {
    peer.sayPacked(2, flushed(Buffer.alloc(65_536)));
    assert.equal((await peer.hear()).payload.length, 65_536);
    await peer.close();
  });
});
