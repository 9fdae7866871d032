/** All uses of Node's internals for TCP: the handles of sockets and of listening servers. No other file names any of them. */

// `fast/self-test.ts` compares Node with the assumptions of this file before a connection depends on them.

import { type Server, Socket } from "node:net";
import { constants } from "node:os";
import { withoutStack } from "../errors-without-stack.ts";

/** Node's TCPWrap. Its calls return a status: 0, or an error number of libuv. Other files only pass it on. */
export interface NativeHandle {
  readonly bytesRead: number;
  /** Bytes of writes that the kernel does not have yet. */
  readonly writeQueueSize: number;
  /** Set by Node's sockets: false while the socket's own buffer is full. */
  readonly reading?: boolean;
  /** Of a TLSWrap: the handle under it. */
  readonly _parent?: NativeHandle;
  /**
   * Called after a read. With a user buffer, the received bytes are in that buffer, and their number is the change of
   * `bytesRead`. It must return undefined: any other value would become the new user buffer. Without a user buffer, the argument
   * holds the received bytes.
   */
  onread: (this: NativeHandle, bytes?: ArrayBuffer) => void;
  useUserBuffer(buffer: Uint8Array): void;
  readStart(): number;
  readStop(): number;
  /** Without a request (Node 26), it returns a request of its own if not all bytes were written at once. */
  writeBuffer(request: Request | null, bytes: Uint8Array): number | Request;
  shutdown(request: Request): number;
  close(closed?: () => void): void;
  ref(): void;
  unref(): void;
  reset(closed: () => void): number;
  /** Sets the address and port as properties of `into`. */
  getsockname(into: object): number;
  getpeername(into: object): number;
  /** The receiver of read events: a net.Socket for Node's own read callback, a HandleEvents or a ChunkReader here. */
  [owner: symbol]: unknown;
}

/** Node's WriteWrap or ShutdownWrap. */
interface Request {
  oncomplete: (this: Request, status: number) => void;
  /** Added by this library: the receiver of the completion. */
  owner: WriteEvents & Partial<ShutdownEvents>;
  /**
   * Added by this library: the bytes that libuv writes. The reference protects them from garbage collection until the request is
   * complete.
   */
  bytes: Uint8Array;
  /** -1 if there is no native request, because the write was complete at once. */
  getAsyncId(): number;
  /** Node 26: the status of a request that was complete before the call returned. */
  readonly writeStatus?: number | null;
}

const ALREADY_READING = -constants.errno.EALREADY;

/** The private members of a net.Server that are used here. */
type CountingServer = Server & { _connections: number; _emitCloseIfDrained(): void };

/** Node's TCPWrap of a listening socket, or its substitute in a worker of a cluster. */
interface ListenHandle {
  onconnection: (this: ListenHandle, status: number, native: NativeHandle | undefined) => void;
  setNoDelay?: unknown;
}

/** The private members of a net.Socket that are used here. */
interface SocketInside {
  _handle: NativeHandle | null;
  _server: CountingServer | null;
  readonly _readableState: { readonly ended: boolean };
}

/** The event of a write. */
export interface WriteEvents {
  /** A write that had returned `pending` has ended. */
  onWritten(status: number): void;
}

interface ShutdownEvents {
  /** This side's FIN was sent. */
  onShutDown(): void;
}

/** The events of a handle that reads into a user buffer. Its owner implements them. */
export interface HandleEvents extends WriteEvents, ShutdownEvents {
  /**
   * Bytes were read into the user buffer, or none: then `emptyReadReason` returns the reason. `total` is the number of bytes read
   * since the connection opened.
   */
  onRead(total: number): void;
}

/** The events of a handle that still belongs to a net.Socket. */
export interface SharedHandleEvents extends WriteEvents {
  /**
   * Bytes were read into the user buffer, or none. `total` is as in `HandleEvents`. The receiver uses the bytes, or passes them to
   * the socket with `passReadToSocket`. It must pass a read without bytes to the socket.
   */
  onRead(total: number): void;
  /** Calls `call` when no write of this receiver is in progress. */
  afterWrite(call: () => void): void;
}

/**
 * The receiver of the first read of a handle. Each chunk has memory of its own. `bytes` is undefined if there are none: then
 * `emptyReadReason` returns the reason.
 */
export interface ChunkReader {
  onRead(bytes: ArrayBuffer | undefined): void;
}

/** Values without a public name, found in Node's own sockets. */
interface Internals {
  readonly owner: symbol;
  /** Node's own read callback: it passes what was read to the net.Socket. */
  readonly read: NativeHandle["onread"];
  /** Undefined where Node creates the write requests itself (Node 26). */
  readonly WriteRequest: (new () => Request) | undefined;
  readonly ShutdownRequest: new () => Request;
  readonly reason: () => NodeJS.ErrnoException | "end" | "nothing";
}

let internals: Internals | undefined;
/** A request that is reused for successive writes of all connections, until a write is not complete at once. */
let spareRequest: Request | undefined;

/** Finds the internal names by creating a net.Socket on a fake handle. Throws if this fails. */
export function loadInternals(): void {
  if (internals !== undefined) return;
  const captured: { write?: Request | null; shutdown?: Request } = {};
  const native = {
    onread: (): void => undefined,
    writeBuffer: (request: Request | null) => {
      captured.write = request;
      return 0;
    },
    shutdown: (request: Request) => {
      captured.shutdown = request;
      return 0;
    },
  } as unknown as NativeHandle;
  const socket = new Socket({ handle: native, manualStart: true } as ConstructorParameters<typeof Socket>[0]);
  socket._write(Buffer.alloc(0), "buffer" as BufferEncoding, () => undefined);
  socket._final(() => undefined);
  const owner = Object.getOwnPropertySymbols(native).find((symbol) => native[symbol] === socket);
  if (owner === undefined) throw new Error("a handle has no reference to its socket");
  if (captured.shutdown === undefined || captured.write === undefined)
    throw new Error("a socket does not use its handle");
  internals = {
    owner,
    read: native.onread,
    WriteRequest: captured.write === null ? undefined : (captured.write.constructor as new () => Request),
    ShutdownRequest: captured.shutdown.constructor as new () => Request,
    reason: reasonBy(native.onread, owner),
  };
}

/**
 * Returns a function that finds the reason of a read without bytes: it calls Node's own read callback on a fake socket, and sees
 * which method the callback calls.
 */
function reasonBy(read: NativeHandle["onread"], owner: symbol): Internals["reason"] {
  let found: ReturnType<Internals["reason"]>;
  const socket = Object.assign(new Socket(), {
    destroy: (error: NodeJS.ErrnoException): void => {
      found = error;
    },
    push: (chunk: unknown): void => {
      if (chunk === null) found = "end";
    },
    read: (): void => undefined,
  });
  const native = { [owner]: socket } as unknown as NativeHandle;
  return () => {
    found = "nothing";
    try {
      withoutStack(() => read.call(native));
    } catch (error) {
      return error as NodeJS.ErrnoException;
    }
    return found;
  };
}

function loadedInternals(): Internals {
  if (internals === undefined) throw new Error("loadInternals() must be called first");
  return internals;
}

/**
 * Returns the reason of a read without bytes. Call it during `onRead` only. The error is the one with which Node would destroy a
 * socket.
 */
export function emptyReadReason(): NodeJS.ErrnoException | "end" | "nothing" {
  return loadedInternals().reason();
}

/** True for a TCP handle. A unix socket cannot be reset. */
export function isTcp(native: NativeHandle | null): boolean {
  return typeof native?.reset === "function";
}

export function handleOf(socket: Socket): NativeHandle | null {
  return (socket as unknown as SocketInside)._handle;
}

/** Takes the handle out of `socket`, which must not be used afterwards. Returns the server that counts the connection. */
export function detachHandle(socket: Socket): Server | null {
  const internals = socket as unknown as SocketInside;
  const { _server: server } = internals;
  internals._handle = null;
  internals._server = null;
  return server;
}

/** True if the FIN was read, even if only into the socket's own buffer. */
export function hasReadFin(socket: Socket): boolean {
  return (socket as unknown as SocketInside)._readableState.ended;
}

/** Returns the TCP socket under a TLS socket of a server. Undefined for any other stream. */
export function rawSocketOf(stream: object): Socket | undefined {
  const { _parent: parent } = stream as { readonly _parent?: unknown };
  return "encrypted" in stream && parent instanceof Socket ? parent : undefined;
}

/**
 * Returns the number of bytes of a socket that the kernel has not accepted yet. 0 if it is not known: then only a write that is
 * complete shows that the kernel accepts bytes.
 */
export function bytesBeforeKernel(socket: Socket): number {
  const { writeQueueSize } = (handleOf(socket) ?? {}) as { readonly writeQueueSize?: unknown };
  return typeof writeQueueSize === "number" ? writeQueueSize : 0;
}

/** Returns a net.Socket around a handle of another owner, for calling Node's setters only. */
export function socketAround(native: object): Socket {
  return Object.create(Socket.prototype, { _handle: { value: native } });
}

/** Makes the handle read into `buffer` from now on. Returns the number of bytes read until now. */
export function readIntoBuffer(native: NativeHandle, reader: HandleEvents, buffer: Uint8Array): number {
  native.useUserBuffer(buffer);
  native.onread = onBufferRead;
  native[loadedInternals().owner] = reader;
  return native.bytesRead;
}

// The property of a socket with the receiver of its handle's events. Not of the handle: each TLSWrap has a hidden class of its own,
// and a further property would take 600 bytes.
const SHARED_WITH = Symbol("holdfast");

type SharingSocket = Socket & { [SHARED_WITH]?: SharedHandleEvents | undefined };

/**
 * True if `socket` reads from its handle with Node's own callback only, so that `shareHandle` can be called. False before
 * `loadInternals`.
 */
export function isShareable(socket: Socket): boolean {
  const native = handleOf(socket);
  if (native === null || internals === undefined || native[internals.owner] !== socket) return false;
  // Below TLS there can be another stream of the application. Its reads can begin while bytes of another read are handled.
  return native.onread === internals.read && isTcp(native._parent ?? native);
}

/**
 * Makes the handle of `socket` read into `buffer`, and passes all reads to `reader` from now on. The socket keeps the handle: it
 * can close it, shut it down and write to it. Returns the number of bytes read until now.
 */
export function shareHandle(socket: Socket, reader: SharedHandleEvents, buffer: Uint8Array): number {
  const native = handleOf(socket) as NativeHandle;
  (socket as SharingSocket)[SHARED_WITH] = reader;
  native.useUserBuffer(buffer);
  native.onread = onSharedRead;
  return native.bytesRead;
}

function onSharedRead(this: NativeHandle): void {
  (this[loadedInternals().owner] as SharingSocket)[SHARED_WITH]?.onRead(this.bytesRead);
}

/** Returns the TCP handle below a TLSWrap. Undefined for a TCP handle. */
export function handleBelow(native: NativeHandle): NativeHandle | undefined {
  return native._parent;
}

/** Drops the reference from the socket to the receiver, as `clearOwner` does for a handle. */
export function clearSharing(socket: Socket): void {
  (socket as SharingSocket)[SHARED_WITH] = undefined;
}

/** Returns the receiver of the events of `socket`'s handle, if the handle is shared. */
export function sharedWith(socket: Socket): SharedHandleEvents | undefined {
  return (socket as SharingSocket)[SHARED_WITH];
}

/**
 * Does with a read what Node would have done without `shareHandle`. Call it during `onRead` only. Without a chunk there are no
 * bytes: an end or an error. An error has no stack: it would list the same callbacks each time.
 */
export function passReadToSocket(native: NativeHandle, chunk?: Uint8Array): void {
  const { read } = loadedInternals();
  // A copy: the socket keeps the bytes.
  if (chunk !== undefined) read.call(native, chunk.slice().buffer as ArrayBuffer);
  else withoutStack(() => read.call(native));
}

/**
 * Makes the socket's own writes, and its FIN, wait until no write of `sharedWith` is in progress. A TLSWrap can have one write
 * only: a second one would abort the process.
 */
export function serializeWrites(socket: Socket): void {
  socket._write = serializedWrite;
  socket._writev = serializedWritev;
  socket._final = serializedFinal;
}

function serializedWrite(this: Socket, ...given: Parameters<Socket["_write"]>): void {
  serialize(this, () => Socket.prototype._write.apply(this, given));
}

function serializedWritev(this: Socket, ...given: Parameters<NonNullable<Socket["_writev"]>>): void {
  serialize(this, () => Socket.prototype._writev?.apply(this, given));
}

function serializedFinal(this: Socket, ...given: Parameters<Socket["_final"]>): void {
  serialize(this, () => Socket.prototype._final.apply(this, given));
}

function serialize(socket: Socket, call: () => void): void {
  const reader = sharedWith(socket);
  if (reader === undefined) call();
  else reader.afterWrite(call);
}

export function readChunks(native: NativeHandle, reader: ChunkReader): void {
  native.onread = onChunkRead;
  native[loadedInternals().owner] = reader;
}

/**
 * Drops the reference from the handle to its owner. V8 frees a handle in a full garbage collection only. Objects that it
 * references would be kept until then: copied, and promoted to the old generation.
 */
export function clearOwner(native: NativeHandle): void {
  native[loadedInternals().owner] = undefined;
}

function onBufferRead(this: NativeHandle): void {
  (this[loadedInternals().owner] as HandleEvents).onRead(this.bytesRead);
}

function onChunkRead(this: NativeHandle, bytes?: ArrayBuffer): void {
  (this[loadedInternals().owner] as ChunkReader).onRead(bytes);
}

/** Returns a status. A handle that reads already is no error: the socket of a shared handle may have started it. */
export function startReading(native: NativeHandle): number {
  const status = native.readStart();
  return status === ALREADY_READING ? 0 : status;
}

export function stopReading(native: NativeHandle): void {
  native.readStop();
}

/** Returns a status, or `pending` if the write is not complete. */
export function writeHandle(native: NativeHandle, bytes: Uint8Array, owner: WriteEvents): number | "pending" {
  const result = startWrite(native, bytes);
  if (typeof result === "number") return result;
  result.bytes = bytes;
  result.owner = owner;
  result.oncomplete = onWritten;
  return "pending";
}

/** As `writeHandle`, for a TLSWrap: it can report the end of a failed write during the call, and then returns `pending` too. */
export function writeTlsHandle(native: NativeHandle, bytes: Uint8Array, owner: WriteEvents): number | "pending" {
  const { WriteRequest } = loadedInternals();
  if (WriteRequest === undefined) return writeHandle(native, bytes, owner);
  const request = new WriteRequest();
  request.bytes = bytes;
  request.owner = owner;
  request.oncomplete = onWritten;
  const status = native.writeBuffer(request, bytes) as number;
  return status === 0 ? "pending" : status;
}

function startWrite(native: NativeHandle, bytes: Uint8Array): number | Request {
  const { WriteRequest } = loadedInternals();
  if (WriteRequest === undefined) {
    const result = native.writeBuffer(null, bytes);
    return typeof result === "number" ? result : (result.writeStatus ?? result);
  }
  spareRequest ??= new WriteRequest();
  const request = spareRequest;
  const status = native.writeBuffer(request, bytes) as number;
  if (status === 0 && request.getAsyncId() === -1) return status;
  spareRequest = undefined;
  return status === 0 ? request : status;
}

function onWritten(this: Request, status: number): void {
  this.owner.onWritten(status);
}

/** Sends this side's FIN after the written bytes. Returns 0 if `onShutDown` follows, and 1 if the FIN is already sent. */
export function shutDown(native: NativeHandle, owner: HandleEvents): number {
  const { ShutdownRequest } = loadedInternals();
  const request = new ShutdownRequest();
  request.owner = owner;
  request.oncomplete = onShutDown;
  return native.shutdown(request);
}

function onShutDown(this: Request): void {
  this.owner.onShutDown?.();
}

/** Frees the file descriptor immediately, with a reset if `how` asks for it and the handle supports it. Calls `closed` later. */
export function closeHandle(native: NativeHandle, how: "close" | "reset", closed: () => void): void {
  if (how === "close" || native.reset(closed) !== 0) native.close(closed);
}

/** Sets whether the open handle keeps the process alive while it is reading. */
export function setRef(native: NativeHandle, wanted: boolean): void {
  if (wanted) native.ref();
  else native.unref();
}

/** Returns the local or the remote address. Unknown parts are undefined. */
export function addressOf(native: NativeHandle, end: "local" | "remote"): { address?: string; port?: number } {
  const found = {};
  if (end === "local") native.getsockname(found);
  else native.getpeername(found);
  return found;
}

/** Changes the number of connections that `server` waits for before it closes. */
export function changeConnectionCount(server: Server, change: 1 | -1): void {
  (server as CountingServer)._connections += change;
}

/** Closes `server` if its `close` was called and no connections are left. */
export function closeIfDrained(server: Server): void {
  (server as CountingServer)._emitCloseIfDrained();
}

/**
 * Passes each handle that `server` accepts to `accepted` from now on. The server must be listening. `acceptNormally` does what
 * Node would have done with a handle: it creates a net.Socket and emits "connection". `listener` is the listening handle, for
 * socket options that accepted sockets inherit.
 */
export function interceptAccepted(
  server: Server,
  accepted: (native: NativeHandle) => void,
): { readonly acceptNormally: (native: NativeHandle) => void; readonly listener: object | undefined } {
  const listener = (server as unknown as { readonly _handle: ListenHandle | null })._handle;
  if (typeof listener?.onconnection !== "function") throw new Error("a server has no handle that accepts");
  const { onconnection } = listener;
  listener.onconnection = (status, native) => {
    if (status === 0 && native !== undefined) accepted(native);
    else onconnection.call(listener, status, native);
  };
  return {
    acceptNormally: (native) => onconnection.call(listener, 0, native),
    listener: typeof listener.setNoDelay === "function" ? listener : undefined,
  };
}
