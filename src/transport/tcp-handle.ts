/** A TCP connection on Node's own handle, without the net.Socket around it. */

import { type Server, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { getSystemErrorName } from "node:util";
import { markAsUntransferable } from "node:worker_threads";
import {
  close,
  closeIfDrained,
  count,
  disown,
  hasReadEnd,
  isTcp,
  type Native,
  nativeOf,
  type Owner,
  own,
  reasonOfNothing,
  release,
  shutDown,
  startReading,
  stopReading,
  write,
} from "./node-internals.js";
import { systemError } from "./stackless.js";
import { SHARE } from "./turn.js";

/** What became of a call: it is done, it goes on and its event will come, or it has failed. */
export type Outcome = "done" | "waits" | NodeJS.ErrnoException;

// One for all: bytes are handed on before the next read. libuv keeps its address, so nobody may take the memory away.
const BUFFER = Buffer.alloc(SHARE);
markAsUntransferable(BUFFER.buffer);

// Most chunks are small, and to make a view of one costs more than to find it.
const VIEWS: (Uint8Array | undefined)[] = new Array(2_048).fill(undefined);

/** The first bytes of the buffer, not as a `Buffer`: code that meets one class of array runs faster. */
function beginning(size: number): Uint8Array {
  const known = VIEWS[size];
  if (known !== undefined) return known;
  const view = new Uint8Array(BUFFER.buffer, 0, size);
  if (size < VIEWS.length) VIEWS[size] = view;
  return view;
}

/** A handle that nobody else uses, as it was found. */
export interface Taken {
  readonly native: Native;
  /** The server that counts this connection. */
  readonly server: Server | null;
  /** Whether it reads. */
  readonly reading: boolean;
}

/** What happens on it is told to who extends it: one object, because every connection has it for all its life. */
export abstract class TcpHandle implements Owner {
  readonly #native: Native;
  #server: Server | null;
  #bytesRead: number;
  #reading: boolean;

  constructor({ native, server, reading }: Taken) {
    this.#bytesRead = own(native, this, BUFFER);
    this.#native = native;
    this.#server = server;
    this.#reading = reading;
  }

  /** Bytes came, in memory that the next read overwrites. */
  abstract read(chunk: Uint8Array): void;
  /** The peer's FIN was read. */
  abstract readEnded(): void;
  abstract readFailed(error: NodeJS.ErrnoException): void;
  /** A write that had to wait is done, or has failed. */
  abstract written(error: NodeJS.ErrnoException | undefined): void;
  /** Our FIN has been sent. */
  abstract endSent(): void;

  /** Takes the handle out of `socket`, which is of no use behind that. */
  protected static outOf(socket: Socket): Taken {
    const native = nativeOf(socket) as Native;
    stopReading(native);
    return { native, server: release(socket), reading: false };
  }

  /** Whether `stream` is a TCP socket of Node's own, both of whose directions are open and idle. */
  protected static fits(stream: Duplex): stream is Socket {
    // Neither TLS nor somebody's own kind of socket.
    if (Object.getPrototypeOf(stream) !== Socket.prototype) return false;
    const socket = stream as Socket;
    if (!isTcp(nativeOf(socket)) || socket.remotePort === undefined) return false;
    return !socket.connecting && socket.writable && socket.writableLength === 0 && !hasReadEnd(socket);
  }

  protected startReading(): Outcome {
    if (this.#reading) return "done";
    const status = startReading(this.#native);
    if (status !== 0) return systemError(status, "read");
    this.#reading = true;
    return "done";
  }

  protected stopReading(): void {
    this.#reading = false;
    stopReading(this.#native);
  }

  protected handOver(bytes: Uint8Array): Outcome {
    const status = write(this.#native, bytes, this);
    if (status === "waits") return status;
    return status === 0 ? "done" : systemError(status, "write");
  }

  /** Sends our FIN behind what was written. */
  protected sendEnd(): Outcome {
    const status = shutDown(this.#native, this);
    if (status === 0) return "waits";
    // A peer that is gone has no use for our FIN.
    if (status === 1 || getSystemErrorName(status) === "ENOTCONN") return "done";
    return systemError(status, "shutdown");
  }

  /** Frees the descriptor at once, with a reset if that can be had, and calls `closed` later. Called once, and last. */
  protected free(how: "reset" | "close", closed: () => void): void {
    close(this.#native, how, once(closed));
    disown(this.#native);
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    count(server, -1);
    closeIfDrained(server);
  }

  // Owner

  onRead(total: number): void {
    const size = total - this.#bytesRead;
    if (size > 0) {
      this.#bytesRead = total;
      this.read(beginning(size));
      return;
    }
    const reason = reasonOfNothing();
    if (reason === "end") this.readEnded();
    else if (reason !== "nothing") this.readFailed(reason);
  }

  onWritten(status: number): void {
    this.written(status === 0 ? undefined : systemError(status, "write"));
  }

  onShutDown(): void {
    this.endSent();
  }
}

/** A function that forgets what it calls: Node keeps it on its handle. */
function once(call: () => void): () => void {
  let left: (() => void) | undefined = call;
  return () => {
    const now = left;
    left = undefined;
    now?.();
  };
}
