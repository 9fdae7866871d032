/** The public transport: any Node Duplex (net, tls, unix socket) through documented API only. */

import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TransportError } from "../base/errors.js";
import { lookout, type Paused, type Unanswered } from "./lookout.js";
import { stackless } from "./stackless.js";
import type { Ends, Transport, TransportEvents } from "./transport.js";
import { SHARE } from "./turn.js";

const NOTHING = new Uint8Array();

export class SocketTransport implements Transport {
  readonly ends: Ends;
  readonly #stream: Duplex;
  /** Whether there can be a reset: TLS hides it, and unix sockets have none. */
  readonly #tcp: boolean;
  #head: Uint8Array | undefined;
  #events: TransportEvents | undefined;
  #paused = false;
  /** Bytes that were given since the others have had their turn. */
  #share = 0;
  /** What the lookout knows it by; undefined until it was first needed. */
  #lookedFor: (Paused & Unanswered) | undefined;
  /** The peer's FIN has been read, and the head stands before it. */
  #endWaits = false;
  #error: TransportError | undefined;
  /** Made with the first write. */
  #written: ((error?: Error | null) => void) | undefined;

  /** `head` holds bytes that were read behind an upgrade; they come first. */
  constructor(stream: Duplex, head?: Uint8Array) {
    this.#stream = stream;
    this.#head = head?.length ? head : undefined;
    this.ends = endsOf(stream);
    this.#tcp = stream instanceof Socket && !("encrypted" in stream) && stream.localPort !== undefined;
    // Behind the peer's FIN we may still write, also on the sockets of somebody else's server.
    stream.allowHalfOpen = true;
    // Before anything else: an error without a listener would end the process.
    stream.on("error", this.#failed);
    if (stream instanceof Socket) stream.setTimeout(0).setNoDelay(true);
  }

  get queuedBytes(): number {
    return this.#stream.writableLength;
  }

  open(events: TransportEvents): void {
    const stream = this.#stream;
    this.#events = events;
    if (stream.destroyed) {
      // Its `close` may have gone by before anyone listened.
      setImmediate(() => events.closed(this.#error));
      return;
    }
    stream.on("close", this.#closed).on("end", this.#ended);
    // The same is true of `end`.
    if (stream.readableEnded) setImmediate(this.#ended);
    if (this.#head === undefined) this.#listen();
    else setImmediate(giveHead, this);
  }

  readonly #failed = (error: NodeJS.ErrnoException): void => {
    this.#error ??= transportError(error);
  };

  readonly #closed = (): void => {
    const events = this.#events;
    this.#head = undefined;
    this.follow(false);
    if (this.#lookedFor !== undefined) lookout.delete(this.#lookedFor);
    // V8 frees what is behind a socket in a full collection only. What hangs on it would be kept until then, copied and aged.
    this.#events = undefined;
    events?.closed(this.#error);
  };

  write(bytes: Uint8Array): boolean {
    this.#written ??= (error) => {
      if (error == null) this.#events?.written();
    };
    this.#stream.write(bytes, this.#written);
    return false;
  }

  pause(): void {
    this.#paused = true;
    this.#stream.pause();
    const lookedFor = this.#forLookout();
    if (lookedFor !== undefined) lookout.add(lookedFor);
  }

  follow(wanted: boolean): void {
    if (!wanted) {
      if (this.#lookedFor !== undefined) lookout.unfollow(this.#lookedFor);
      return;
    }
    const lookedFor = this.#forLookout();
    if (lookedFor !== undefined) lookout.follow(lookedFor);
  }

  #forLookout(): (Paused & Unanswered) | undefined {
    const stream = this.#stream;
    if (!(stream instanceof Socket) || stream.localPort === undefined) return undefined;
    this.#lookedFor ??= {
      socket: stream,
      finSeen: () => this.#events?.endSeen?.(),
      missing: () => {
        if (this.#tcp && stream.writable && stream.writableLength === 0) stream.write(NOTHING);
      },
      acknowledged: () => this.#events?.acknowledged?.(),
    };
    return this.#lookedFor;
  }

  resume(): void {
    this.#paused = false;
    if (this.#lookedFor !== undefined) lookout.delete(this.#lookedFor);
    if (this.#head === undefined) this.#stream.resume();
    else setImmediate(giveHead, this);
  }

  end(): void {
    if (this.#stream.writableEnded) return;
    // Node says nothing of a shutdown that finds the connection reset. A write that does is an error, even one of nothing.
    if (this.#tcp) this.#stream.end(NOTHING);
    else this.#stream.end();
  }

  abort(): void {
    const stream: Duplex = this.#stream;
    // A reset tells the peer at once, and leaves the kernel nothing to retransmit to a peer that may be gone.
    // A TLS socket has no such call that works on every Node, and a TCP socket loses its descriptor if its FIN is under way.
    const endUnderWay = stream.writableEnded && !stream.writableFinished;
    if (stream instanceof Socket && this.#tcp && !endUnderWay) stream.resetAndDestroy();
    else stream.destroy();
  }

  #listen(): void {
    this.#stream.on("data", this.#read);
    if (this.#paused) this.#stream.pause();
    else this.#stream.resume();
  }

  readonly #read = (chunk: Uint8Array): void => {
    this.#share += chunk.length;
    this.#events?.data(chunk);
    if (this.#share < SHARE || this.#paused) return;
    this.#stream.pause();
    setImmediate(readOn, this);
  };

  readOn(): void {
    this.#share = 0;
    if (!this.#paused) this.#stream.resume();
  }

  readonly #ended = (): void => {
    const stream = this.#stream;
    if (stream.destroyed) return;
    if (this.#head !== undefined) this.#endWaits = true;
    // libuv before 1.52 takes a reset that it polls together with the last bytes for a FIN. A write tells them apart.
    else if (this.#tcp && stream.writable && stream.writableLength === 0)
      stream.write(NOTHING, (error) => this.#probed(error));
    else this.#events?.ended();
  };

  #probed(error: Error | null | undefined): void {
    if (error == null && !this.#stream.destroyed) this.#events?.ended();
  }

  giveHead(): void {
    if (this.#paused || this.#head === undefined || this.#stream.destroyed) return;
    const head = this.#head;
    this.#head = undefined;
    // A view of the HTTP parser's buffer, which may hold what is not ours to change.
    this.#events?.data(Uint8Array.from(head));
    this.#listen();
    if (this.#endWaits) this.#ended();
  }
}

function readOn(transport: SocketTransport): void {
  transport.readOn();
}

function giveHead(transport: SocketTransport): void {
  transport.giveHead();
}

/** The error of a stream as one of ours, with the original as its cause. */
export function transportError(error: NodeJS.ErrnoException): TransportError {
  const errno = error.code ?? error.name;
  const facts = error.syscall === undefined ? { errno } : { errno, syscall: error.syscall };
  return stackless(() => new TransportError(facts, { cause: error }));
}

/** Where a stream leads, as far as it is a socket. */
export function endsOf(stream: Duplex): Ends {
  if (!(stream instanceof Socket)) return { localAddress: "", remoteAddress: "", secure: false };
  // All that one server has accepted have the same.
  const localAddress = address(stream.localAddress, stream.localPort);
  if (localAddress !== lastLocal) lastLocal = localAddress;
  return {
    localAddress: lastLocal,
    remoteAddress: address(stream.remoteAddress, stream.remotePort),
    secure: "encrypted" in stream,
  };
}

let lastLocal = "";

/** Host and port as a URL writes them. */
export function address(host: string | undefined, port: number | undefined): string {
  if (host === undefined || port === undefined) return "";
  // By a template it would keep its pieces for as long as it lives.
  return [host.includes(":") ? `[${host}]` : host, port].join(":");
}
