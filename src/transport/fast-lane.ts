/** The fast lane: a transport on a TCP socket's handle, with no stream between. It must not be told apart from `socket.ts`. */

import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { TransportError } from "../base/errors.js";
import { lookout, type Paused, type Unanswered } from "./lookout.js";
import { pack, unpack } from "./packed-address.js";
import { endsOf, transportError } from "./socket.js";
import type { TcpArrival } from "./tcp-arrivals.js";
import { type Outcome, type Taken, TcpHandle } from "./tcp-handle.js";
import type { Ends, Transport, TransportEvents } from "./transport.js";
import { SHARE } from "./turn.js";

const NOTHING = new Uint8Array();

// Kept during a pause at most, and one chunk more: about what a net.Socket reads ahead.
const MOST_BYTES = 16_384;
const MOST_CHUNKS = 16;

/** What a lane remembers that most do not have to, or not most of the time. */
class Extra {
  /** What was read and could not be given yet: the head, and what came during a pause, until there is enough of it. */
  kept: Uint8Array[] | undefined;
  /** What the lookout knows it by; undefined until it was first needed. */
  lookedFor: (Paused & Unanswered) | undefined;
  /** Bytes of the write that is under way. */
  unwritten = 0;
  /** The peer's FIN: it has been read; it was told. */
  peerEnd: "none" | "read" | "told" = "none";
  /** Our FIN: it was asked for; it has been sent. */
  ourEnd: "none" | "asked" | "sent" = "none";
  error: TransportError | undefined;
}

// For all who have none of it. It is replaced and not changed.
const USUAL: Readonly<Extra> = new Extra();

export class FastLane extends TcpHandle implements Transport, Ends {
  // First what every read and write looks at: of thousands of connections each finds it outside the processor's cache.
  #state: "live" | "closing" | "closed" = "live";
  #events: TransportEvents | undefined;
  #paused = false;
  #extra = USUAL;
  readonly localAddress: string;
  readonly #remoteHost: number | string;
  readonly #remotePort: number;

  private constructor(ends: Ends, taken: Taken, head: Uint8Array | undefined) {
    super(taken);
    this.localAddress = ends.localAddress;
    [this.#remoteHost, this.#remotePort] = pack(ends.remoteAddress);
    // A view of a buffer which may hold what is not ours to change.
    if (head?.length) FastLane.#keep(this, Uint8Array.from(head));
  }

  /**
   * Takes the handle out of `stream`, which is of no use behind that; undefined, and all as it was, if it does not fit.
   * `head` holds bytes that were read behind an upgrade; they come first.
   */
  static take(stream: Duplex, head?: Uint8Array): FastLane | undefined {
    return TcpHandle.fits(stream) ? FastLane.#outOf(stream, head) : undefined;
  }

  static #outOf(socket: Socket, head: Uint8Array | undefined): FastLane {
    const ends = endsOf(socket);
    socket.setTimeout(0).setNoDelay(true);
    const lane = new FastLane(ends, TcpHandle.outOf(socket), head);
    for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) FastLane.#keep(lane, chunk);
    // An empty shell by now: those who wait for its `close` need not wait for ours.
    socket.destroy();
    return lane;
  }

  /** Takes a connection that has no net.Socket. `answer` is written at once; `head` was read behind what it answers. */
  static arrived(arrival: TcpArrival, answer: Uint8Array, head: Uint8Array): FastLane {
    const lane = new FastLane(arrival.ends(), arrival.toHandle(), head);
    // If it has to wait, so will what is written behind it: that is libuv's to order. Nobody is told when it is done.
    FastLane.#failUnless(lane, lane.handOver(answer));
    return lane;
  }

  get remoteAddress(): string {
    return unpack(this.#remoteHost, this.#remotePort);
  }

  get secure(): boolean {
    return false;
  }

  /** It knows them by itself: another object would be one more for each connection. */
  get ends(): Ends {
    return this;
  }

  get queuedBytes(): number {
    return this.#extra.unwritten;
  }

  open(events: TransportEvents): void {
    this.#events = events;
    if (this.#state === "closed") setImmediate(() => events.closed(this.#extra.error));
    else FastLane.#goOn(this);
  }

  write(bytes: Uint8Array): boolean {
    if (this.#state !== "live") return false;
    const outcome = this.handOver(bytes);
    if (outcome === "done") return true;
    if (outcome === "waits") FastLane.#change(this).unwritten = bytes.length;
    else FastLane.#fail(this, outcome);
    return false;
  }

  /** As a net.Socket does, this reads on until enough has come: a reset is told at once, a FIN as soon as nothing is kept. */
  pause(): void {
    this.#paused = true;
    if (this.#state !== "live") return;
    lookout.add(FastLane.#forLookout(this));
  }

  follow(wanted: boolean): void {
    if (!wanted) {
      if (this.#extra.lookedFor !== undefined) lookout.unfollow(this.#extra.lookedFor);
    } else if (this.#state === "live") {
      lookout.follow(FastLane.#forLookout(this));
    }
  }

  resume(): void {
    this.#paused = false;
    if (this.#extra.lookedFor !== undefined) lookout.delete(this.#extra.lookedFor);
    FastLane.#goOn(this);
  }

  end(): void {
    if (this.#extra.ourEnd !== "none" || this.#state !== "live") return;
    FastLane.#change(this).ourEnd = "asked";
    if (this.#extra.unwritten === 0) FastLane.#shutDown(this);
  }

  abort(): void {
    // A handle whose FIN is under way cannot be reset.
    FastLane.#close(this, this.#extra.ourEnd === "asked" ? "close" : "reset");
  }

  static #change(lane: FastLane): Extra {
    if (lane.#extra === USUAL) lane.#extra = new Extra();
    return lane.#extra;
  }

  static #forLookout(lane: FastLane): Paused & Unanswered {
    const extra = FastLane.#change(lane);
    extra.lookedFor ??= FastLane.#newForLookout(lane);
    return extra.lookedFor;
  }

  static #newForLookout(lane: FastLane): Paused & Unanswered {
    const [localAddress, localPort] = hostAndPort(lane.localAddress);
    const [remoteAddress, remotePort] = hostAndPort(lane.remoteAddress);
    return {
      socket: { localAddress, localPort, remoteAddress, remotePort },
      finSeen: () => lane.#events?.endSeen?.(),
      missing: () => {
        if (lane.#state === "live" && FastLane.#idle(lane)) FastLane.#probe(lane);
      },
      acknowledged: () => lane.#events?.acknowledged?.(),
    };
  }

  static #goOn(lane: FastLane): void {
    if (lane.#events === undefined) return;
    if (lane.#extra.kept === undefined && lane.#extra.peerEnd !== "read") FastLane.#startReading(lane);
    else if (!lane.#paused) setImmediate(giveKept, lane);
  }

  static #startReading(lane: FastLane): void {
    if (lane.#extra.peerEnd === "none" && lane.#state === "live") FastLane.#failUnless(lane, lane.startReading());
  }

  giveKept(): void {
    while (this.#extra.kept !== undefined && !this.#paused) {
      const chunk = this.#extra.kept.shift();
      if (chunk === undefined) FastLane.#change(this).kept = undefined;
      else this.#events?.data(chunk);
    }
    if (this.#extra.kept !== undefined) return;
    if (this.#extra.peerEnd === "read") FastLane.#tellEnd(this);
    else FastLane.#startReading(this);
  }

  static #keep(lane: FastLane, chunk: Uint8Array): void {
    const extra = FastLane.#change(lane);
    extra.kept ??= [];
    extra.kept.push(chunk);
  }

  /** Whether no more is to be read until what is kept has been given. */
  static #keepsEnough(lane: FastLane): boolean {
    const kept = lane.#extra.kept;
    if (kept === undefined) return false;
    return kept.length >= MOST_CHUNKS || kept.reduce((sum, { length }) => sum + length, 0) >= MOST_BYTES;
  }

  static #tellEnd(lane: FastLane): void {
    if (lane.#state !== "live") return;
    if (FastLane.#idle(lane) && !FastLane.#probe(lane)) return;
    FastLane.#change(lane).peerEnd = "told";
    lane.#events?.ended();
    FastLane.#closeWhenEnded(lane);
  }

  /** Whether we could write at once. */
  static #idle(lane: FastLane): boolean {
    return lane.#extra.ourEnd === "none" && lane.#extra.unwritten === 0;
  }

  /** Whether the connection takes a write of nothing: one that was reset does not. */
  static #probe(lane: FastLane): boolean {
    return FastLane.#failUnless(lane, lane.handOver(NOTHING));
  }

  static #shutDown(lane: FastLane): void {
    if (lane.#state !== "live" || !FastLane.#probe(lane)) return;
    const outcome = lane.sendEnd();
    if (outcome === "done") lane.endSent();
    else FastLane.#failUnless(lane, outcome);
  }

  static #closeWhenEnded(lane: FastLane): void {
    if (lane.#extra.ourEnd === "sent" && lane.#extra.peerEnd === "told") FastLane.#close(lane, "close");
  }

  static #failUnless(lane: FastLane, outcome: Outcome): boolean {
    if (typeof outcome === "string") return true;
    FastLane.#fail(lane, outcome);
    return false;
  }

  static #fail(lane: FastLane, error: NodeJS.ErrnoException): void {
    if (lane.#state !== "live") return;
    FastLane.#change(lane).error = transportError(error);
    FastLane.#close(lane, "close");
  }

  static #close(lane: FastLane, how: "close" | "reset"): void {
    if (lane.#state !== "live") return;
    lane.#state = "closing";
    FastLane.#change(lane).kept = undefined;
    lane.follow(false);
    if (lane.#extra.lookedFor !== undefined) lookout.delete(lane.#extra.lookedFor);
    lane.free(how, () => {
      lane.#state = "closed";
      lane.#events?.closed(lane.#extra.error);
    });
  }

  // TcpHandle

  override read(chunk: Uint8Array): void {
    if (!this.#paused && this.#extra.kept === undefined && this.#events !== undefined) this.#events.data(chunk);
    else FastLane.#keep(this, Uint8Array.from(chunk));
    if (this.#state !== "live") return;
    if (FastLane.#keepsEnough(this)) this.stopReading();
    else if (chunk.length >= SHARE) {
      // It filled the buffer: libuv would go on with it. Behind any other read the others have their turn anyway.
      this.stopReading();
      setImmediate(readOn, this);
    }
  }

  readOn(): void {
    if (!FastLane.#keepsEnough(this)) FastLane.#startReading(this);
  }

  override readEnded(): void {
    FastLane.#change(this).peerEnd = "read";
    const { kept } = this.#extra;
    if (this.#events !== undefined && (kept === undefined || kept.length === 0)) FastLane.#tellEnd(this);
  }

  override readFailed(error: NodeJS.ErrnoException): void {
    FastLane.#fail(this, error);
  }

  override written(error: NodeJS.ErrnoException | undefined): void {
    const probed = this.#extra.unwritten === 0;
    FastLane.#change(this).unwritten = 0;
    if (error !== undefined) FastLane.#fail(this, error);
    if (error !== undefined || probed) return;
    this.#events?.written();
    if (this.#extra.ourEnd === "asked" && this.#extra.unwritten === 0) FastLane.#shutDown(this);
  }

  override endSent(): void {
    FastLane.#change(this).ourEnd = "sent";
    FastLane.#closeWhenEnded(this);
  }
}

/** As a net.Socket has them, of which a lane keeps no more than `Ends`. */
function hostAndPort(end: string): [host: string, port: number] {
  const colon = end.lastIndexOf(":");
  return [end.slice(0, colon).replace(/^\[|\]$/g, ""), Number(end.slice(colon + 1))];
}

function readOn(lane: FastLane): void {
  lane.readOn();
}

function giveKept(lane: FastLane): void {
  lane.giveKept();
}
