/** Slow requests: byte by byte, endless, or incomplete. Each has an end, and costs little until then. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { upgradeRequest } from "../kit/raw-peer.ts";
import { AttackedServer } from "./attacked-server.ts";
import { Attacker } from "./attacker.ts";

const LIMIT = { timeout: 240_000 };
const WS = "ws://127.0.0.1:0";

// A request costs a millisecond. Parsed again for each byte, it would cost minutes.
const CPU = 5_000;

/** Writes byte by byte, each in its own segment, as long as `bytes` has any and the socket is open. */
async function trickle(attacker: Attacker, bytes: Iterable<number>): Promise<number> {
  let sent = 0;
  for (const byte of bytes) {
    if (attacker.over || attacker.ended) break;
    attacker.socket.write(Uint8Array.of(byte));
    sent += 1;
    // One turn for each, so that an answer is received.
    await new Promise(setImmediate);
  }
  return sent;
}

function* endless(text: string): Generator<number> {
  yield* Buffer.from(text);
  for (;;) yield 0x78;
}

describe("a slow request", LIMIT, () => {
  it("is accepted like any other, even if each byte arrives alone", async () => {
    await using attacked = await AttackedServer.start({ url: WS, does: "echo" });
    const before = await attacked.begin();
    await using attacker = await Attacker.to(attacked.port);
    const fields = { "X-Long": "x".repeat(12_000), "Sec-WebSocket-Protocol": "a, b" };
    await trickle(attacker, Buffer.from(upgradeRequest("/", fields)));
    await attacker.until(() => attacker.bytes.includes("\r\n\r\n"));
    assert.match(attacker.bytes.toString(), /^HTTP\/1\.1 101 /);
    const { cpu } = await attacked.within(0);
    assert.ok(cpu - before.cpu < CPU, `${cpu - before.cpu} ms`);
  });

  const pieces: Readonly<Record<string, readonly number[]>> = {
    "one field without end": [...Buffer.from("GET / HTTP/1.1\r\nX: ")],
    "a target without end": [...Buffer.from("GET /")],
    "a name without end": [...Buffer.from("GET / HTTP/1.1\r\n")],
  };
  for (const [what, beginning] of Object.entries(pieces)) {
    it(`with ${what} is answered with 431 before it has sent 64 KiB a byte at a time`, async () => {
      await using attacked = await AttackedServer.start({ url: WS, does: "echo" });
      const before = await attacked.begin();
      await using attacker = await Attacker.to(attacked.port);
      const sent = await trickle(attacker, endless(Buffer.from(beginning).toString()));
      assert.ok(sent < 65_536, `${sent} bytes`);
      assert.match(attacker.bytes.toString(), /^HTTP\/1\.1 431 /);
      const { cpu, handled } = await attacked.within(0);
      assert.equal(handled, 0);
      assert.ok(cpu - before.cpu < CPU, `${cpu - before.cpu} ms`);
    });
  }

  it("with endless fields is answered with 431 at any speed, and the client gets the answer", async () => {
    await using attacked = await AttackedServer.start({ url: WS, does: "echo" });
    const before = await attacked.begin();
    for (let attempt = 0; attempt < 20; attempt += 1) {
      await using attacker = await Attacker.to(attacked.port);
      attacker.socket.write("GET / HTTP/1.1\r\n");
      await attacker.flood(Buffer.from("X-Name: value\r\n".repeat(4_096)), 100);
      await attacker.until(() => attacker.ended);
      assert.match(attacker.bytes.toString(), /^HTTP\/1\.1 431 /);
    }
    const { cpu } = await attacked.within(0);
    assert.ok(cpu - before.cpu < CPU, `${cpu - before.cpu} ms`);
  });

  it("costs no more than its length to validate, for any content of its lists", async () => {
    const units = [",", " ", "a,", "a ", ";", "a;", "a=", '"', '\\"', "a/", "a/b,", "\t"];
    await using attacked = await AttackedServer.start({ url: WS, does: "echo" });
    const before = await attacked.begin();
    for (const name of ["Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Connection", "Upgrade"]) {
      for (const unit of units) {
        const list = `a; b="${unit.repeat(15_000 / unit.length)}`;
        for (const value of [list, list.slice(6), `${list.slice(6)}!`]) {
          await using attacker = await Attacker.to(attacked.port);
          await attacker.flood(Buffer.from(upgradeRequest("/", { [name]: value })), 1);
          await attacker.until(() => attacker.bytes.includes("\r\n\r\n"));
        }
      }
    }
    const { cpu } = await attacked.until(({ connections }) => connections === 0);
    assert.ok(cpu - before.cpu < CPU, `${cpu - before.cpu} ms`);
  });

  const halves: Readonly<Record<string, string>> = {
    nothing: "",
    "an empty line": "\r\n",
    "half a line": "GET / HT",
    "half its fields": upgradeRequest().slice(0, -20),
    "all but the last byte": upgradeRequest().slice(0, -1),
    "a body that is announced and not sent": "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n01234",
  };
  it("is ended at openTimeout, whatever part of it has arrived", async () => {
    await using attacked = await AttackedServer.start({ url: WS, does: "echo", options: { openTimeout: 300 } });
    await attacked.begin();
    for (const half of Object.values(halves)) {
      await using attacker = await Attacker.to(attacked.port);
      attacker.socket.write(half);
      await attacker.until(() => attacker.ended);
    }
    await attacked.within(0);
  });

  it("is ended at openTimeout although bytes arrive all the time", async () => {
    await using attacked = await AttackedServer.start({ url: WS, does: "echo", options: { openTimeout: 300 } });
    await using attacker = await Attacker.to(attacked.port);
    let sent = 0;
    const timer = setInterval(() => {
      attacker.socket.write("X");
      sent += 1;
    }, 20);
    attacker.socket.write("GET / HTTP/1.1\r\n");
    await attacker.until(() => attacker.ended);
    clearInterval(timer);
    assert.ok(sent > 2, `${sent} bytes`);
  });

  it("that ends half way leaves nothing behind", async () => {
    await using attacked = await AttackedServer.start({ url: WS, does: "echo" });
    const { sockets } = await attacked.begin();
    for (const half of Object.values(halves)) {
      for (const leave of ["end", "resetAndDestroy", "destroy"] as const) {
        await using attacker = await Attacker.to(attacked.port);
        await attacker.flood(Buffer.from(half), 1);
        attacker.socket[leave]();
        if (leave === "end") await attacker.until(() => attacker.ended);
      }
    }
    await attacked.until((report) => report.sockets === sockets);
  });
});
