/** Streams as transports: what came with an upgrade, and streams that somebody else has begun to use. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SocketTransport } from "../../src/transport/socket.js";
import { duplexPair } from "../contract/duplex-pair.js";
import { Witness } from "../contract/line.js";

async function turns(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
}

const head = (): Uint8Array => Buffer.from("-head,-").subarray(1, 6);

describe("the bytes that came behind an upgrade", () => {
  it("come first, and not while the transport is opened", async () => {
    const [stream, other] = duplexPair();
    const transport = new SocketTransport(stream, head());
    const witness = new Witness();
    other.write("tail");
    transport.open(witness);
    assert.deepEqual(witness.log, []);
    await turns();
    assert.equal(witness.received.toString(), "head,tail");
    transport.abort();
  });

  it("are a copy, since they lie among what is not ours", async () => {
    const [stream] = duplexPair();
    const around = Buffer.from("-head,-");
    const transport = new SocketTransport(stream, around.subarray(1, 6));
    const witness = new Witness();
    witness.onData = (chunk) => chunk.fill(0);
    transport.open(witness);
    await turns();
    assert.equal(around.toString(), "-head,-");
    transport.abort();
  });

  it("wait while the transport is paused, and so does what follows", async () => {
    const [stream, other] = duplexPair();
    const transport = new SocketTransport(stream, head());
    const witness = new Witness();
    transport.open(witness);
    transport.pause();
    other.write("tail");
    await turns();
    assert.deepEqual(witness.log, []);
    transport.resume();
    transport.pause();
    await turns();
    assert.deepEqual(witness.log, []);
    transport.resume();
    await turns();
    assert.equal(witness.received.toString(), "head,tail");
    transport.abort();
  });

  it("stop what follows if they were enough", async () => {
    const [stream, other] = duplexPair();
    const transport = new SocketTransport(stream, head());
    const witness = new Witness();
    witness.onData = () => transport.pause();
    transport.open(witness);
    other.write("tail");
    await turns();
    assert.equal(witness.received.toString(), "head,");
    transport.resume();
    await turns();
    assert.equal(witness.received.toString(), "head,tail");
    transport.abort();
  });

  it("come before the FIN, also one that was read before the transport was opened", async () => {
    for (const paused of [false, true]) {
      for (const early of [false, true]) {
        const [stream, other] = duplexPair();
        const transport = new SocketTransport(stream, head());
        const witness = new Witness();
        if (early) {
          stream.resume();
          other.end();
          await turns();
          assert.equal(stream.readableEnded, true);
        }
        if (paused) transport.pause();
        transport.open(witness);
        other.end();
        await turns();
        if (paused) {
          assert.deepEqual(witness.log, []);
          transport.resume();
          await turns();
        }
        assert.deepEqual(witness.log, ["data", "ended"]);
        transport.end();
        await turns();
        assert.deepEqual(witness.log, ["data", "ended", "closed"]);
      }
    }
  });

  it("are given up when the transport is aborted", async () => {
    const [stream] = duplexPair();
    const transport = new SocketTransport(stream, head());
    const witness = new Witness();
    transport.open(witness);
    transport.abort();
    await turns();
    assert.deepEqual(witness.log, ["closed"]);
  });
});

describe("a stream that is made a transport", () => {
  it("goes on being written to behind its peer's FIN, whatever its maker wanted", async () => {
    const [stream, other] = duplexPair();
    stream.allowHalfOpen = false;
    const transport = new SocketTransport(stream);
    const witness = new Witness();
    transport.open(witness);
    other.end();
    await turns();
    transport.write(Buffer.from("still here"));
    await turns();
    assert.deepEqual([witness.log, String(other.read())], [["ended", "written"], "still here"]);
    transport.abort();
  });

  it("may fail before it is opened: the error is kept, and is told once", async () => {
    const [stream] = duplexPair();
    const transport = new SocketTransport(stream);
    stream.destroy(Object.assign(new Error("broken"), { code: "EBROKEN", syscall: "read" }));
    await turns();
    const witness = new Witness();
    transport.open(witness);
    await turns();
    assert.deepEqual(witness.log, ["closed"]);
    assert.deepEqual([witness.error?.errno, witness.error?.syscall], ["EBROKEN", "read"]);
  });

  it("has an errno even if its error has no code", async () => {
    const [stream] = duplexPair();
    const transport = new SocketTransport(stream);
    const witness = new Witness();
    transport.open(witness);
    stream.destroy(new TypeError("broken"));
    await turns();
    assert.deepEqual([witness.error?.errno, witness.error?.syscall], ["TypeError", undefined]);
  });

  it("leads nowhere if it is no socket", () => {
    const [stream] = duplexPair();
    assert.deepEqual(new SocketTransport(stream).ends, { localAddress: "", remoteAddress: "", secure: false });
  });
});
