/** Connections that a server has accepted, before there is a net.Socket. */

import type { Server, Socket } from "node:net";
import { after, type Clock, type Instant, reached, type Wakeup } from "../base/time.js";
import { type Place, Roll } from "../engine/roll.js";
import {
  close,
  closeIfDrained,
  count,
  type Native,
  nameOf,
  type Reader,
  readBy,
  reasonOfNothing,
  shellOf,
  startReading,
  stopReading,
  takeAccepted,
} from "./node-internals.js";
import { address } from "./socket.js";
import type { Taken } from "./tcp-handle.js";
import type { Ends } from "./transport.js";

export interface TcpArrivalsOptions {
  readonly clock: Clock;
  /** How long a connection may send nothing. It is closed then. */
  readonly patience: number;
  /** Sets options of a socket. */
  readonly prepare: (socket: Socket) => void;
  /** The first bytes of a connection came. It goes one of its ways before this returns. */
  readonly spoke: (arrival: TcpArrival, bytes: Buffer) => void;
  /** A connection has ended before it said anything. It goes one of its ways before this returns. */
  readonly left: (arrival: TcpArrival) => void;
}

// There a socket has from the beginning what the one had that accepted it. Others might inherit less.
const INHERITS = process.platform === "linux";

const EVERYWHERE: readonly string[] = ["0.0.0.0", "::"];

/** Stands between a listening server and its sockets, from then on for as long as it lives. */
export class TcpArrivals {
  readonly server: Server;
  /** Whether "connection" of the server is about a socket that somebody waits for, and not about a new one. */
  handing = false;
  readonly #connected: (native: Native) => void;
  readonly options: TcpArrivalsOptions;
  /** Where all of them have arrived; undefined where each has to be asked. */
  readonly localAddress: string | undefined;
  readonly #inherited: boolean;
  /** Who has said nothing yet, the first first. */
  readonly #silent = new Roll<TcpArrival>();
  #wakeup: Wakeup | undefined;

  /** `server` listens on TCP, without TLS, and has accepted nobody. */
  constructor(server: Server, options: TcpArrivalsOptions) {
    this.server = server;
    this.options = options;
    const place = server.address();
    if (typeof place === "object" && place !== null && !EVERYWHERE.includes(place.address)) {
      this.localAddress = address(place.address, place.port);
    }
    const { connected, listener } = takeAccepted(server, (native) => this.#accept(native));
    this.#connected = connected;
    this.#inherited = INHERITS && listener !== undefined;
    if (INHERITS && listener !== undefined) this.#prepare(listener);
  }

  /** Drops those that have said nothing yet. */
  drop(): void {
    this.#wakeup?.cancel();
    for (const arrival of this.#silent) arrival.drop();
  }

  /** What Node makes of a connection: a net.Socket, and "connection" of its server. */
  toSocket(native: Native): Socket {
    const made: Socket[] = [];
    const see = (socket: Socket): void => void made.push(socket);
    this.handing = true;
    this.server.on("connection", see);
    try {
      this.#connected(native);
    } finally {
      this.server.off("connection", see);
      this.handing = false;
    }
    const [socket] = made;
    if (socket === undefined) throw new Error("a server has made no socket of its connection");
    return socket;
  }

  /** Forgets one that has found its way. */
  delete(arrival: TcpArrival): void {
    if (arrival.place !== undefined) this.#silent.remove(arrival.place, arrival);
  }

  #accept(native: Native): void {
    if (!this.#inherited) this.#prepare(native);
    const arrival = new TcpArrival(native, this, this.options.clock.now());
    arrival.place = this.#silent.add(arrival);
    arrival.listen();
    this.#arm();
  }

  /** Node's own setters, which know what its handles are to be told. */
  #prepare(handle: object): void {
    this.options.prepare(shellOf(handle).setNoDelay(true));
  }

  #arm(): void {
    if (this.#wakeup !== undefined) return;
    const oldest = this.#silent.first;
    if (oldest !== undefined) this.#wakeup = this.options.clock.wakeAt(this.#endOf(oldest), this.#expire);
  }

  readonly #expire = (now: Instant): void => {
    this.#wakeup = undefined;
    for (const arrival of this.#silent) {
      if (!reached(this.#endOf(arrival), now)) break;
      arrival.drop();
    }
    this.#arm();
  };

  #endOf({ acceptedAt }: TcpArrival): Instant {
    return after(acceptedAt, this.options.patience);
  }
}

/** One connection that was accepted. It goes exactly one way: to Node, to a handle of ours, or away. */
export class TcpArrival implements Reader {
  readonly acceptedAt: Instant;
  /** Among those who have said nothing yet. */
  place: Place<TcpArrival> | undefined;
  readonly #native: Native;
  readonly #arrivals: TcpArrivals;

  constructor(native: Native, arrivals: TcpArrivals, acceptedAt: Instant) {
    this.acceptedAt = acceptedAt;
    this.#native = native;
    this.#arrivals = arrivals;
    count(arrivals.server, 1);
  }

  /** Waits for its first bytes, or for its end. */
  listen(): void {
    readBy(this.#native, this);
    if (startReading(this.#native) !== 0) this.drop();
  }

  /** Where it leads. */
  ends(): Ends {
    return {
      localAddress: this.#arrivals.localAddress ?? end(nameOf(this.#native, "local")),
      remoteAddress: end(nameOf(this.#native, "remote")),
      secure: false,
    };
  }

  /** Makes a net.Socket of it, by the server's "connection", as if nobody had stood between. What was read is not in it. */
  toSocket(): Socket {
    this.#arrivals.delete(this);
    stopReading(this.#native);
    count(this.#arrivals.server, -1);
    return this.#arrivals.toSocket(this.#native);
  }

  toHandle(): Taken {
    this.#arrivals.delete(this);
    return { native: this.#native, server: this.#arrivals.server, reading: true };
  }

  drop(): void {
    const { server } = this.#arrivals;
    this.#arrivals.delete(this);
    close(this.#native, "close", gone);
    count(server, -1);
    closeIfDrained(server);
  }

  // Reader

  onRead(bytes: ArrayBuffer | undefined): void {
    if (bytes !== undefined) {
      this.#arrivals.options.spoke(this, Buffer.from(bytes));
      return;
    }
    const reason = reasonOfNothing();
    // Whoever reads on reads that end once more.
    if (reason === "end") this.#arrivals.options.left(this);
    else if (reason !== "nothing") this.drop();
  }
}

function gone(): void {}

function end(name: ReturnType<typeof nameOf>): string {
  return address(name.address, name.port);
}
