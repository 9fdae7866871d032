/** A stream on one end of a connection in memory, for the code that needs a Node stream: HTTP and TLS. */

import { Duplex } from "node:stream";
import type { MemoryTransport } from "./memory.ts";
import { type Endpoints, NO_ENDPOINTS, type Transport, type TransportEvents } from "./transport.ts";

/** As a net.Socket with `allowHalfOpen`. It emits `connect` or `error`, if it was created without a transport. */
export class MemoryStream extends Duplex {
  bytesRead = 0;
  bytesWritten = 0;
  #transport: MemoryTransport | undefined;
  #written: (() => void) | undefined;

  constructor(transport?: MemoryTransport) {
    super({ allowHalfOpen: true });
    if (transport !== undefined) this.#own(transport);
  }

  get endpoints(): Endpoints {
    return this.#transport?.endpoints ?? NO_ENDPOINTS;
  }

  /** Call this when the connection is open. */
  connected(transport: MemoryTransport): void {
    this.#own(transport);
    this.emit("connect");
  }

  /**
   * Takes the transport out of the stream, which must not be used afterwards. `head` holds bytes that were read from the stream.
   * They are delivered first.
   */
  toTransport(head: Uint8Array | undefined): Transport {
    const transport = this.#transport;
    if (transport === undefined) throw new Error("a stream that is not connected has no transport");
    const returned: Uint8Array[] = head?.length ? [Uint8Array.from(head)] : [];
    for (let chunk: Uint8Array | null = this.read(); chunk !== null; chunk = this.read()) {
      returned.push(Uint8Array.from(chunk));
    }
    transport.changeOwner(returned);
    this.#transport = undefined;
    this.#written = undefined;
    // Listeners for its `close` do not have to wait for the end of this connection.
    this.destroy();
    return transport;
  }

  #own(transport: MemoryTransport): void {
    this.#transport = transport;
    const events: TransportEvents = {
      data: (chunk) => {
        this.bytesRead += chunk.length;
        if (!this.push(Buffer.from(chunk))) transport.pause();
      },
      written: () => {
        const written = this.#written;
        this.#written = undefined;
        written?.();
      },
      fin: () => {
        this.push(null);
        // As in net.Socket: `end` is emitted also while nothing reads the stream.
        this.read(0);
      },
      closed: (error) => void this.destroy(error && systemErrorByCode(error.errno, "read")),
    };
    transport.open(events);
  }

  override _read(): void {
    this.#transport?.resume();
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, written: () => void): void {
    this.bytesWritten += chunk.length;
    this.#written = written;
    this.#transport?.write(chunk);
  }

  override _final(done: () => void): void {
    this.#transport?.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#transport?.close();
    done(error);
  }
}

/** Creates an error in the form of Node's errors of system calls. `facts` are its further properties. */
export function systemErrorByCode(code: string, syscall: string, facts: Readonly<Record<string, unknown>> = {}): Error {
  const subject = Object.values(facts).join(":");
  return Object.assign(new Error([syscall, code, subject].join(" ").trimEnd()), { code, syscall, ...facts });
}
