/** How `holdfast serve` stops: its connections are closed, it waits for them, and a second signal ends it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connect, HandshakeError } from "../../../src/index.ts";
import { RawPeer, upgraded, upgradeRequest } from "../../kit/raw-peer.ts";
import { portIn, ServeProcess } from "../../kit/serve-process.ts";

const LIMIT = { timeout: 240_000, concurrency: true };
const WINDOWS = process.platform === "win32" && "signals are a matter of POSIX";

describe("a signal", { ...LIMIT, skip: WINDOWS }, () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it(`drains: 1001 to all, a FIN over TCP, and status 0: ${signal}`, async () => {
      await using serving = await ServeProcess.start();
      const { ws, tcp = "" } = serving.addresses;
      await using echo = await connect(`${ws}/echo`);
      await using chat = await connect(`${ws}/chat`);
      await using lines = await connect(tcp, { framing: "lines" });
      await lines.send("hello");
      assert.equal(await lines.receive(), "hello");
      await Promise.all([echo.ping(), chat.ping()]);
      const eof = assert.rejects(lines.receive(), { code: "CLOSED" }).finally(() => lines.close());
      serving.signal(signal);
      for (const { closed } of [echo, chat]) {
        const { code, by, wasClean } = await closed;
        assert.deepEqual([code, by, wasClean], [1001, "peer", true]);
      }
      await eof;
      assert.equal((await lines.closed).wasClean, true);
      const { status, stderr } = await serving.exit;
      const said = "holdfast: draining 3 connections; ends within 5 s, or at once on a second signal\n";
      assert.deepEqual([status, stderr], [0, said]);
    });
  }

  it("ends it at once without connections, or with connections that have sent no request", async () => {
    await using serving = await ServeProcess.start();
    await using _silent = await RawPeer.to(portIn(serving.addresses.ws));
    await using kept = await RawPeer.to(portIn(serving.addresses.ws));
    kept.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await kept.until(({ text }) => text.includes("ok\n"));
    serving.signal("SIGTERM");
    const { status, stderr } = await serving.exit;
    assert.deepEqual([status, stderr], [0, ""]);
  });

  it("is not held up for ever by clients that do not answer, nor does it then fail", async () => {
    await using serving = await ServeProcess.start();
    const { ws, tcp } = serving.addresses;
    await using mute = await upgraded(portIn(ws), upgradeRequest("/echo"));
    await using mutelines = await RawPeer.to(portIn(tcp));
    mutelines.write("hello\n");
    await mutelines.until(({ text }) => text === "hello\n");
    serving.signal("SIGTERM");
    await mute.until(({ text }) => text.includes("\x88"));
    const { status, stderr } = await serving.exit;
    assert.equal(status, 0);
    assert.match(stderr, /^holdfast: draining 2 connections[^\n]+\n$/);
  });

  it("refuses new connections", async () => {
    await using serving = await ServeProcess.start();
    const { ws, tcp = "" } = serving.addresses;
    await using mute = await upgraded(portIn(ws), upgradeRequest("/echo"));
    serving.signal("SIGTERM");
    await mute.until(({ text }) => text.includes("\x88"));
    for (const url of [`${ws}/echo`, tcp]) {
      await assert.rejects(connect(url), (error: unknown) => error instanceof HandshakeError && error.phase === "tcp");
    }
  });

  it("that comes again exits at once, with a status other than 0", async () => {
    await using serving = await ServeProcess.start();
    await using mute = await upgraded(portIn(serving.addresses.ws), upgradeRequest("/echo"));
    serving.signal("SIGTERM");
    await mute.until(({ text }) => text.includes("\x88"));
    // A drain would end with 0. Signals within a moment of the first may count as one with it.
    const again = setInterval(() => serving.signal("SIGINT"), 20);
    const { status } = await serving.exit;
    clearInterval(again);
    assert.notEqual(status, 0);
  });
});
