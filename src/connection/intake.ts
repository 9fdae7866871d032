/** Feeds the decoder with what arrives, and holds the peer back while nobody takes what comes of it. */

import type { Instant } from "../base/time.js";
import type { Decoder, Visitor } from "../engine/protocol.js";
import type { Transport } from "../transport/transport.js";
import type { SettledOptions } from "./options.js";
import type { Watch } from "./watch.js";
import type { Wire } from "./wire.js";

/** What the intake needs of its connection, which is told what the bytes mean. */
export interface IntakeOwner extends Visitor {
  readonly wire: Wire;
  readonly transport: Transport;
  readonly options: SettledOptions;
  readonly watch: Watch;
  /** Whether nothing that the peer says matters any more. */
  readonly deaf: boolean;
  /** Whether nobody will take a message any more. */
  readonly over: boolean;
  /** Whether there is no room for another message. */
  readonly inboxFull: boolean;
  /** Whole messages of the chunk so far: counted by the visitor. */
  arrived: number;
  /** Messages have come. */
  roused(): void;
  /** What is sent until `release` leaves in one write. */
  hold(): void;
  release(): void;
  paused(): void;
  resumed(): void;
}

// On the shelf it has none, and is asked nothing.
const NOBODY = undefined as unknown as IntakeOwner;

export class Intake {
  readonly decoder: Decoder;
  #owner: IntakeOwner;
  /** What the decoder did not take. */
  #rest: Uint8Array | undefined;
  #paused = false;
  /** A chunk is being decoded; and whether the last one ended inside a message. */
  #taking = false;
  #underWay = false;

  constructor(owner: IntakeOwner) {
    this.decoder = owner.wire.decoder();
    this.#owner = owner;
  }

  /** Whether something has come that is still to be decoded. */
  get pending(): boolean {
    return this.#rest !== undefined || this.#inflating();
  }

  /** Whether it is as it was made: another could take its place. */
  get atRest(): boolean {
    return !this.#taking && !this.#paused && !this.#underWay && !this.pending;
  }

  /** From now on it is the part of `owner`. */
  lend(owner: IntakeOwner = NOBODY): void {
    this.#owner = owner;
  }

  take(chunk: Uint8Array, now: Instant): void {
    const owner = this.#owner;
    if (owner.deaf) return;
    const within = this.#taking;
    this.#taking = true;
    owner.arrived = 0;
    // What is sent meanwhile leaves in one write, when the chunk is done.
    owner.hold();
    const at = this.decoder.receive(chunk, 0, owner);
    this.#underWay = this.decoder.partial.received > 0;
    owner.watch.decoded(now, this.#underWay, owner.arrived > 0);
    if (owner.arrived > 0) owner.roused();
    if (!owner.over && (owner.inboxFull || this.#inflating())) {
      // The chunk is the transport's own, so what is left of it has to be copied.
      if (at < chunk.length) this.#rest = Uint8Array.from(chunk.subarray(at));
      this.#pause();
    }
    owner.release();
    this.#taking = within;
  }

  /** A message that took its time is there: delivers it, and goes on with what stands behind it. */
  inflated(deliver: () => void): void {
    const owner = this.#owner;
    owner.hold();
    deliver();
    owner.release();
    if (!owner.inboxFull) this.goOn();
  }

  /** There is room for more: goes on if it had stopped, and answers whether it did. */
  goOn(): boolean {
    const { watch, options, transport } = this.#owner;
    if (!this.#paused || this.#inflating()) return false;
    this.#paused = false;
    const now = options.clock.now();
    watch.readingGoesOn(now);
    this.#owner.resumed();
    const rest = this.#rest;
    this.#rest = undefined;
    if (rest !== undefined) this.take(rest, now);
    if (!this.#paused) transport.resume();
    return true;
  }

  /** Nothing will be decoded any more. */
  stop(): void {
    this.#rest = undefined;
  }

  #inflating(): boolean {
    return this.#owner.wire.inflating?.busy === true;
  }

  #pause(): void {
    const { watch, options, transport } = this.#owner;
    if (this.#paused) return;
    this.#paused = true;
    transport.pause();
    watch.readingStopped(options.clock.now());
    this.#owner.paused();
  }
}
