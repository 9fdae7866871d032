/** Streams as transports: bytes that arrived with an upgrade, and streams that were used before. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SocketTransport } from "../../../src/transport/socket/socket.ts";
import { NO_ENDPOINTS } from "../../../src/transport/transport.ts";
import { duplexPair } from "../../kit/duplex-pair.ts";
import { EventRecorder } from "../../kit/transport-pair.ts";

async function turns(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
}

const head = (): Uint8Array => Buffer.from("-head,-").subarray(1, 6);

describe("bytes that arrived with an upgrade", () => {
  it("are delivered first, and not during open()", async () => {
    const [stream, other] = duplexPair();
    const transport = new SocketTransport(stream, head());
    const recorded = new EventRecorder();
    other.write("tail");
    transport.open(recorded);
    assert.deepEqual(recorded.log, []);
    await turns();
    assert.equal(recorded.received.toString(), "head,tail");
    transport.abort();
  });

  it("are a copy, because their memory contains bytes of another owner", async () => {
    const [stream] = duplexPair();
    const around = Buffer.from("-head,-");
    const transport = new SocketTransport(stream, around.subarray(1, 6));
    const recorded = new EventRecorder();
    recorded.onData = (chunk) => chunk.fill(0);
    transport.open(recorded);
    await turns();
    assert.equal(around.toString(), "-head,-");
    transport.abort();
  });

  it("are not delivered while the transport is paused, and neither are later bytes", async () => {
    const [stream, other] = duplexPair();
    const transport = new SocketTransport(stream, head());
    const recorded = new EventRecorder();
    transport.open(recorded);
    transport.pause();
    other.write("tail");
    await turns();
    assert.deepEqual(recorded.log, []);
    transport.resume();
    transport.pause();
    await turns();
    assert.deepEqual(recorded.log, []);
    transport.resume();
    await turns();
    assert.equal(recorded.received.toString(), "head,tail");
    transport.abort();
  });

  it("stop reading if they are enough", async () => {
    const [stream, other] = duplexPair();
    const transport = new SocketTransport(stream, head());
    const recorded = new EventRecorder();
    recorded.onData = () => transport.pause();
    transport.open(recorded);
    other.write("tail");
    await turns();
    assert.equal(recorded.received.toString(), "head,");
    transport.resume();
    await turns();
    assert.equal(recorded.received.toString(), "head,tail");
    transport.abort();
  });

  it("are delivered before the FIN, also one that was read before open()", async () => {
    for (const paused of [false, true]) {
      for (const early of [false, true]) {
        const [stream, other] = duplexPair();
        const transport = new SocketTransport(stream, head());
        const recorded = new EventRecorder();
        if (early) {
          stream.resume();
          other.end();
          await turns();
          assert.equal(stream.readableEnded, true);
        }
        if (paused) transport.pause();
        transport.open(recorded);
        other.end();
        await turns();
        if (paused) {
          assert.deepEqual(recorded.log, []);
          transport.resume();
          await turns();
        }
        assert.deepEqual(recorded.log, ["data", "ended"]);
        transport.end();
        await turns();
        assert.deepEqual(recorded.log, ["data", "ended", "closed"]);
      }
    }
  });

  it("are dropped when the transport is aborted", async () => {
    const [stream] = duplexPair();
    const transport = new SocketTransport(stream, head());
    const recorded = new EventRecorder();
    transport.open(recorded);
    transport.abort();
    await turns();
    assert.deepEqual(recorded.log, ["closed"]);
  });
});

describe("a stream that is made a transport", () => {
  it("can be written after the peer's FIN, whatever allowHalfOpen was", async () => {
    const [stream, other] = duplexPair();
    stream.allowHalfOpen = false;
    const transport = new SocketTransport(stream);
    const recorded = new EventRecorder();
    transport.open(recorded);
    other.end();
    await turns();
    recorded.write(transport, Buffer.from("still here"));
    await turns();
    assert.deepEqual([recorded.log, String(other.read())], [["ended", "written"], "still here"]);
    transport.abort();
  });

  it("may fail before open(): the error is stored, and reported once", async () => {
    const [stream] = duplexPair();
    const transport = new SocketTransport(stream);
    stream.destroy(Object.assign(new Error("broken"), { code: "EBROKEN", syscall: "read" }));
    await turns();
    const recorded = new EventRecorder();
    transport.open(recorded);
    await turns();
    assert.deepEqual(recorded.log, ["closed"]);
    assert.deepEqual([recorded.error?.errno, recorded.error?.syscall], ["EBROKEN", "read"]);
  });

  it("has an errno even if its error has no code", async () => {
    const [stream] = duplexPair();
    const transport = new SocketTransport(stream);
    const recorded = new EventRecorder();
    transport.open(recorded);
    stream.destroy(new TypeError("broken"));
    await turns();
    assert.deepEqual([recorded.error?.errno, recorded.error?.syscall], ["TypeError", undefined]);
  });

  it("has no addresses if it is not a socket", () => {
    const [stream] = duplexPair();
    assert.deepEqual(new SocketTransport(stream).endpoints, NO_ENDPOINTS);
  });
});
