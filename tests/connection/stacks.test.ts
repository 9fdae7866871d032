/** Which errors of an end have a stack: those that tell where in the program it came from. */

import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { describe, it } from "node:test";
import { type Connection, connect, listen } from "../../src/index.js";
import { pair } from "../../src/testing/index.js";

describe("the error that later calls get", () => {
  it("tells where this side has closed", async () => {
    const { client: local } = pair();
    function hereIt(): void {
      void local.close(1001, "bye");
    }
    hereIt();
    await local.closed;
    assert.match(await stackOf(local.receive()), /closed by this side with code 1001: bye\n {4}at [\s\S]*hereIt/);
  });

  it("is a sentence alone where the peer has, as whatever was running then had nothing to do with it", async () => {
    const { client: local, server: peer } = pair();
    await peer.close(1001, "bye");
    await local.closed;
    assert.equal(await stackOf(local.receive()), "ClosedError: Connection closed by the peer with code 1001: bye");
  });

  it("is a sentence alone where the peer has reset", async () => {
    const opened = new EventEmitter();
    await using server = await listen("ws://127.0.0.1:0", {
      open: (connection) => void opened.emit("one", connection),
    });
    const [[accepted], client] = await Promise.all([once(opened, "one"), connect(server.url)]);
    client.terminate();
    const { cause } = await (accepted as Connection).closed;
    const error = cause as Error;
    assert.equal(error.stack, `TransportError: ${error.message}`);
    assert.equal((error.cause as Error).message, "read ECONNRESET");
  });
});

function stackOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => assert.fail("it has ended"),
    (error: Error) => error.stack ?? "",
  );
}
