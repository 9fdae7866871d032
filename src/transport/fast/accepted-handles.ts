/** Reads the first bytes of connections that a server has accepted, before a net.Socket exists. */

import type { Server, Socket } from "node:net";
import type { Refusal } from "../../base/refusals.ts";
import { after, type Clock, type Instant, reached, type Wakeup } from "../../base/time.ts";
import { type SlotBlock, SlotList } from "../../engine/queue/slot-list.ts";
import {
  addressOf,
  type ChunkReader,
  changeConnectionCount,
  closeHandle,
  closeIfDrained,
  emptyReadReason,
  interceptAccepted,
  type NativeHandle,
  readChunks,
  socketAround,
  startReading,
  stopReading,
} from "../internals/tcp.ts";
import { EVICTED, PendingOpening, type PendingOpenings } from "../listen/pending-openings.ts";
import type { RefusedListener } from "../listen/refused-opening.ts";
import type { Endpoints } from "../transport.ts";
import type { TakenHandle } from "./handle.ts";

type SocketAddress = ReturnType<typeof addressOf>;

export interface AcceptedHandlesOptions {
  readonly clock: Clock;
  /** How long a connection may send nothing before it is closed, in milliseconds. */
  readonly openTimeout: number;
  /** Called before a connection is closed that has sent nothing. */
  readonly refused?: RefusedListener | undefined;
  /** Bounds the number of connections that have no complete request. Undefined: there is no bound. */
  readonly pending?: PendingOpenings | undefined;
  /** Sets options of a socket. */
  readonly prepare: (socket: Socket) => void;
  /** Called with the first bytes of a connection. Before it returns, it must call `toSocket`, `toHandle`, `refuse` or `drop`. */
  readonly firstBytes: (accepted: AcceptedHandle, bytes: Buffer) => void;
  /**
   * Called if the peer's FIN arrives before any bytes. Before it returns, it must call `toSocket`, `toHandle`, `refuse` or
   * `drop`.
   */
  readonly ended: (accepted: AcceptedHandle) => void;
}

// On Linux an accepted socket inherits the options of the listening socket. Other systems may inherit fewer.
const INHERITS = process.platform === "linux";

const ALL_INTERFACES: readonly string[] = ["0.0.0.0", "::"];

/** Receives all connections that a listening server accepts after this object is constructed, until the server closes. */
export class AcceptedHandles {
  readonly server: Server;
  /** True during `toSocket`: the server's "connection" event then belongs to that call, and not to a new connection. */
  creatingSocket = false;
  readonly #acceptNormally: (native: NativeHandle) => void;
  readonly options: AcceptedHandlesOptions;
  /**
   * The local address and port of all connections. Undefined if the server listens on all interfaces, so that each connection
   * must be queried.
   */
  readonly local: SocketAddress | undefined;
  readonly #inherited: boolean;
  /** Connections that have sent nothing yet, the oldest first. */
  readonly #silent = new SlotList<AcceptedHandle>();
  #wakeup: Wakeup | undefined;

  /** `server` must be listening on TCP without TLS, and must not have accepted a connection yet. */
  constructor(server: Server, options: AcceptedHandlesOptions) {
    this.server = server;
    this.options = options;
    const bound = server.address();
    if (typeof bound === "object" && bound !== null && !ALL_INTERFACES.includes(bound.address)) {
      this.local = { address: bound.address, port: bound.port };
    }
    const { acceptNormally, listener } = interceptAccepted(server, (native) => this.#accept(native));
    this.#acceptNormally = acceptNormally;
    this.#inherited = INHERITS && listener !== undefined;
    if (INHERITS && listener !== undefined) this.#prepare(listener);
  }

  /** Closes the connections that have sent nothing yet, because the server is closing. */
  drop(): void {
    this.#wakeup?.cancel();
    for (const accepted of this.#silent) accepted.refuse("closing", "the server is closing");
  }

  /** Does what Node does with an accepted connection: creates a net.Socket and emits "connection" on the server. */
  toSocket(native: NativeHandle): Socket {
    const sockets: Socket[] = [];
    const onConnection = (socket: Socket): void => void sockets.push(socket);
    this.creatingSocket = true;
    this.server.on("connection", onConnection);
    try {
      this.#acceptNormally(native);
    } finally {
      this.server.off("connection", onConnection);
      this.creatingSocket = false;
    }
    const [socket] = sockets;
    if (socket === undefined) throw new Error("a server has made no socket of its connection");
    return socket;
  }

  /** Removes a connection that is not waiting for its first bytes any more. */
  remove(accepted: AcceptedHandle): void {
    if (accepted.block !== undefined) this.#silent.remove(accepted.block, accepted);
  }

  #accept(native: NativeHandle): void {
    if (!this.#inherited) this.#prepare(native);
    const accepted = new AcceptedHandle(native, this, this.options.clock.now());
    accepted.block = this.#silent.add(accepted);
    this.options.pending?.add(accepted);
    accepted.startReading();
    this.#arm();
  }

  /** Sets the socket options with Node's own setters, which contain the calls of the handle for each version of Node. */
  #prepare(handle: object): void {
    this.options.prepare(socketAround(handle).setNoDelay(true));
  }

  #arm(): void {
    if (this.#wakeup !== undefined) return;
    const oldest = this.#silent.first;
    if (oldest !== undefined) this.#wakeup = this.options.clock.wakeAt(this.#deadlineOf(oldest), this.#expire);
  }

  readonly #expire = (now: Instant): void => {
    this.#wakeup = undefined;
    for (const accepted of this.#silent) {
      if (!reached(this.#deadlineOf(accepted), now)) break;
      accepted.refuse("silence", `no bytes were received within openTimeout (${this.options.openTimeout} ms)`);
    }
    this.#arm();
  };

  #deadlineOf({ acceptedAt }: AcceptedHandle): Instant {
    return after(acceptedAt, this.options.openTimeout);
  }
}

/**
 * An accepted connection. Exactly one of `toSocket`, `toHandle`, `refuse` and `drop` must be called: the connection becomes a
 * net.Socket, becomes a handle of this library, or is closed.
 */
export class AcceptedHandle extends PendingOpening implements ChunkReader {
  readonly acceptedAt: Instant;
  /** The block of the list of connections that have sent nothing yet. */
  block: SlotBlock<AcceptedHandle> | undefined;
  readonly #native: NativeHandle;
  readonly #acceptedHandles: AcceptedHandles;

  constructor(native: NativeHandle, acceptedHandles: AcceptedHandles, acceptedAt: Instant) {
    super();
    this.acceptedAt = acceptedAt;
    this.#native = native;
    this.#acceptedHandles = acceptedHandles;
    changeConnectionCount(acceptedHandles.server, 1);
  }

  /** Starts to read, and waits for the first bytes or the end. */
  startReading(): void {
    readChunks(this.#native, this);
    if (startReading(this.#native) !== 0)
      this.refuse("disconnected", "the client disconnected before it sent a request");
  }

  /** The addresses of the connection. */
  endpoints(): Endpoints {
    const { address: localAddress = "", port: localPort } =
      this.#acceptedHandles.local ?? addressOf(this.#native, "local");
    const { address: remoteAddress = "", port: remotePort } = addressOf(this.#native, "remote");
    return { localAddress, localPort, remoteAddress, remotePort, secure: false };
  }

  /**
   * Creates a net.Socket through the server's "connection" event, as Node does without this class. Bytes that were already read
   * are not in it. The opening stays among the pending ones until `leavePending`, or until it is replaced by that of the socket.
   */
  toSocket(): Socket {
    this.#acceptedHandles.remove(this);
    stopReading(this.#native);
    changeConnectionCount(this.#acceptedHandles.server, -1);
    return this.#acceptedHandles.toSocket(this.#native);
  }

  /** Call this when the request is complete. */
  leavePending(): void {
    this.#acceptedHandles.options.pending?.remove(this);
  }

  toHandle(): TakenHandle {
    this.#acceptedHandles.remove(this);
    return { native: this.#native, server: this.#acceptedHandles.server, reading: true };
  }

  override evict(): void {
    this.refuse("capacity", EVICTED);
  }

  /** Reports the reason to `refused`, and closes the connection. */
  refuse(reason: Refusal, detail: string): void {
    this.#acceptedHandles.options.refused?.refused(reason, () => ({ detail, endpoints: this.endpoints() }));
    this.drop();
  }

  drop(): void {
    const { server } = this.#acceptedHandles;
    this.#acceptedHandles.remove(this);
    this.#acceptedHandles.options.pending?.remove(this);
    closeHandle(this.#native, "close", doNothing);
    changeConnectionCount(server, -1);
    closeIfDrained(server);
  }

  // ChunkReader

  onRead(bytes: ArrayBuffer | undefined): void {
    if (bytes !== undefined) {
      this.#acceptedHandles.options.firstBytes(this, Buffer.from(bytes));
      return;
    }
    const reason = emptyReadReason();
    // A net.Socket that continues to read receives this end again.
    if (reason === "end") this.#acceptedHandles.options.ended(this);
    else if (reason !== "nothing")
      this.refuse("disconnected", `the client disconnected before it sent a request (${reason.code})`);
  }
}

function doNothing(): void {}
