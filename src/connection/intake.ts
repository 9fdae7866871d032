/** Feeds the decoder with what arrives, and holds the peer back while nobody takes what comes of it. */

import type { Clock, Instant } from "../base/time.js";
import type { Visitor } from "../engine/protocol.js";
import type { Transport } from "../transport/transport.js";
import type { Inbox } from "./inbox.js";
import type { Outbox } from "./outbox.js";
import type { Watch } from "./watch.js";
import type { Wire } from "./wire.js";

/** What the intake needs of its connection. */
export interface IntakeOwner {
  readonly wire: Wire;
  readonly transport: Transport;
  readonly outbox: Outbox;
  readonly inbox: Inbox;
  readonly watch: Watch;
  readonly clock: Clock;
  /** Who is told what the bytes mean. */
  readonly visitor: Visitor;
  /** Whether nothing that the peer says matters any more. */
  readonly deaf: () => boolean;
  /** Whether nobody will take a message any more. */
  readonly over: () => boolean;
  readonly onPause: () => void;
  readonly onResume: () => void;
}

export class Intake {
  readonly #owner: IntakeOwner;
  /** What the decoder did not take. */
  #rest: Uint8Array | undefined;
  #paused = false;
  #completed = 0;

  constructor(owner: IntakeOwner) {
    this.#owner = owner;
  }

  /** Whether something has come that is still to be decoded. */
  get pending(): boolean {
    return this.#rest !== undefined || this.#inflating;
  }

  /** A message is complete. */
  completed(): void {
    this.#completed += 1;
  }

  take(chunk: Uint8Array, now: Instant): void {
    const { wire, outbox, inbox, watch, visitor, deaf, over } = this.#owner;
    if (deaf()) return;
    const completed = this.#completed;
    // What is sent meanwhile leaves in one write, when the chunk is done.
    outbox.hold();
    const at = wire.decoder.receive(chunk, 0, visitor);
    watch.decoded(now, wire.decoder.partial.received > 0, completed !== this.#completed);
    if (!over() && (inbox.full || this.#inflating)) {
      // The chunk is the transport's own, so what is left of it has to be copied.
      if (at < chunk.length) this.#rest = Uint8Array.from(chunk.subarray(at));
      this.#pause();
    }
    outbox.release();
  }

  /** A message that took its time is there: delivers it, and goes on with what stands behind it. */
  inflated(deliver: () => void): void {
    const { outbox, inbox } = this.#owner;
    outbox.hold();
    deliver();
    outbox.release();
    if (!inbox.full) this.goOn();
  }

  /** There is room for more: goes on if it had stopped, and answers whether it did. */
  goOn(): boolean {
    const { watch, clock, transport, onResume } = this.#owner;
    if (!this.#paused || this.#inflating) return false;
    this.#paused = false;
    const now = clock.now();
    watch.resumed(now);
    onResume();
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

  get #inflating(): boolean {
    return this.#owner.wire.inflating?.busy === true;
  }

  #pause(): void {
    const { watch, clock, transport, onPause } = this.#owner;
    if (this.#paused) return;
    this.#paused = true;
    transport.pause();
    watch.paused(clock.now());
    onPause();
  }
}
