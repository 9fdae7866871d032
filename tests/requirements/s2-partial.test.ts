/** S2: a read that times out between messages, and one that does inside a message. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TimeoutError } from "../../src/index.ts";
import { settled, type Wired, wired } from "../../src/testing/index.ts";
import { closeCodeIn, joined, KEY, peerFrame } from "../kit/frames.ts";
import { WIRE_PROTOCOLS } from "../kit/wire-protocols.ts";

interface Kind {
  readonly name: string;
  readonly setup: Parameters<typeof wired>[0];
  readonly message: (text: string) => Uint8Array;
  /** How many of the first bytes of a message determine its length; Infinity for lines. */
  readonly announcing: number;
}

/** The two protocols, with the framing that announces the size of a message. */
const KINDS: readonly Kind[] = [
  ...WIRE_PROTOCOLS.map(({ name, protocol, options, message }) => ({
    ...{ name, message, announcing: protocol === "websocket" ? 2 : Infinity },
    setup: { kind: protocol, ...options },
  })),
  {
    name: "length-prefixed TCP",
    setup: { kind: "tcp", framing: { lengthPrefix: 4, text: true } },
    message: (text) => joined(Uint8Array.of(0, 0, 0, text.length), Buffer.from(text)),
    announcing: 4,
  },
];

async function timeoutOf({ connection, clock }: Wired): Promise<TimeoutError> {
  const failed = connection.receive({ timeout: 100 }).then(
    () => assert.fail("nothing was to be received"),
    (error: unknown) => error,
  );
  await clock.advance(100);
  const error = await failed;
  assert.ok(error instanceof TimeoutError, String(error));
  return error;
}

for (const { name, setup, message, announcing } of KINDS) {
  describe(`a read that times out on ${name}`, () => {
    it("S2-7 between messages reports that nothing had arrived, and can be repeated", async () => {
      const scene = wired(setup);
      for (const text of ["first", "second"]) {
        for (let attempt = 0; attempt < 2; attempt += 1) {
          const { partial, expected, retriable } = await timeoutOf(scene);
          assert.deepEqual([partial, expected, retriable], [0, undefined, true]);
        }
        scene.peer.write(message(text));
        assert.equal(await scene.connection.receive({ timeout: 100 }), text);
      }
    });

    it("S2-7 between messages is harmless even if one inside a message ends the connection", async () => {
      const scene = wired({ ...setup, connection: { midFrameTimeout: "close" } });
      const { partial, retriable } = await timeoutOf(scene);
      assert.deepEqual([partial, retriable], [0, true]);
      scene.peer.write(message("next"));
      assert.equal(await scene.connection.receive(), "next");
    });

    it("S2-8 keeps the partial frame over a timeout, wherever it was cut", async () => {
      const whole = message("the body");
      const scene = wired(setup);
      for (let cut = 1; cut < whole.length; cut += 1) {
        scene.peer.write(whole.subarray(0, cut));
        const { partial } = await timeoutOf(scene);
        assert.equal(partial, cut);
        const next = scene.connection.receive({ timeout: 100 });
        scene.peer.write(joined(whole.subarray(cut), message(`behind cut ${cut}`)));
        assert.equal(await next, "the body");
        assert.equal(await scene.connection.receive(), `behind cut ${cut}`);
      }
    });

    it("S2-8 keeps it over a timeout after each of its bytes", async () => {
      const scene = wired(setup);
      const whole = message("byte by byte");
      for (const [at, byte] of whole.entries()) {
        assert.equal((await timeoutOf(scene)).partial, at);
        scene.peer.write([byte]);
      }
      assert.equal(await scene.connection.receive(), "byte by byte");
    });

    it("S2-9 inside a message reports how much had arrived, and the announced size", async () => {
      const whole = message("the body");
      for (let cut = 1; cut < whole.length; cut += 1) {
        const scene = wired(setup);
        scene.peer.write(whole.subarray(0, cut));
        const { code, operation, partial, expected, retriable, message: said } = await timeoutOf(scene);
        assert.deepEqual([code, operation, partial, retriable], ["TIMEOUT", "receive", cut, true]);
        assert.equal(expected, cut >= announcing ? whole.length : undefined);
        assert.match(said, new RegExp(`with ${cut} of ${expected ?? "an unknown number of"} bytes`));
        assert.equal(scene.connection.state, "OPEN", "by default the bytes are kept");
      }
    });

    it("S2-9 inside a message ends the connection with midFrameTimeout: close", async () => {
      const scene = wired({ ...setup, connection: { midFrameTimeout: "close", closeTimeout: 10 } });
      const { connection, clock, peer } = scene;
      const whole = message("the body");
      const patient = connection.receive().catch((error: unknown) => error);
      peer.write(whole.subarray(0, 7));
      const error = await timeoutOf(scene);
      assert.deepEqual([error.limit, error.partial, error.retriable], ["timeout", 7, false]);
      assert.equal(await patient, error, "every wait is told the same");
      assert.equal(await connection.receive().catch((later: unknown) => later), error);
      assert.equal(await connection.send("x").catch((later: unknown) => later), error);
      peer.write(whole.subarray(7));
      await clock.advance(10);
      const { cause, wasClean, by } = await connection.closed;
      assert.deepEqual([cause, wasClean, by], [error, false, "local"]);
      if (connection.kind === "websocket") assert.equal(closeCodeIn(peer.received), 1008);
    });

    it("S2-9 a signal inside a message is no timeout: it never ends the connection", async () => {
      const { connection, peer } = wired({ ...setup, connection: { midFrameTimeout: "close" } });
      const whole = message("the body");
      const exit = new AbortController();
      const reading = assert.rejects(connection.receive({ signal: exit.signal }), { name: "AbortError" });
      peer.write(whole.subarray(0, 7));
      await settled();
      exit.abort();
      await reading;
      peer.write(whole.subarray(7));
      assert.equal(await connection.receive(), "the body");
    });
  });
}

describe("a read that times out between the fragments of a message", () => {
  const fragments = [
    peerFrame({ opcode: 1, payload: "frag", fin: false, key: KEY }),
    peerFrame({ opcode: 0, payload: "men", fin: false, key: KEY }),
    peerFrame({ opcode: 0, payload: "ted", key: KEY }),
  ];

  it("S2-8 keeps the received part, and a Ping between them is answered", async () => {
    const scene = wired();
    const ping = peerFrame({ opcode: 9, payload: "?", key: KEY });
    let sent = 0;
    for (const fragment of fragments) {
      assert.equal((await timeoutOf(scene)).partial, sent);
      scene.peer.write(joined(ping, fragment));
      sent += fragment.length;
    }
    assert.equal(await scene.connection.receive(), "fragmented");
    await settled();
    const pong = [0x8a, 1, "?".charCodeAt(0)];
    assert.deepEqual([...scene.peer.received], [...pong, ...pong, ...pong]);
  });

  it("S2-9 is inside a message, whose length is not known yet", async () => {
    const scene = wired();
    scene.peer.write(fragments[0] as Uint8Array);
    const { partial, expected } = await timeoutOf(scene);
    assert.deepEqual([partial, expected], [(fragments[0] as Uint8Array).length, undefined]);
  });
});
