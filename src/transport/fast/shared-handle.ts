/** The transport on the handle of a socket that its owner keeps: only reads and writes use the handle, all else uses the socket. */

import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import { systemError } from "../errors-without-stack.ts";
import {
  clearSharing,
  handleBelow,
  handleOf,
  hasReadFin,
  isShareable,
  type NativeHandle,
  passReadToSocket,
  type SharedHandleEvents,
  serializeWrites,
  sharedWith,
  shareHandle,
  startReading,
  stopReading,
  writeHandle,
  writeTlsHandle,
} from "../internals/tcp.ts";
import { SocketTransport } from "../socket/socket.ts";
import { bytesRead, READ_BUFFER } from "./handle.ts";

// Methods that an application may have replaced on one socket, in order to see its bytes.
const METHODS = ["write", "push", "read", "_write", "_writev"] as const;

const READ_EVENTS: readonly (string | symbol)[] = ["data", "readable"];

// A larger write can remain in TLS partly.
const MAX_WRITE_AT_ONCE = 65_536;

export class SharedHandleTransport extends SocketTransport implements SharedHandleEvents {
  readonly #native: NativeHandle;
  readonly #socket: Socket;
  /** The handle under TLS. Undefined without TLS. */
  readonly #tcpUnderTls: NativeHandle | undefined;
  /** True if received bytes take the short way. Otherwise they are passed to the socket, and come back as `data` events. */
  #direct = false;
  /** True if the owner reads the socket too. Then all bytes take the way of the socket. */
  #exposed = false;
  /** True after `stopReading`, until the next turn. */
  #stopped = false;
  /** True while the socket has bytes to write that were passed to it before this transport existed. */
  #queuedBefore: boolean;
  #bytesRead = -1;
  /** Bytes of the write that returned false. */
  #unwritten = 0;
  /**
   * Under TLS: true until Node reports the end of the write. That is in the check phase at the earliest, also if the kernel has
   * all bytes before. Until then TLS accepts no other write.
   */
  #tlsWriting = false;
  /** Bytes that wait for the end of the write under TLS. */
  #next: Uint8Array | undefined;
  /** A write or the FIN of the socket itself, which waits in the same way. */
  #afterWrite: (() => void) | undefined;

  private constructor(socket: Socket, head: Uint8Array | undefined) {
    super(socket, head);
    this.#socket = socket;
    this.#native = handleOf(socket) as NativeHandle;
    this.#tcpUnderTls = handleBelow(this.#native);
    this.#queuedBefore = socket.writableLength > 0;
  }

  /**
   * Returns undefined, and changes nothing, if `stream` is not suitable: it is not a TCP or TLS socket of Node's own class, it is
   * not open in both directions, or the application reads or changes what passes through it.
   */
  static fromStream(stream: Duplex, head?: Uint8Array): SharedHandleTransport | undefined {
    const prototype = Object.getPrototypeOf(stream);
    if (prototype !== Socket.prototype && prototype !== TLSSocket.prototype) return undefined;
    const socket = stream as Socket;
    if (socket.connecting || !socket.writable || hasReadFin(socket) || !isShareable(socket)) return undefined;
    if (READ_EVENTS.some((name) => socket.listenerCount(name) > 0)) return undefined;
    if (METHODS.some((name) => Object.hasOwn(socket, name))) return undefined;
    return new SharedHandleTransport(socket, head);
  }

  override get queuedBytes(): number {
    return this.#unwritten + this.#socket.writableLength;
  }

  protected override startReading(): void {
    super.startReading();
    this.#bytesRead = shareHandle(this.#socket, this, READ_BUFFER);
    if (this.#tcpUnderTls !== undefined) serializeWrites(this.#socket);
    // Last: it is called for each listener that is added after it.
    this.#socket.on("pause", onPause).on("resume", onResume).on("newListener", onNewListener);
    this.readDirectly();
  }

  /** Reads without the socket from now on, if neither side has paused it and it has no bytes before these. */
  readDirectly(): void {
    const socket = this.#socket;
    this.#direct = !(
      this.paused ||
      this.#exposed ||
      socket.isPaused() ||
      socket.readableLength > 0 ||
      hasReadFin(socket) ||
      this.#bytesRead < 0
    );
  }

  /** The socket is paused. It buffers what is still read, up to its own limit, and stops the handle. */
  readThroughSocket(): void {
    this.#direct = false;
  }

  /** The owner has begun to read the socket. */
  expose(): void {
    this.#exposed = true;
    this.#direct = false;
  }

  override pause(): void {
    this.#direct = false;
    super.pause();
  }

  override resume(): void {
    super.resume();
    this.readDirectly();
  }

  protected override received(chunk: Uint8Array): void {
    super.received(chunk);
    if (!this.#direct) this.readDirectly();
  }

  protected override stopForTurn(): void {
    if (!this.#direct) {
      super.stopForTurn();
      return;
    }
    this.#stopped = true;
    stopReading(this.#native);
  }

  override continueReading(): void {
    if (this.#stopped) {
      this.#stopped = false;
      // If the socket has stopped the handle meanwhile, it starts it too.
      if (!this.#socket.destroyed && this.#native.reading !== false)
        this.#destroyUnless(startReading(this.#native), "read");
    }
    super.continueReading();
  }

  override write(bytes: Uint8Array): boolean {
    if (this.#tlsWriting) {
      this.#next = bytes;
      this.#unwritten = bytes.length;
      return false;
    }
    if (this.#mustUseSocket()) return super.write(bytes);
    return this.#tcpUnderTls === undefined ? this.#writeDirectly(bytes) : this.#writeTls(bytes, this.#tcpUnderTls);
  }

  #mustUseSocket(): boolean {
    const socket = this.#socket;
    // The socket restarts its timeout, and knows how to write while it is being closed.
    if (socket.timeout || this.#bytesRead < 0) return true;
    if (this.#tcpUnderTls !== undefined) return socket.writableLength > 0 || socket.writableEnded || socket.destroyed;
    if (this.#queuedBefore) this.#queuedBefore = socket.writableLength > 0;
    return this.#queuedBefore;
  }

  #writeDirectly(bytes: Uint8Array): boolean {
    const status = writeHandle(this.#native, bytes, this);
    if (status === 0) return true;
    if (status === "pending") this.#unwritten = bytes.length;
    else this.#destroyUnless(status, "write");
    return false;
  }

  #writeTls(bytes: Uint8Array, tcp: NativeHandle): boolean {
    this.#tlsWriting = true;
    const status = writeTlsHandle(this.#native, bytes, this);
    if (status !== "pending") {
      this.#tlsWriting = false;
      this.#destroyUnless(status, "write");
      return status === 0;
    }
    // The write has failed during the call, and the socket is destroyed.
    if (!this.#tlsWriting) return false;
    // TLS has encrypted the bytes, and the kernel has them.
    if (bytes.length <= MAX_WRITE_AT_ONCE && tcp.writeQueueSize === 0) return true;
    this.#unwritten = bytes.length;
    return false;
  }

  override release(): void {
    if (!this.#tlsWriting) {
      super.release();
      return;
    }
    // TLS may still have bytes, if it was writing something of its own when this side wrote.
    const before = this.#afterWrite;
    this.#afterWrite = () => {
      before?.();
      super.release();
    };
  }

  #destroyUnless(status: number, call: "read" | "write"): void {
    // After the owner's `destroy` every call fails, and `close` follows.
    if (status !== 0 && !this.#socket.destroyed) this.#socket.destroy(systemError(status, call));
  }

  protected override streamClosed(): void {
    this.#direct = false;
    this.#bytesRead = -1;
    clearSharing(this.#socket);
  }

  // SharedHandleEvents

  onRead(total: number): void {
    const size = total - this.#bytesRead;
    if (size <= 0) {
      passReadToSocket(this.#native);
      return;
    }
    this.#bytesRead = total;
    const chunk = bytesRead(size);
    // The socket restarts its timeout.
    if (this.#direct && !this.#socket.timeout) this.received(chunk);
    else passReadToSocket(this.#native, chunk);
  }

  onWritten(status: number): void {
    const [next, afterWrite, unwritten] = [this.#next, this.#afterWrite, this.#unwritten];
    this.#tlsWriting = false;
    this.#next = undefined;
    this.#afterWrite = undefined;
    this.#unwritten = 0;
    afterWrite?.();
    if (status !== 0) this.#destroyUnless(status, "write");
    else if (next !== undefined) {
      if (this.write(next)) this.events?.written();
    } else if (unwritten > 0) this.events?.written();
  }

  afterWrite(call: () => void): void {
    if (this.#tlsWriting) this.#afterWrite = call;
    else call();
  }
}

// One function for all sockets, because functions for each would take memory.

function onNewListener(this: Socket, name: string | symbol): void {
  if (READ_EVENTS.includes(name)) transportOn(this)?.expose();
}

function onPause(this: Socket): void {
  transportOn(this)?.readThroughSocket();
}

function onResume(this: Socket): void {
  transportOn(this)?.readDirectly();
}

function transportOn(socket: Socket): SharedHandleTransport | undefined {
  return sharedWith(socket) as SharedHandleTransport | undefined;
}
