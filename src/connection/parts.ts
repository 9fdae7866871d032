/** What a connection consists of: each part is made when it is first needed, and given back when it has long been idle. */

import type { ConnectionError, Progress } from "../base/errors.js";
import type { Instant } from "../base/time.js";
import type { State } from "../engine/lifecycle.js";
import type { Transport } from "../transport/transport.js";
import type { Alarms } from "./alarms.js";
import type { Follower, Place } from "./burst.js";
import { Closing, type Ends } from "./closing.js";
import type { Connection } from "./connection.js";
import { Delivery, type DeliveryOwner } from "./delivery.js";
import { Inbox } from "./inbox.js";
import { Intake, type IntakeOwner } from "./intake.js";
import { LastWord } from "./last-word.js";
import type { CloseInfo, SettledOptions } from "./options.js";
import { Outbox } from "./outbox.js";
import type { OutboxOwner } from "./outbox-owner.js";
import { Outcome } from "./outcome.js";
import { Pings } from "./pings.js";
import { Seldom } from "./seldom.js";
import { Waits, type WaitsOwner } from "./waits.js";
import { Watch } from "./watch.js";
import type { Wire } from "./wire.js";

/** What is common to all its parts. */
export interface Whole {
  readonly wire: Wire;
  readonly transport: Transport;
  readonly options: SettledOptions;
}

/** What the parts ask of the connection. */
export interface PartsOwner extends DeliveryOwner, Ends, Follower, IntakeOwner, OutboxOwner, WaitsOwner {
  /** The peer's last word has taken effect. */
  takeEnd(): void;
}

const AT_BOUNDARY: Progress = Object.freeze({ received: 0, expected: undefined });

/**
 * Thousands of connections are idle for each that is not, so what an idle one does not need is not there: what stands here as
 * undefined is as it would be if it had just been made, and the questions below have the answer for that.
 */
export abstract class Parts extends Watch implements Whole, Follower {
  readonly connection: Connection;
  readonly wire: Wire;
  readonly transport: Transport;
  #intake: Intake | undefined;
  #outbox: Outbox | undefined;
  #delivery: Delivery | undefined;
  #closing: Closing | undefined;
  #seldom: Seldom | undefined;
  /** Messages of the last chunk, until a loop has answered it. */
  arrived = 0;
  /** Where it follows what a group sends. Then nothing else is on its way out. */
  place: Place | undefined;
  /** A chunk is being handled. */
  #held = false;
  /** What the application needed last was given back, or can be. */
  #idle = false;

  constructor(connection: Connection, { wire, transport, options }: Whole) {
    super(options);
    this.connection = connection;
    this.wire = wire;
    this.transport = transport;
  }

  /** The connection, as its parts know it. */
  protected abstract owner(): PartsOwner;

  // The parts

  // On the way of every message: so small that V8 puts them where they are used.

  get intake(): Intake {
    return this.#intake ?? Parts.#newIntake(this);
  }

  /** For those who send on the application's behalf. */
  get outbox(): Outbox {
    this.#idle = false;
    return this.out;
  }

  /** For what goes out without the application. */
  get out(): Outbox {
    if (this.place !== undefined) this.stayApart();
    return this.#outbox ?? Parts.#newOutbox(this);
  }

  get delivery(): Delivery {
    return this.#delivery ?? Parts.#newDelivery(this);
  }

  get waits(): Waits {
    const seldom = Parts.#made(this);
    seldom.waits ??= new Waits(this.options.clock, this.owner());
    return seldom.waits;
  }

  get inbox(): Inbox {
    return this.delivery.inbox;
  }

  get pings(): Pings {
    const seldom = Parts.#made(this);
    seldom.pings ??= new Pings();
    return seldom.pings;
  }

  // It is both itself: an object less for each connection.

  get alarms(): Alarms {
    return this;
  }

  get watch(): Watch {
    return this;
  }

  get lastWord(): LastWord {
    const seldom = Parts.#made(this);
    seldom.lastWord ??= new LastWord(this.inbox, () => this.owner().takeEnd());
    return seldom.lastWord;
  }

  get closing(): Closing {
    this.#closing ??= new Closing(this.owner());
    return this.#closing;
  }

  get outcome(): Outcome {
    const seldom = Parts.#made(this);
    seldom.outcome ??= new Outcome(this.refusal, this.#closing?.info);
    return seldom.outcome;
  }

  // What is asked of parts that may not be there

  /** The message that is arriving. */
  get progress(): Progress {
    return this.#intake?.decoder.partial ?? AT_BOUNDARY;
  }

  get state(): State {
    return this.#closing?.ending.state ?? "open";
  }

  /** The error for calls that come too late; undefined while the connection takes messages. */
  get refusal(): ConnectionError | undefined {
    return this.#closing?.refusal;
  }

  /** When the peer's FIN was known to have come. */
  get peerEndedAt(): Instant | undefined {
    return this.#closing?.peerEndedAt;
  }

  /** How far the peer's FIN is. */
  get peerEnd(): Closing["peerEnd"] {
    return this.#closing?.peerEnd ?? "none";
  }

  /** Whether arriving bytes are thrown away. */
  get discarding(): boolean {
    return this.#closing?.deaf === true;
  }

  get deaf(): boolean {
    return this.discarding || Parts.#lastWordWaits(this);
  }

  get over(): boolean {
    return this.refusal !== undefined || Parts.#lastWordWaits(this);
  }

  /** Whether an empty Pong, which is no answer to the application's own Pings, would be heeded by nobody. */
  get unheeded(): boolean {
    const reading = this.#intake !== undefined || this.#seldom?.lastWord !== undefined;
    return !reading && this.#closing === undefined && this.options.hooks.pong === undefined;
  }

  /** Whether something that has come has yet to take effect. */
  get pending(): boolean {
    return this.#intake?.pending === true || Parts.#lastWordWaits(this);
  }

  /** Whether messages go to a hook. */
  get hooked(): boolean {
    return this.options.hooks.message !== undefined;
  }

  get inboxEmpty(): boolean {
    return this.#delivery === undefined || this.#delivery.inbox.empty;
  }

  get writeBounded(): boolean {
    return this.#seldom?.waits?.writeBounded === true;
  }

  get writeExpired(): boolean {
    return this.#seldom?.waits?.writeExpired === true;
  }

  get inboxFull(): boolean {
    return this.#delivery?.inbox.full === true;
  }

  override get busy(): boolean {
    return this.#delivery?.busy === true;
  }

  /** Whether nothing is on its way out, or about to be. */
  get quiet(): boolean {
    return this.#outbox === undefined && !this.#held && this.place?.pending !== true;
  }

  get free(): boolean {
    // A write deadline could pass without what was sent being told.
    if (this.refusal !== undefined || this.writeBounded || this.place?.pending) return false;
    return this.#outbox?.busy !== true;
  }

  // What they are told if they are there

  hold(): void {
    this.#held = true;
    this.#outbox?.hold();
  }

  release(): void {
    this.#held = false;
    this.place?.write();
    this.#outbox?.release();
  }

  stayApart(): void {
    this.place?.giveUp();
  }

  /** There is room for more: goes on if reading had stopped, and answers whether it had. */
  goOn(): boolean {
    return this.#intake?.goOn() === true;
  }

  answered(payload: Uint8Array): void {
    this.#seldom?.pings?.answered(payload, this.options.clock.now());
  }

  /** Nothing will come any more: what has come takes effect now. */
  heed(): void {
    this.#intake?.stop();
    this.#seldom?.lastWord?.heed();
  }

  endCalls(error: ConnectionError): void {
    this.#delivery?.inbox.end(error);
    this.#seldom?.waits?.end(error);
    this.#seldom?.pings?.end(error);
  }

  endWrites(error: ConnectionError): void {
    this.#outbox?.stop(error);
  }

  tellBegun(refusal: ConnectionError): void {
    this.#seldom?.outcome?.begun(refusal);
  }

  tellEnded(): void {
    this.#seldom?.outcome?.over(this.closing.info as CloseInfo);
  }

  // Idleness

  /** Messages have come. */
  roused(): void {
    this.#idle = false;
  }

  /** Nothing has come for long. */
  idled(): void {
    this.#idle = true;
    this.shrink();
  }

  /**
   * Gives back what is as it would be if it had just been made: to others who are busy where there are such, behind each
   * chunk; else while it is idle.
   */
  shrink(): void {
    const { shelves } = this.wire;
    if (shelves === undefined && !this.#idle) return;
    if (this.#closing !== undefined || this.#seldom?.lastWord !== undefined) return;
    const intake = this.#intake;
    const outbox = this.#outbox;
    const delivery = this.#delivery;
    if (intake?.atRest && (shelves?.intakes.put(intake) || this.#idle)) {
      intake.lend();
      this.#intake = undefined;
    }
    if (outbox?.atRest && (shelves?.outboxes.put(outbox) || this.#idle)) {
      outbox.lend();
      this.#outbox = undefined;
    }
    if (delivery?.atRest && (shelves?.deliveries.put(delivery) || this.#idle)) {
      delivery.lend();
      this.#delivery = undefined;
    }
  }

  static #made(parts: Parts): Seldom {
    parts.#seldom ??= new Seldom();
    return parts.#seldom;
  }

  static #newIntake(parts: Parts): Intake {
    const lent = parts.wire.shelves?.intakes.take();
    lent?.lend(parts.owner());
    parts.#intake = lent ?? new Intake(parts.owner());
    return parts.#intake;
  }

  static #newOutbox(parts: Parts): Outbox {
    const lent = parts.wire.shelves?.outboxes.take();
    lent?.lend(parts.owner());
    parts.#outbox = lent ?? new Outbox(parts.wire, parts.options, parts.owner());
    if (parts.#held) parts.#outbox.hold();
    const told = parts.#closing?.told;
    if (told !== undefined) parts.#outbox.stop(told);
    return parts.#outbox;
  }

  static #newDelivery(parts: Parts): Delivery {
    const { hooks, maxInboxBytes, maxInboxMessages } = parts.options;
    const lent = parts.wire.shelves?.deliveries.take();
    lent?.lend(parts.owner());
    parts.#delivery = lent ?? new Delivery(new Inbox(maxInboxBytes, maxInboxMessages), hooks.message, parts.owner());
    const told = parts.#closing?.told;
    if (told !== undefined) parts.#delivery.inbox.end(told);
    return parts.#delivery;
  }

  static #lastWordWaits(parts: Parts): boolean {
    return parts.#seldom?.lastWord?.pending === true;
  }
}
