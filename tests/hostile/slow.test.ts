/** Requests that take their time: a byte at a time, without end, or only half. Each has an end, and costs little until then. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { upgradeRequest } from "../raw-peers.js";
import { Assault } from "./assault.js";
import { Siege } from "./siege.js";

const LIMIT = { timeout: 240_000 };
const WS = "ws://127.0.0.1:0";

// A request costs a millisecond. One that is parsed again for each byte that comes would cost minutes.
const CPU = 5_000;

/** Writes byte after byte, each in a segment of its own, for as long as `bytes` has any and the socket lives. */
async function trickle(assault: Assault, bytes: Iterable<number>): Promise<number> {
  let sent = 0;
  for (const byte of bytes) {
    if (assault.over || assault.ended) break;
    assault.socket.write(Uint8Array.of(byte));
    sent += 1;
    // A turn for each, or nothing of what is answered could be heard.
    await new Promise(setImmediate);
  }
  return sent;
}

function* endless(text: string): Generator<number> {
  yield* Buffer.from(text);
  for (;;) yield 0x78;
}

describe("a request that takes its time", LIMIT, () => {
  it("is an upgrade like any other, be it that each byte comes alone", async () => {
    await using siege = await Siege.lay({ url: WS, does: "echo" });
    const before = await siege.begin();
    await using assault = await Assault.to(siege.port);
    const fields = { "X-Long": "x".repeat(12_000), "Sec-WebSocket-Protocol": "a, b" };
    await trickle(assault, Buffer.from(upgradeRequest("/", fields)));
    await assault.until(() => assault.bytes.includes("\r\n\r\n"));
    assert.match(assault.bytes.toString(), /^HTTP\/1\.1 101 /);
    const { cpu } = await siege.within(0);
    assert.ok(cpu - before.cpu < CPU, `${cpu - before.cpu} ms`);
  });

  const pieces: Readonly<Record<string, readonly number[]>> = {
    "one field without end": [...Buffer.from("GET / HTTP/1.1\r\nX: ")],
    "a target without end": [...Buffer.from("GET /")],
    "a name without end": [...Buffer.from("GET / HTTP/1.1\r\n")],
  };
  for (const [what, beginning] of Object.entries(pieces)) {
    it(`with ${what} is answered with 431 before it has sent 64 KiB a byte at a time`, async () => {
      await using siege = await Siege.lay({ url: WS, does: "echo" });
      const before = await siege.begin();
      await using assault = await Assault.to(siege.port);
      const sent = await trickle(assault, endless(Buffer.from(beginning).toString()));
      assert.ok(sent < 65_536, `${sent} bytes`);
      assert.match(assault.bytes.toString(), /^HTTP\/1\.1 431 /);
      const { cpu, handled } = await siege.within(0);
      assert.equal(handled, 0);
      assert.ok(cpu - before.cpu < CPU, `${cpu - before.cpu} ms`);
    });
  }

  it("with fields without end is answered with 431 however fast they come, and hears it", async () => {
    await using siege = await Siege.lay({ url: WS, does: "echo" });
    const before = await siege.begin();
    for (let attempt = 0; attempt < 20; attempt += 1) {
      await using assault = await Assault.to(siege.port);
      assault.socket.write("GET / HTTP/1.1\r\n");
      await assault.flood(Buffer.from("X-Name: value\r\n".repeat(4_096)), 100);
      await assault.until(() => assault.ended);
      assert.match(assault.bytes.toString(), /^HTTP\/1\.1 431 /);
    }
    const { cpu } = await siege.within(0);
    assert.ok(cpu - before.cpu < CPU, `${cpu - before.cpu} ms`);
  });

  it("to be judged costs no more than its length, whatever its lists are made of", async () => {
    const units = [",", " ", "a,", "a ", ";", "a;", "a=", '"', '\\"', "a/", "a/b,", "\t"];
    await using siege = await Siege.lay({ url: WS, does: "echo" });
    const before = await siege.begin();
    for (const name of ["Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Connection", "Upgrade"]) {
      for (const unit of units) {
        const list = `a; b="${unit.repeat(15_000 / unit.length)}`;
        for (const value of [list, list.slice(6), `${list.slice(6)}!`]) {
          await using assault = await Assault.to(siege.port);
          await assault.flood(Buffer.from(upgradeRequest("/", { [name]: value })), 1);
          await assault.until(() => assault.bytes.includes("\r\n\r\n"));
        }
      }
    }
    const { cpu } = await siege.until(({ connections }) => connections === 0);
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
  it("is cut at openTimeout, however far it has come", async () => {
    await using siege = await Siege.lay({ url: WS, does: "echo", options: { openTimeout: 300 } });
    await siege.begin();
    for (const half of Object.values(halves)) {
      await using assault = await Assault.to(siege.port);
      assault.socket.write(half);
      await assault.until(() => assault.ended);
    }
    await siege.within(0);
  });

  it("is cut at openTimeout although a byte comes all the time", async () => {
    await using siege = await Siege.lay({ url: WS, does: "echo", options: { openTimeout: 300 } });
    await using assault = await Assault.to(siege.port);
    let sent = 0;
    const timer = setInterval(() => {
      assault.socket.write("X");
      sent += 1;
    }, 20);
    assault.socket.write("GET / HTTP/1.1\r\n");
    await assault.until(() => assault.ended);
    clearInterval(timer);
    assert.ok(sent > 2, `${sent} bytes`);
  });

  it("and is given up half way leaves nothing behind", async () => {
    await using siege = await Siege.lay({ url: WS, does: "echo" });
    const { sockets } = await siege.begin();
    for (const half of Object.values(halves)) {
      for (const leave of ["end", "resetAndDestroy", "destroy"] as const) {
        await using assault = await Assault.to(siege.port);
        await assault.flood(Buffer.from(half), 1);
        assault.socket[leave]();
        if (leave === "end") await assault.until(() => assault.ended);
      }
    }
    await siege.until((report) => report.sockets === sockets);
  });
});
