/** Tests of the public transport on a stream that is not a socket of Node: its owner can use the same bytes as the connection. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { Duplex } from "node:stream";
import { describe, it } from "node:test";
import { SocketTransport } from "../../../src/transport/socket/socket.ts";

const ignored = { written: () => undefined, fin: () => undefined, closed: () => undefined };

describe("SocketTransport on a stream that is not a socket", () => {
  it("leaves the bytes that the stream delivers unchanged", async () => {
    const kept = Buffer.from("abc");
    const stream = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
    const transport = new SocketTransport(stream);
    transport.open({ ...ignored, data: (chunk) => void chunk.fill(0) });
    stream.push(kept);
    await once(stream, "data");
    assert.equal(String(kept), "abc");
    transport.abort();
  });

  for (const atOnce of [true, false]) {
    it(`writes bytes that the caller changes after the callback, ${atOnce ? "at once" : "later"}`, async () => {
      const kept: Uint8Array[] = [];
      const stream = new Duplex({
        read: () => undefined,
        write: (chunk: Uint8Array, _encoding, done) => {
          kept.push(chunk);
          if (atOnce) done();
          else setImmediate(done);
        },
      });
      const transport = new SocketTransport(stream);
      const bytes = Buffer.from("abc");
      const written = new Promise<void>((resolve) => {
        transport.open({ ...ignored, data: () => undefined, written: resolve });
      });
      if (!transport.write(bytes)) await written;
      bytes.fill(0);
      assert.equal(String(Buffer.concat(kept)), "abc");
      transport.abort();
    });
  }
});
