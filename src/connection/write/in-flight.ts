/** Bounds the bytes in flight of one connection: those that were written and that the peer has not acknowledged. */

import { after, type Clock, type Instant } from "../../base/time.ts";
import { PING } from "../../engine/websocket/frame.ts";
import type { Transport } from "../../transport/transport.ts";
import type { SettledOptions } from "../options.ts";
import type { Protocol } from "../protocol.ts";
import { type EncodedWrite, WRITE_BUFFER_SIZE } from "./write-buffer.ts";

/** The connection, as this part uses it. */
export interface InFlightOwner {
  readonly options: SettledOptions;
  readonly protocol: Protocol;
  readonly transport: Transport;
  /** Bytes were acknowledged: held messages can be written. */
  inFlightAcknowledged(): void;
}

/** A Ping whose Pong acknowledges everything that was written before it. */
interface Fence {
  readonly mark: number;
  /** Bytes of messages between the fence before it and this one. */
  readonly bytes: number;
}

/** Most fences without a Pong. With this many in `maxInFlightBytes`, messages leave in steps of a quarter of it. */
const MAX_FENCES = 4;

// In bytes. Pings of the application have 4, those of the heartbeat none.
const MARK_SIZE = 2;

/** Most bytes of a fence: a frame header with a masking key, and the mark. */
export const FENCE_SIZE: number = 2 + 4 + MARK_SIZE;

/**
 * On a WebSocket, a Ping follows after each quarter of `maxInFlightBytes`. RFC 6455 5.5.3 has the peer answer it as soon as is
 * practical, and frames are read in order: so its Pong acknowledges the bytes before it, in every buffer between this process and
 * the peer's, on every system. Framed TCP has no Ping. There the kernel is queried, from half of `maxInFlightBytes` on. Only Linux
 * can be queried; elsewhere the bound has no effect.
 */
export class InFlight {
  readonly #owner: InFlightOwner;
  readonly #clock: Clock;
  #maximum: number;
  /** Bytes of messages that are written and not acknowledged, as far as this side knows. */
  bytes = 0;
  /** Bytes of messages that were written behind the last fence, or since the pending query of the kernel was made. */
  #unfenced = 0;
  readonly #fences: Fence[] = [];
  #nextMark = 0;
  /** Since when messages are held back and nothing was acknowledged. Undefined if no message is held back. */
  #heldSince: Instant | undefined;
  /** True while this side does not read, and so cannot see a Pong. */
  #suspended = false;
  /** The number of bytes that a pending query of the kernel waits for. Undefined if there is none. */
  #queriedFor: number | undefined;

  constructor(owner: InFlightOwner) {
    this.#owner = owner;
    this.#clock = owner.options.clock;
    this.#maximum = owner.options.maxInFlightBytes;
  }

  /** True if messages wait until the peer has acknowledged bytes. */
  get held(): boolean {
    return this.#heldSince !== undefined;
  }

  /** Since when messages are held back and nothing was acknowledged. */
  get heldSince(): Instant | undefined {
    return this.#heldSince;
  }

  /** Bytes of messages that may be written now. If nothing is in flight, one message may be larger. */
  get room(): number {
    return this.#suspended ? Infinity : Math.max(this.#maximum - this.bytes, 0);
  }

  /**
   * When the peer counts as stalled. `writeTimeout` is the time for 64 KiB, as for a write. More bytes are in flight only if one
   * message is larger.
   */
  get expiresAt(): Instant {
    const { writeTimeout } = this.#owner.options;
    const shares = Math.max(1, Math.ceil(this.bytes / WRITE_BUFFER_SIZE));
    return after(this.#heldSince ?? this.#clock.now(), shares * writeTimeout);
  }

  /** The next message, of `size` bytes, does not fit: it waits until bytes are acknowledged. */
  hold(size: number): void {
    if (this.#heldSince !== undefined) return;
    this.#heldSince = this.#clock.now();
    // The message must fit after the answer. Otherwise a peer that acknowledges nothing more would never count as stalled.
    if (!this.#fenced) this.#queryKernel(size > this.#maximum / 2 ? 0 : Math.floor(this.#maximum / 2));
  }

  /** The kernel has accepted a pending write: the time of a hold starts again. */
  progressed(): void {
    if (this.#heldSince !== undefined) this.#heldSince = this.#clock.now();
  }

  /** No message is held back any more. */
  release(): void {
    this.#heldSince = undefined;
  }

  /** A write with `bytes` of messages was encoded. */
  wrote(bytes: number): void {
    this.bytes += bytes;
    this.#unfenced += bytes;
    // A query takes some time. Early enough, its answer arrives before messages have to be held back.
    if (!this.#fenced && this.bytes >= this.#maximum / 2) this.#queryKernel(Math.floor(this.#maximum / 2));
  }

  /** Returns the fence to write now, if one is due. */
  fence(): EncodedWrite | undefined {
    if (!this.#fenced || this.#unfenced === 0 || this.#fences.length >= MAX_FENCES) return undefined;
    const stepDone = this.#unfenced >= this.#maximum / MAX_FENCES;
    // Without a fence on its way, no Pong would end the hold.
    if (!stepDone && !(this.held && this.#fences.length === 0)) return undefined;
    this.#nextMark = (this.#nextMark + 1) & 0xffff;
    const payload = Uint8Array.of(this.#nextMark >> 8, this.#nextMark & 0xff);
    const bytes = this.#owner.protocol.control?.(PING, payload);
    if (bytes === undefined) return undefined;
    this.#fences.push({ mark: this.#nextMark, bytes: this.#unfenced });
    this.#unfenced = 0;
    return { bytes, operation: "write:ping" };
  }

  /** A Pong arrived. If it answers a fence, everything before that fence is acknowledged. */
  pong(payload: Uint8Array): void {
    if (payload.length !== MARK_SIZE) return;
    const mark = ((payload[0] as number) << 8) | (payload[1] as number);
    const index = this.#fences.findIndex((fence) => fence.mark === mark);
    if (index === -1) return;
    // A peer may answer only the newest Ping.
    for (const { bytes } of this.#fences.splice(0, index + 1)) this.bytes -= bytes;
    this.#acknowledged();
  }

  /** Reading stopped: no Pong can arrive, so nothing is held back. */
  suspend(): void {
    if (!this.#fenced) return;
    this.#suspended = true;
    this.#acknowledged();
  }

  resume(): void {
    this.#suspended = false;
  }

  get #fenced(): boolean {
    return this.#owner.protocol.control !== undefined;
  }

  #queryKernel(atMost: number): void {
    if (this.#queriedFor !== undefined && this.#queriedFor <= atMost) return;
    this.#queriedFor = atMost;
    this.#unfenced = 0;
    const answer = (bytes: number): void => {
      this.#queriedFor = undefined;
      // The kernel may have acknowledged bytes of later writes, too, so this is the most that can be in flight.
      this.bytes = bytes + this.#unfenced;
      this.#acknowledged();
    };
    if (this.#owner.transport.whenAcknowledged?.(atMost, answer) === true) return;
    this.#maximum = Infinity;
    this.release();
  }

  #acknowledged(): void {
    if (!this.held) return;
    this.release();
    this.#owner.inFlightAcknowledged();
  }
}
