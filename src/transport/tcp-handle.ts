/** Node's own handle of a TCP socket, without the net.Socket around it. Beside it, only `tcp-arrivals.ts` and `kept-zlib.ts` name Node's internals. */

// `trial.ts` finds out whether they are as they are known here, before a connection depends on them.

import { type Server, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { getSystemErrorName } from "node:util";
import { markAsUntransferable } from "node:worker_threads";
import { stackless } from "./stackless.js";
import { SHARE } from "./turn.js";

/** What became of a call: it is done, it goes on and its event will come, or it has failed. */
export type Outcome = "done" | "waits" | NodeJS.ErrnoException;

/** Node's TCPWrap, as far as it is used. Its calls answer with 0 or an error of libuv. */
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
  /** Answers with 1 if it is done already. */
  shutdown(request: Request): number;
  close(closed?: () => void): void;
  reset(closed: () => void): number;
  /** Fills `into` with an address and a port. */
  getsockname(into: object): number;
  getpeername(into: object): number;
  /** Who is told of its reads: for Node's own readers a net.Socket, here a TcpHandle. */
  [owner: symbol]: unknown;
}

/** Node's WriteWrap or ShutdownWrap. */
interface Request {
  oncomplete: (this: Request, status: number) => void;
  /** Ours: whom to tell. */
  handle: TcpHandle;
  /** Ours: what libuv reads from until the request is complete, kept from the garbage collector. */
  bytes: Uint8Array;
  /** -1 as long as there is no native request behind it: the write was done at once. */
  getAsyncId(): number;
  /** Node 26: of a request that was complete before its caller could look at it. */
  readonly writeStatus?: number | null;
}

/** What is behind a net.Server: how many connections it waits for before it is closed. */
export type CountingServer = Server & { _connections: number; _emitCloseIfDrained(): void };

/** What is behind a net.Socket. */
interface Internals {
  _handle: Native | null;
  _server: CountingServer | null;
  readonly _readableState: { readonly ended: boolean };
}

/** What only Node's own sockets can tell of Node's own handles. */
export interface Knowledge {
  readonly owner: symbol;
  /** Undefined where Node makes the requests of writes itself. */
  readonly WriteRequest: (new () => Request) | undefined;
  readonly ShutdownRequest: new () => Request;
  /** Tells what a read without bytes was, of which the error is the one that Node would destroy a socket with. */
  readonly reason: () => NodeJS.ErrnoException | "end" | "nothing";
}

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
    WriteRequest: asked.write === null ? undefined : constructorOf(asked.write),
    ShutdownRequest: constructorOf(asked.shutdown),
    reason: reasonBy(native.onread, owner),
  };
}

function constructorOf(request: Request): new () => Request {
  return request.constructor as new () => Request;
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
  const look = (): void => read.call(native);
  return () => {
    found = "nothing";
    try {
      stackless(look);
    } catch (error) {
      return error as NodeJS.ErrnoException;
    }
    return found;
  };
}

export function known(): Knowledge {
  if (knowledge === undefined) throw new Error("learn() comes first");
  return knowledge;
}

/** Answers with a status if the write was done or has failed at once, else with its request. */
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

/** For the trial: a write on a socket that is still connecting, which cannot be done at once. */
export function writeLater(socket: Socket, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const native = (socket as unknown as Internals)._handle;
    const request = native === null ? 0 : dispatch(native, bytes);
    if (typeof request === "number") {
      reject(new Error(`a write that has to wait was answered with ${request}`));
      return;
    }
    request.bytes = bytes;
    request.oncomplete = (status) => {
      if (status === 0) resolve();
      else reject(systemError(status, "write"));
    };
  });
}

/** As Node makes them. */
function systemError(status: number, syscall: string): NodeJS.ErrnoException {
  const code = getSystemErrorName(status);
  return Object.assign(
    stackless(() => new Error(`${syscall} ${code}`)),
    { errno: status, code, syscall },
  );
}

function onRead(this: Native): void {
  (this[known().owner] as TcpHandle).onRead();
}

function onWritten(this: Request, status: number): void {
  this.handle.written(status === 0 ? undefined : systemError(status, "write"));
}

function onShutDown(this: Request): void {
  this.handle.endSent();
}

/** A handle that nobody else uses, as it was found. */
export interface Taken {
  readonly native: Native;
  /** The server that counts this connection. */
  readonly server: CountingServer | null;
  /** Whether it reads. */
  readonly reading: boolean;
}

/** What happens on it is told to who extends it: one object, because every connection has it for all its life. */
export abstract class TcpHandle {
  readonly #native: Native;
  #server: CountingServer | null;
  #bytesRead: number;
  #reading: boolean;

  constructor({ native, server, reading }: Taken) {
    native.useUserBuffer(BUFFER);
    native.onread = onRead;
    native[known().owner] = this;
    this.#native = native;
    this.#server = server;
    this.#bytesRead = native.bytesRead;
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
    const inside = socket as unknown as Internals;
    const native = inside._handle as Native;
    native.readStop();
    const taken = { native, server: inside._server, reading: false };
    inside._handle = null;
    inside._server = null;
    return taken;
  }

  /** Whether `stream` is a TCP socket of Node's own, both of whose directions are open and idle. */
  protected static fits(stream: Duplex): stream is Socket {
    // Neither TLS nor somebody's own kind of socket; nor a unix socket, which cannot be reset.
    if (Object.getPrototypeOf(stream) !== Socket.prototype) return false;
    const socket = stream as Socket;
    const { _handle: native, _readableState: readable } = socket as unknown as Internals;
    if (native === null || typeof native.reset !== "function" || socket.remotePort === undefined) return false;
    return !socket.connecting && socket.writable && socket.writableLength === 0 && !readable.ended;
  }

  protected startReading(): Outcome {
    if (this.#reading) return "done";
    const status = this.#native.readStart();
    if (status !== 0) return systemError(status, "read");
    this.#reading = true;
    return "done";
  }

  protected stopReading(): void {
    this.#reading = false;
    this.#native.readStop();
  }

  /** Called by Node. */
  onRead(): void {
    const total = this.#native.bytesRead;
    const size = total - this.#bytesRead;
    if (size > 0) {
      this.#bytesRead = total;
      this.read(beginning(size));
      return;
    }
    const reason = known().reason();
    if (reason === "end") this.readEnded();
    else if (reason !== "nothing") this.readFailed(reason);
  }

  protected handOver(bytes: Uint8Array): Outcome {
    const answer = dispatch(this.#native, bytes);
    if (typeof answer === "number") return answer === 0 ? "done" : systemError(answer, "write");
    answer.bytes = bytes;
    answer.handle = this;
    answer.oncomplete = onWritten;
    return "waits";
  }

  /** Sends our FIN behind what was written. */
  protected sendEnd(): Outcome {
    const { ShutdownRequest } = known();
    const request = new ShutdownRequest();
    request.handle = this;
    request.oncomplete = onShutDown;
    const status = this.#native.shutdown(request);
    if (status === 0) return "waits";
    // A peer that is gone has no use for our FIN.
    if (status === 1 || getSystemErrorName(status) === "ENOTCONN") return "done";
    return systemError(status, "shutdown");
  }

  /** Frees the descriptor at once, with a reset if that can be had, and calls `closed` later. Called once, and last. */
  protected free(reset: boolean, closed: () => void): void {
    const tell = once(closed);
    if (!reset || this.#native.reset(tell) !== 0) this.#native.close(tell);
    // V8 frees what Node's handle is in a full collection only. What hangs on it would be kept until then, copied and aged.
    this.#native[known().owner] = undefined;
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    server._connections -= 1;
    server._emitCloseIfDrained();
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
