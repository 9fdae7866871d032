/** `holdfast serve` and clients that do not finish what they have begun, with the default limits. */

import assert from "node:assert/strict";
import { connect as connectTcp } from "node:net";
import { describe, it } from "node:test";
import { connect } from "../../../src/index.ts";
import { RawPeer, upgradeRequest } from "../../kit/raw-peer.ts";
import { portIn, ServeProcess } from "../../kit/serve-process.ts";

describe("holdfast serve", { timeout: 60_000 }, () => {
  it("S5-11: ends slow openings within a bound, and serves the other clients", async () => {
    await using serving = await ServeProcess.start();
    const port = portIn(serving.addresses.ws);
    await using open = await connect(`${serving.addresses.ws}/echo`);
    const silent = await RawPeer.to(port);
    const slow = await RawPeer.to(port);
    const bodiless = await RawPeer.to(port);
    const idle = await RawPeer.to(port);
    const between = await RawPeer.to(port);
    const upgrading = await RawPeer.to(port);
    const deaf = connectTcp({ port, host: "127.0.0.1" }).on("error", () => undefined);
    slow.write("GET / HTTP/1.1\r\nX: ");
    bodiless.write("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01");
    for (const peer of [idle, between]) peer.write("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    await between.until(({ text }) => text.endsWith("ok\n"));
    between.write("GET / HTTP/1.1\r\n");
    upgrading.write(upgradeRequest("/echo").slice(0, -1));
    // More answers than the kernels hold, of which none is read.
    deaf.pause().write("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(10_000));
    const dripping = setInterval(() => {
      for (const { socket } of [slow, between]) if (socket.writable) socket.write("x");
      // A socket that is not read detects a reset only when it writes.
      if (deaf.writable) deaf.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }, 500);
    const peers = [silent, slow, bodiless, idle, between, upgrading];
    const ended = peers.map(async (peer) => {
      // A reset is as good as a FIN.
      await peer.until(({ ended: over }) => over).catch(() => undefined);
      peer.socket.destroy();
    });
    await Promise.all([...ended, new Promise((resolve) => deaf.once("close", resolve))]);
    clearInterval(dripping);
    await open.send("still here");
    assert.equal(await open.receive(), "still here");
  });
});
