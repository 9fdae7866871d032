/** Which errors of an end have a stack: those of an end that the program caused. */

import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { describe, it } from "node:test";
import { type Connection, connect, listen } from "../../src/index.ts";
import { pair } from "../../src/testing/index.ts";

describe("the error of later calls", () => {
  it("has a stack with the call that closed the connection on this side", async () => {
    const { client: local } = pair();
    function closeHere(): void {
      void local.close(1001, "bye");
    }
    closeHere();
    await local.closed;
    assert.match(await stackOf(local.receive()), /closed by this side with code 1001: bye\n {4}at [\s\S]*closeHere/);
  });

  it("has no stack if the peer closed, because the running code did not cause the end", async () => {
    const { client: local, server: peer } = pair();
    await peer.close(1001, "bye");
    await local.closed;
    assert.equal(await stackOf(local.receive()), "ClosedError: Connection closed by the peer with code 1001: bye");
  });

  it("has no stack if the peer reset the connection", async () => {
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
