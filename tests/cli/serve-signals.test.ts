/** Tests of how `holdfast serve` stops: whom it tells, for whom it waits, and what a second signal does. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connect, HandshakeError } from "../../src/index.js";
import { RawPeer, upgraded, upgradeRequest } from "../raw-peers.js";
import { portIn, Serving } from "./serving.js";

const LIMIT = { timeout: 240_000, concurrency: true };
const WINDOWS = process.platform === "win32" && "signals are a matter of POSIX";

describe("a signal", { ...LIMIT, skip: WINDOWS }, () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it(`drains: 1001 to all, a FIN over TCP, and status 0: ${signal}`, async () => {
      await using serving = await Serving.start();
      const { ws, tcp = "" } = serving.addresses;
      await using echo = await connect(`${ws}/echo`);
      await using chat = await connect(`${ws}/chat`);
      await using lines = await connect(tcp, { framing: "lines" });
      await lines.send("hello");
      assert.equal(await lines.receive(), "hello");
      await Promise.all([echo.ping(), chat.ping()]);
      const eof = assert.rejects(lines.receive(), { code: "CLOSED" }).finally(() => lines.close());
      serving.kill(signal);
      for (const { closed } of [echo, chat]) {
        const { code, by, wasClean } = await closed;
        assert.deepEqual([code, by, wasClean], [1001, "peer", true]);
      }
      await eof;
      assert.equal((await lines.closed).wasClean, true);
      const { status, stderr } = await serving.ended;
      assert.deepEqual([status, stderr], [0, ""]);
    });
  }

  it("ends it at once when nobody is connected, or only those who have asked for nothing", async () => {
    await using serving = await Serving.start();
    await using _silent = await RawPeer.to(portIn(serving.addresses.ws));
    await using kept = await RawPeer.to(portIn(serving.addresses.ws));
    kept.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await kept.until(({ text }) => text.includes("ok\n"));
    serving.kill("SIGTERM");
    assert.equal((await serving.ended).status, 0);
  });

  it("is not held up for ever by clients that do not answer, nor does it then fail", async () => {
    await using serving = await Serving.start();
    const { ws, tcp } = serving.addresses;
    await using mute = await upgraded(portIn(ws), upgradeRequest("/echo"));
    await using mutelines = await RawPeer.to(portIn(tcp));
    mutelines.write("hello\n");
    await mutelines.until(({ text }) => text === "hello\n");
    serving.kill("SIGTERM");
    await mute.until(({ text }) => text.includes("\x88"));
    const { status, stderr } = await serving.ended;
    assert.deepEqual([status, stderr], [0, ""]);
  });

  it("lets nobody in any more", async () => {
    await using serving = await Serving.start();
    const { ws, tcp = "" } = serving.addresses;
    await using mute = await upgraded(portIn(ws), upgradeRequest("/echo"));
    serving.kill("SIGTERM");
    await mute.until(({ text }) => text.includes("\x88"));
    for (const url of [`${ws}/echo`, tcp]) {
      await assert.rejects(connect(url), (error: unknown) => error instanceof HandshakeError && error.phase === "tcp");
    }
  });

  it("that comes again exits at once, and not with 0", async () => {
    await using serving = await Serving.start();
    await using mute = await upgraded(portIn(serving.addresses.ws), upgradeRequest("/echo"));
    serving.kill("SIGTERM");
    await mute.until(({ text }) => text.includes("\x88"));
    // The draining would end with 0. Signals that come within a moment of the first may count as one with it.
    const again = setInterval(() => serving.kill("SIGINT"), 20);
    const { status } = await serving.ended;
    clearInterval(again);
    assert.notEqual(status, 0);
  });
});
