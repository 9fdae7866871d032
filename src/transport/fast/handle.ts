/** A TCP connection on Node's internal handle, without a net.Socket. */

import { type Server, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { getSystemErrorName } from "node:util";
import { markAsUntransferable } from "node:worker_threads";
import { READ_SHARE } from "../end-of-turn.ts";
import { systemError } from "../errors-without-stack.ts";
import {
  changeConnectionCount,
  clearOwner,
  closeHandle,
  closeIfDrained,
  detachHandle,
  emptyReadReason,
  type HandleEvents,
  handleOf,
  hasReadFin,
  isTcp,
  type NativeHandle,
  readIntoBuffer,
  setRef,
  shutDown,
  startReading,
  stopReading,
  writeHandle,
} from "../internals/tcp.ts";

/** The result of a call. `pending` means that the call is in progress and that its event will follow. */
export type IoResult = "done" | "pending" | NodeJS.ErrnoException;

// One read buffer for all connections: received bytes are passed on before the next read. libuv keeps the address of this memory,
// so it must not be transferred to another thread.
export const READ_BUFFER: Buffer = Buffer.alloc(READ_SHARE);
markAsUntransferable(READ_BUFFER.buffer);

// Cached views, by length. Most chunks are small, and creating a view costs more than finding a cached one.
const READ_BUFFER_VIEWS: (Uint8Array | undefined)[] = new Array(2_048).fill(undefined);

/**
 * Returns the first `size` bytes of the buffer. The view is a Uint8Array and not a `Buffer`: code that handles one array class
 * only runs faster.
 */
export function bytesRead(size: number): Uint8Array {
  const cached = READ_BUFFER_VIEWS[size];
  if (cached !== undefined) return cached;
  const view = new Uint8Array(READ_BUFFER.buffer, 0, size);
  if (size < READ_BUFFER_VIEWS.length) READ_BUFFER_VIEWS[size] = view;
  return view;
}

/** A handle that no other object uses, with its state when it was taken. */
export interface TakenHandle {
  readonly native: NativeHandle;
  /** The server whose connection count includes this connection. */
  readonly server: Server | null;
  /** True if the handle is reading. */
  readonly reading: boolean;
}

/**
 * The base class of a transport on a handle. The subclass receives the events through the abstract methods. Handle and transport
 * are one object, because every connection has both for its whole life, and two objects would take more memory.
 */
export abstract class TcpHandle implements HandleEvents {
  readonly #native: NativeHandle;
  #server: Server | null;
  #bytesRead: number;
  #reading: boolean;

  constructor({ native, server, reading }: TakenHandle) {
    this.#bytesRead = readIntoBuffer(native, this, READ_BUFFER);
    this.#native = native;
    this.#server = server;
    this.#reading = reading;
  }

  /** Received bytes, in memory that the next read overwrites. */
  abstract received(chunk: Uint8Array): void;
  /** The peer's FIN was read. */
  abstract finReceived(): void;
  abstract readFailed(error: NodeJS.ErrnoException): void;
  /** A write that had returned `pending` is complete, or has failed. */
  abstract written(error: NodeJS.ErrnoException | undefined): void;
  /** This side's FIN was sent. */
  abstract finSent(): void;

  /** Takes the handle out of `socket`. The socket must not be used afterwards. */
  protected static takeFrom(socket: Socket): TakenHandle {
    const native = handleOf(socket) as NativeHandle;
    stopReading(native);
    return { native, server: detachHandle(socket), reading: false };
  }

  /** True if `stream` is a TCP socket of Node's own class, with both directions open and no write queued. */
  protected static isSuitable(stream: Duplex): stream is Socket {
    // Excludes TLS sockets and subclasses of other libraries.
    if (Object.getPrototypeOf(stream) !== Socket.prototype) return false;
    const socket = stream as Socket;
    if (!isTcp(handleOf(socket)) || socket.remotePort === undefined) return false;
    return !socket.connecting && socket.writable && socket.writableLength === 0 && !hasReadFin(socket);
  }

  protected startReading(): IoResult {
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

  protected writeBytes(bytes: Uint8Array): IoResult {
    const status = writeHandle(this.#native, bytes, this);
    if (status === "pending") return status;
    return status === 0 ? "done" : systemError(status, "write");
  }

  /** Sends this side's FIN after the written bytes. */
  protected sendFin(): IoResult {
    const status = shutDown(this.#native, this);
    if (status === 0) return "pending";
    // If the peer is gone, there is no connection to send a FIN on.
    if (status === 1 || getSystemErrorName(status) === "ENOTCONN") return "done";
    return systemError(status, "shutdown");
  }

  protected setRef(wanted: boolean): void {
    setRef(this.#native, wanted);
  }

  /**
   * Frees the file descriptor immediately, with a reset if `how` asks for it and the handle supports it. Calls `closed` later.
   * Must be called once, as the last call.
   */
  protected closeHandle(how: "reset" | "close", closed: () => void): void {
    closeHandle(this.#native, how, callOnce(closed));
    clearOwner(this.#native);
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    changeConnectionCount(server, -1);
    closeIfDrained(server);
  }

  // HandleEvents

  onRead(total: number): void {
    const size = total - this.#bytesRead;
    if (size > 0) {
      this.#bytesRead = total;
      this.received(bytesRead(size));
      return;
    }
    const reason = emptyReadReason();
    if (reason === "end") this.finReceived();
    else if (reason !== "nothing") this.readFailed(reason);
  }

  onWritten(status: number): void {
    this.written(status === 0 ? undefined : systemError(status, "write"));
  }

  onShutDown(): void {
    this.finSent();
  }
}

/**
 * Returns a function that calls `call` once and then drops its reference to it, because Node keeps the returned function on its
 * handle.
 */
function callOnce(call: () => void): () => void {
  let pending: (() => void) | undefined = call;
  return () => {
    const now = pending;
    pending = undefined;
    now?.();
  };
}
