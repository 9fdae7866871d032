/** What is used of Node's internals: the handles of TCP sockets, of listening servers and of zlib. No other file names any. */

// A trial finds out whether it is as it is known here, before anything depends on it: `trial.ts` of sockets, `kept-zlib.ts` of zlib.

import { type Server, Socket } from "node:net";
import type { DeflateRaw, InflateRaw } from "node:zlib";
import { stackless } from "./stackless.js";

/** Node's TCPWrap. Its calls answer with a status: 0, or an error of libuv. Everybody else only hands it on. */
export interface Native {
  readonly bytesRead: number;
  /**
   * What came lies in the user's buffer; how much is to be found elsewhere. To return anything would name another buffer.
   * Before there is such a buffer, what came is the argument.
   */
  onread: (this: Native, bytes?: ArrayBuffer) => void;
  useUserBuffer(buffer: Uint8Array): void;
  readStart(): number;
  readStop(): number;
  /** Given no request (Node 26), it answers with one of its own if the bytes did not all go at once. */
  writeBuffer(request: Request | null, bytes: Uint8Array): number | Request;
  shutdown(request: Request): number;
  close(closed?: () => void): void;
  reset(closed: () => void): number;
  /** Fills `into` with an address and a port. */
  getsockname(into: object): number;
  getpeername(into: object): number;
  /** Who is told of its reads: for Node's own readers a net.Socket, here a Reader or an Owner. */
  [owner: symbol]: unknown;
}

/** Node's WriteWrap or ShutdownWrap. */
interface Request {
  oncomplete: (this: Request, status: number) => void;
  /** Ours: whom to tell. */
  owner: Owner;
  /** Ours: what libuv reads from until the request is complete, kept from the garbage collector. */
  bytes: Uint8Array;
  /** -1 as long as there is no native request behind it: the write was done at once. */
  getAsyncId(): number;
  /** Node 26: of a request that was complete before its caller could look at it. */
  readonly writeStatus?: number | null;
}

/** What is behind a net.Server. */
type CountingServer = Server & { _connections: number; _emitCloseIfDrained(): void };

/** Node's TCPWrap of a socket that listens, or what stands for it in a worker of a cluster. */
interface Listener {
  onconnection: (this: Listener, status: number, native: Native | undefined) => void;
  setNoDelay?: unknown;
}

/** What is behind a net.Socket. */
interface SocketInside {
  _handle: Native | null;
  _server: CountingServer | null;
  readonly _readableState: { readonly ended: boolean };
}

/** Who reads from a native, and writes to it. */
export interface Owner {
  /** Something was read into its buffer, or nothing for a reason. `total` bytes have been read since the beginning. */
  onRead(total: number): void;
  /** A write that had to wait has ended. */
  onWritten(status: number): void;
  /** Our FIN has been sent. */
  onShutDown(): void;
}

/** Who reads from a native first. `bytes` are in memory of their own; undefined if there are none for a reason. */
export interface Reader {
  onRead(bytes: ArrayBuffer | undefined): void;
}

/** What only Node's own sockets can tell of Node's own handles. */
interface Knowledge {
  readonly owner: symbol;
  /** Undefined where Node makes the requests of writes itself. */
  readonly WriteRequest: (new () => Request) | undefined;
  readonly ShutdownRequest: new () => Request;
  readonly reason: () => NodeJS.ErrnoException | "end" | "nothing";
}

let knowledge: Knowledge | undefined;
/** Serves one write after the other, on whatever connection, until one is not done at once. */
let spare: Request | undefined;

/** Learns what has no public name from a net.Socket that is given a handle of our own. Throws if it cannot be learnt. */
export function learn(): void {
  if (knowledge !== undefined) return;
  const asked: { write?: Request | null; shutdown?: Request } = {};
  const native = {
    onread: (): void => undefined,
    writeBuffer: (request: Request | null) => {
      asked.write = request;
      return 0;
    },
    shutdown: (request: Request) => {
      asked.shutdown = request;
      return 0;
    },
  } as unknown as Native;
  const socket = new Socket({ handle: native, manualStart: true } as ConstructorParameters<typeof Socket>[0]);
  socket._write(Buffer.alloc(0), "buffer" as BufferEncoding, () => undefined);
  socket._final(() => undefined);
  const owner = Object.getOwnPropertySymbols(native).find((symbol) => native[symbol] === socket);
  if (owner === undefined) throw new Error("a handle does not know its socket");
  if (asked.shutdown === undefined || asked.write === undefined) throw new Error("a socket does not use its handle");
  knowledge = {
    owner,
    WriteRequest: asked.write === null ? undefined : (asked.write.constructor as new () => Request),
    ShutdownRequest: asked.shutdown.constructor as new () => Request,
    reason: reasonBy(native.onread, owner),
  };
}

/** What Node's own reader does to its socket tells what it has found. */
function reasonBy(read: Native["onread"], owner: symbol): Knowledge["reason"] {
  let found: ReturnType<Knowledge["reason"]>;
  const socket = Object.assign(new Socket(), {
    destroy: (error: NodeJS.ErrnoException): void => {
      found = error;
    },
    push: (chunk: unknown): void => {
      if (chunk === null) found = "end";
    },
    read: (): void => undefined,
  });
  const native = { [owner]: socket } as unknown as Native;
  return () => {
    found = "nothing";
    try {
      stackless(() => read.call(native));
    } catch (error) {
      return error as NodeJS.ErrnoException;
    }
    return found;
  };
}

function known(): Knowledge {
  if (knowledge === undefined) throw new Error("learn() comes first");
  return knowledge;
}

/** While a read without bytes is told: what it was. The error is the one that Node would destroy a socket with. */
export function reasonOfNothing(): NodeJS.ErrnoException | "end" | "nothing" {
  return known().reason();
}

/** Not a unix socket, which cannot be reset. */
export function isTcp(native: Native | null): boolean {
  return typeof native?.reset === "function";
}

export function nativeOf(socket: Socket): Native | null {
  return (socket as unknown as SocketInside)._handle;
}

/** Takes its native from `socket`, which is of no use behind that. Answers with the server that counts the connection. */
export function release(socket: Socket): Server | null {
  const inside = socket as unknown as SocketInside;
  const { _server: server } = inside;
  inside._handle = null;
  inside._server = null;
  return server;
}

/** Whether a FIN has been read, if only into the socket's own buffer. */
export function hasReadEnd(socket: Socket): boolean {
  return (socket as unknown as SocketInside)._readableState.ended;
}

/** A net.Socket around what is somebody else's: for Node's own setters. */
export function shellOf(native: object): Socket {
  return Object.create(Socket.prototype, { _handle: { value: native } });
}

/** Reads into `buffer` from now on. Answers with how many bytes have been read until now. */
export function own(native: Native, owner: Owner, buffer: Uint8Array): number {
  native.useUserBuffer(buffer);
  native.onread = toOwner;
  native[known().owner] = owner;
  return native.bytesRead;
}

export function readBy(native: Native, reader: Reader): void {
  native.onread = toReader;
  native[known().owner] = reader;
}

/** V8 frees what a native is in a full collection only. What hangs on it would be kept until then, copied and aged. */
export function disown(native: Native): void {
  native[known().owner] = undefined;
}

function toOwner(this: Native): void {
  (this[known().owner] as Owner).onRead(this.bytesRead);
}

function toReader(this: Native, bytes?: ArrayBuffer): void {
  (this[known().owner] as Reader).onRead(bytes);
}

export function startReading(native: Native): number {
  return native.readStart();
}

export function stopReading(native: Native): void {
  native.readStop();
}

/** Answers with a status, unless it has to wait. */
export function write(native: Native, bytes: Uint8Array, owner: Owner): number | "waits" {
  const answer = dispatch(native, bytes);
  if (typeof answer === "number") return answer;
  answer.bytes = bytes;
  answer.owner = owner;
  answer.oncomplete = onWritten;
  return "waits";
}

function dispatch(native: Native, bytes: Uint8Array): number | Request {
  const { WriteRequest } = known();
  if (WriteRequest === undefined) {
    const answer = native.writeBuffer(null, bytes);
    return typeof answer === "number" ? answer : (answer.writeStatus ?? answer);
  }
  spare ??= new WriteRequest();
  const request = spare;
  const status = native.writeBuffer(request, bytes) as number;
  if (status === 0 && request.getAsyncId() === -1) return status;
  spare = undefined;
  return status === 0 ? request : status;
}

function onWritten(this: Request, status: number): void {
  this.owner.onWritten(status);
}

/** Sends our FIN behind what was written. Answers with 0 if its owner will be told, and with 1 if it is sent already. */
export function shutDown(native: Native, owner: Owner): number {
  const { ShutdownRequest } = known();
  const request = new ShutdownRequest();
  request.owner = owner;
  request.oncomplete = onShutDown;
  return native.shutdown(request);
}

function onShutDown(this: Request): void {
  this.owner.onShutDown();
}

/** Frees the descriptor at once, with a reset if that is wanted and can be had, and calls `closed` later. */
export function close(native: Native, how: "close" | "reset", closed: () => void): void {
  if (how === "close" || native.reset(closed) !== 0) native.close(closed);
}

/** Where it is connected. What is not known is undefined. */
export function nameOf(native: Native, end: "local" | "remote"): { address?: string; port?: number } {
  const found = {};
  if (end === "local") native.getsockname(found);
  else native.getpeername(found);
  return found;
}

/** So many connections more, or fewer, for which `server` waits before it is closed. */
export function count(server: Server, change: 1 | -1): void {
  (server as CountingServer)._connections += change;
}

/** Closes `server` if that was asked for, and it waits for nobody any more. */
export function closeIfDrained(server: Server): void {
  (server as CountingServer)._emitCloseIfDrained();
}

/**
 * From now on `accepted` is told of who connects to `server`, which listens. `connected` does with it what Node would have done:
 * it makes a net.Socket and emits "connection". `listener` may be told of options that those who connect inherit.
 */
export function takeAccepted(
  server: Server,
  accepted: (native: Native) => void,
): { readonly connected: (native: Native) => void; readonly listener: object | undefined } {
  const listener = (server as unknown as { readonly _handle: Listener | null })._handle;
  if (typeof listener?.onconnection !== "function") throw new Error("a server has no handle that accepts");
  const { onconnection } = listener;
  listener.onconnection = (status, native) => {
    if (status === 0 && native !== undefined) accepted(native);
    else onconnection.call(listener, status, native);
  };
  return {
    connected: (native) => onconnection.call(listener, 0, native),
    listener: typeof listener.setNoDelay === "function" ? listener : undefined,
  };
}

/** What is behind a stream of zlib. */
interface ZlibInside {
  readonly _handle: {
    onerror: (message: string, errno: number, code: string) => void;
    /** Tells in the state how much room and how much input is left. */
    writeSync(...run: Run): void;
  };
  readonly _writeState: Uint32Array;
  /** Deprecated, and what the synchronous calls are made of. Closes the stream. */
  _processChunk(chunk: Uint8Array, flush: number): Uint8Array;
}

type Run = [flush: number, input: Uint8Array, from: number, size: number, output: Uint8Array, at: number, room: number];

/** A stream of zlib that is used at once, on memory of its user's. */
export class ZlibHandle {
  readonly #inside: ZlibInside;

  constructor(stream: DeflateRaw | InflateRaw, failed: (error: NodeJS.ErrnoException) => void) {
    this.#inside = stream as unknown as ZlibInside;
    const { _handle: handle } = this.#inside;
    handle.onerror = (message, errno, code) => failed(Object.assign(new Error(message), { errno, code }));
  }

  run(...run: Run): void {
    this.#inside._handle.writeSync(...run);
  }

  /** What the last run has left of its output. */
  get room(): number {
    return this.#inside._writeState[0] as number;
  }

  /** What the last run has left of its input. */
  get rest(): number {
    return this.#inside._writeState[1] as number;
  }
}

/** How Node itself runs `stream`, which is of no use behind that, to take `chunk`. */
export function runsOf(stream: DeflateRaw | InflateRaw, chunk: Uint8Array, flush: number): unknown[][] {
  const inside = stream as unknown as ZlibInside;
  const { _handle: handle } = inside;
  const runs: Run[] = [];
  const { writeSync } = handle;
  handle.writeSync = (...run) => {
    runs.push(run);
    Reflect.apply(writeSync, handle, run);
  };
  inside._processChunk(chunk, flush);
  return runs;
}
