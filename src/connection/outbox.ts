/** The way out of a connection: what waits is written as fast as the kernel takes it, one write at a time. */

import { TimeoutError } from "../base/errors.js";
import { after, between, type Instant } from "../base/time.js";
import type { Data } from "../engine/protocol.js";
import { atOnce, atTurnEnd, type TurnTask } from "../transport/turn.js";
import { Backlog } from "./backlog.js";
import { type Control, ControlLane } from "./lane.js";
import { Levels } from "./levels.js";
import type { Overflow, SettledOptions } from "./options.js";
import type { OutboxOwner, SendResult } from "./outbox-owner.js";
import type { Outgoing, OutgoingStream, Queued } from "./outgoing.js";
import { SLAB } from "./shared-slab.js";
import { type Filled, SlabWriter } from "./slab.js";
import { type StraightOwner, straight } from "./straight.js";
import type { Wait } from "./waits.js";
import type { Wire } from "./wire.js";

// A write that took so long had to wait for room. One to TLS or to a busy loop is late by less, and to a peer that is frozen
// none waits that the kernel can still take.
const WAITED = 50;

export class Outbox implements TurnTask, StraightOwner {
  readonly #options: SettledOptions;
  #owner: OutboxOwner;
  readonly #wire: Wire;
  readonly #slab: SlabWriter;
  readonly #backlog: Backlog;
  readonly #lane = new ControlLane();
  readonly #levels: Levels;
  #underWay: Filled | undefined;
  /** Since when the kernel has taken nothing of the write that is under way. */
  #since: Instant;
  #scheduled = false;
  #held = false;
  /** Whether a write was under way when the chunk that is being handled came: the kernel takes nothing. */
  #blocked = false;
  #closing: { readonly frame: Uint8Array | undefined; state: "waiting" | "written" | "told" } | undefined;
  #stopped = false;

  constructor(wire: Wire, options: SettledOptions, owner: OutboxOwner) {
    this.#options = options;
    this.#owner = owner;
    this.#wire = wire;
    this.#slab = new SlabWriter(wire.encoder, wire.deflating, () => this.schedule());
    this.#backlog = new Backlog(options, (policy, error) => this.#owner.overflowed(policy, error));
    this.#levels = new Levels(this.#backlog, options);
    this.#since = options.clock.now();
  }

  get queuedBytes(): number {
    if (straight.owner === this) return straight.bytes;
    return this.#backlog.bytes;
  }

  get queuedMessages(): number {
    if (straight.owner === this) return straight.length;
    return this.#backlog.length;
  }

  get dropped(): number {
    return this.#backlog.dropped;
  }

  /** Whether it is as it was made: another could take its place. */
  get atRest(): boolean {
    const waits = this.#scheduled || this.#held || this.#underWay !== undefined || this.#lane.next !== undefined;
    const ends = this.#closing !== undefined || this.#stopped;
    return !waits && !ends && this.#levels.atRest && this.#backlog.atRest;
  }

  /** Whether something waits, or somebody has yet to be told of what has. */
  get busy(): boolean {
    const waits = this.#underWay !== undefined || this.#backlog.length > 0 || this.#lane.next !== undefined;
    const leaves = straight.owner === this;
    return waits || leaves || this.#closing !== undefined || this.#stopped || !this.#levels.atRest;
  }

  /** From now on it is the part of `owner`; with none, it is on the shelf, and is asked nothing. */
  lend(owner?: OutboxOwner): void {
    this.#owner = owner as OutboxOwner;
  }

  /** The error of a write of which the kernel has taken nothing for `writeTimeout`. */
  overdue(now: Instant): TimeoutError {
    const operation = this.#underWay?.operation ?? "write:data";
    const facts = { limit: "writeTimeout", bound: this.#options.writeTimeout, after: between(this.#since, now) };
    return new TimeoutError({ operation, ...facts, retriable: false });
  }

  /** Queues `message`, or does with it what `overflow` says. Its wait, if it has one, is settled sooner or later. */
  send(message: Outgoing, overflow: Overflow): SendResult {
    this.queueStraight();
    const added = this.#backlog.add(message, overflow, this.#underWay !== undefined);
    if (added !== "queued") return added === "waiting" ? "queued" : "refused";
    this.#levels.changed(this.#owner);
    this.schedule();
    return this.#leaves(0, 0) ? "sent" : "queued";
  }

  /** Queues what had been promised to leave without coming here, for which there is room below the high water mark. */
  queue(messages: readonly Outgoing[]): void {
    for (const message of messages) this.#backlog.add(message, "reject");
    this.schedule();
  }

  /**
   * As `send` with any overflow, for what has room and nothing before it, and leaves with the answers to the chunk that is being
   * handled: that needs no place in a queue. False if it is not so, and nothing was done.
   */
  sendStraight(data: Data): boolean {
    if ((straight.owner !== this || !straight.open) && !this.#goesStraight()) return false;
    if (straight.put(data, this.#wire.encoder, this.#options)) return true;
    this.queueStraight();
    return false;
  }

  #goesStraight(): boolean {
    // Frames that somebody has to be told of, or that bear a key of their own, are made when they are written.
    if (!this.#held || !this.#slab.shares || this.#wire.shelves === undefined) return false;
    straight.owner?.queueStraight();
    return !this.busy && straight.begin(this);
  }

  /** Queues what went straight into the slab. */
  queueStraight(): void {
    if (straight.owner === this) for (const message of straight.outgoing()) this.#backlog.add(message, "reject");
  }

  /** Whether `message`, were it sent now, would find room in this turn's write, which then nothing can keep it from. */
  leavesWith({ size }: Outgoing): boolean {
    this.queueStraight();
    return this.#backlog.length < this.#options.maxQueuedMessages && this.#leaves(size, 1);
  }

  /** Takes `message` back if none of it can be with the kernel. */
  withdraw(message: Queued): boolean {
    if (!this.#backlog.withdraw(message)) return false;
    this.#backlog.admit();
    this.#levels.shrunk(this.#owner);
    // What stood behind a message in parts may be next now.
    this.schedule();
    return true;
  }

  /** Begins a message of which the parts are yet to come; false if there is no place for it. */
  begin(stream: OutgoingStream): boolean {
    this.queueStraight();
    return this.#backlog.begin(stream);
  }

  /** Queues a part of `stream`; with the last one it has ended. */
  put(stream: OutgoingStream, part: Outgoing, last: boolean): void {
    this.#backlog.put(stream, part, last);
    this.schedule();
  }

  /** Takes `part` back if none of it can be with the kernel; if it was the last, its stream has not ended. */
  withdrawPart(stream: OutgoingStream, part: Outgoing): boolean {
    return this.#backlog.withdrawPart(stream, part);
  }

  /** Puts a control frame into its lane; false if there are too many. */
  control(control: Control): boolean {
    this.queueStraight();
    if (this.#stopped || (this.#closing !== undefined && this.#closing.state !== "waiting")) return false;
    if (!this.#lane.add(control, this.#blocked)) return false;
    this.schedule();
    return true;
  }

  /** Resolves `wait` once nothing waits to be written. */
  drain(wait: Wait<void>): void {
    this.queueStraight();
    this.#levels.drain(wait);
  }

  forgetDrain(wait: Wait<void>): void {
    this.#levels.forgetDrain(wait);
  }

  /**
   * Nothing is accepted any more. Behind what is queued `frame` is written, and then the owner is told. A message in parts
   * that has not ended is cut, and its calls and those behind it are rejected with `error`.
   */
  finish(frame: Uint8Array | undefined, error: unknown): void {
    this.queueStraight();
    if (this.#closing !== undefined) return;
    this.#closing = { frame, state: "waiting" };
    this.#backlog.close(error);
    this.#levels.shrunk(this.#owner);
    this.schedule();
  }

  /** Rejects what has not begun to be written; a frame that has is completed, and what leaves with this turn's write does. */
  abandon(error: unknown): void {
    this.flush();
    this.#backlog.abandon(error);
    this.#lane.clear();
  }

  /** The transport is gone: rejects everything. */
  stop(error: unknown): void {
    this.queueStraight();
    this.#stopped = true;
    this.#underWay = undefined;
    this.#backlog.clear(error);
    this.#lane.clear();
    this.#levels.end(error);
  }

  /** A chunk has come: keeps what is sent from now on until `release`, which writes it at once. */
  hold(): void {
    this.#held = true;
    this.#blocked = this.#underWay !== undefined;
  }

  release(): void {
    this.#held = false;
    this.flush();
  }

  /** Writes at the end of this turn of the event loop. */
  schedule(): void {
    if (this.#scheduled || this.#held || this.#underWay !== undefined) return;
    this.#scheduled = true;
    atTurnEnd(this);
  }

  /** Writes as soon as the code that runs has done what it does without waiting. */
  hasten(): void {
    if (this.#scheduled || this.#held || this.#underWay !== undefined) return;
    this.#scheduled = true;
    atOnce(this);
  }

  turnEnded(): void {
    this.#scheduled = false;
    this.flush();
  }

  /** Hands on what waits, write by write, as far as the kernel takes it. */
  flush(): void {
    while (this.#underWay === undefined && !this.#stopped) {
      const goes = straight.owner === this && straight.open;
      const filled = goes ? straight.leave() : (this.#slab.fill(this.#lane, this.#backlog) ?? this.#closeFrame());
      if (filled === undefined) {
        this.#finishIfDone();
        return;
      }
      if (this.#handOver(filled)) this.#passedOn();
      else this.#waitForRoom(filled);
    }
  }

  #handOver({ bytes, shared }: Filled): boolean {
    let done = false;
    try {
      done = this.#owner.transport.write(bytes);
    } finally {
      this.#slab.handedOver(done, shared === true);
      if (done && straight.owner === this) straight.end();
    }
    // What went straight is, if it has to wait, as if each message had been queued before it was written.
    if (!done && straight.owner === this) this.queueStraight();
    return done;
  }

  /** The transport has passed everything on to the kernel. */
  written(): void {
    if (between(this.#since, this.#options.clock.now()) >= WAITED) this.#owner.roomMade();
    this.#owner.alarms.clear("write");
    this.#underWay = undefined;
    this.#passedOn();
    this.flush();
  }

  /** What its owner has written itself, and the transport has yet to pass on, is a write like any other: of `messages`. */
  adopt(filled: Filled, messages: readonly Outgoing[] = []): void {
    for (const message of messages) {
      message.state = "written";
      this.#backlog.add(message, "reject");
    }
    this.#waitForRoom(filled);
  }

  #waitForRoom(filled: Filled): void {
    this.#underWay = filled;
    this.#since = this.#options.clock.now();
    this.#owner.alarms.set("write", after(this.#since, this.#options.writeTimeout));
  }

  #passedOn(): void {
    this.#backlog.written();
    this.#levels.shrunk(this.#owner);
  }

  /** Whether all that is queued, and so many bytes and messages more, finds room in this turn's write. */
  #leaves(bytes: number, messages: number): boolean {
    if (this.#underWay !== undefined || this.#backlog.open) return false;
    const overhead = (this.#backlog.length + messages) * this.#wire.encoder.overhead;
    return this.#backlog.bytes + bytes + overhead + this.#lane.bytes <= SLAB;
  }

  #closeFrame(): Filled | undefined {
    const closing = this.#closing;
    if (closing?.frame === undefined || closing.state !== "waiting" || this.#backlog.length > 0) return undefined;
    closing.state = "written";
    return { bytes: closing.frame, operation: "write:close" };
  }

  #finishIfDone(): void {
    const closing = this.#closing;
    if (closing === undefined || closing.state === "told" || this.#backlog.length > 0) return;
    closing.state = "told";
    this.#owner.finished();
  }
}
