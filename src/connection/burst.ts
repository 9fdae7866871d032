/** Connections that are sent the same messages: what they are sent in one turn is joined, and written to one after the other. */

import type { Transport } from "../transport/transport.js";
import { atTurnEnd, type TurnTask } from "../transport/turn.js";
import type { Connection } from "./connection.js";
import { type Batch, Joined } from "./joined.js";
import type { SettledOptions } from "./options.js";
import type { Outbox } from "./outbox.js";
import type { Encoded, PreparedMessage } from "./prepared.js";
import { type How, judged } from "./send-options.js";
import type { Wire } from "./wire.js";

/** A connection, as its burst knows it. */
export interface Follower {
  readonly connection: Connection;
  readonly wire: Wire;
  readonly options: SettledOptions;
  readonly transport: Transport;
  /** Here, or in the burst of another group. */
  place: Place | undefined;
  /** Whether it takes messages, has nothing else to send, and is not yet to write what it was sent by another group. */
  readonly free: boolean;
  /** What it takes when it follows no more. Whoever asks for this lets it give up its place first. */
  readonly out: Pick<Outbox, "queue" | "adopt">;
}

/** That of a connection which follows. */
export class Place {
  readonly #burst: Burst;
  readonly follower: Follower;
  /** Among the places. */
  index: number;

  constructor(burst: Burst, follower: Follower, index: number) {
    this.#burst = burst;
    this.follower = follower;
    this.index = index;
  }

  /** Whether something is yet to be written. */
  get pending(): boolean {
    return this.#burst.pending(this.index);
  }

  /** Writes what is yet to be written at once, and not at the end of the turn. */
  write(): void {
    if (this.pending) this.#burst.write(this.index);
  }

  /** What is yet to be written is queued, as if each message had come by itself. */
  giveUp(): void {
    const left = this.#burst.leave(this);
    if (left !== undefined) this.follower.out.queue(left.outgoing());
  }
}

/**
 * A connection that follows is sent everything, from one turn to the next, and is not touched for it: what there is of it is a
 * place here. It is written to at the end of the turn, or gives up its place before anything else is asked of its outbox, and
 * before its end begins. So whoever follows has nothing else to send, and room for all.
 */
export class Burst implements TurnTask {
  /** Those who do not follow: each is to be sent by itself what is sent. */
  readonly apart: Set<Connection> = new Set();
  /** How many follow. */
  following = 0;
  // By the index of their places. What every write needs stands apart from the rest: to find it in an object for each of
  // thousands, which are not in the processor's cache, took as long as all else that is done for a write here.
  #places: (Place | undefined)[] = [];
  #transports: (Transport | undefined)[] = [];
  /** How many messages each has written, or was not sent, of all that there ever were. */
  #taken: number[] = [];
  #count = 0;
  /** That of the first to follow: all others write the same. */
  #wire: Wire | undefined;
  /** The last messages, of which some who follow have yet to write some. */
  readonly #joined: Joined = new Joined();
  #scheduled = false;
  /** The least room that one of those who follow has for all of it. */
  #mostBytes = Infinity;
  #mostMessages = Infinity;

  /**
   * Sends `message` to all who follow. If it cannot go with what they were sent, they stay apart, and like all others who do
   * may follow from this message on.
   */
  send(message: PreparedMessage, how: How): void {
    if (this.#wire === undefined) return;
    const form = judged(how).key === undefined ? formOf(message, this.#wire) : undefined;
    if (form !== undefined && this.#hasRoom(form)) this.#join(message, form);
    else for (const place of this.#places) place?.giveUp();
  }

  /** Lets `follower` follow from `message` on, which is being sent; false if it cannot, and stays apart. */
  admit(follower: Follower, message: PreparedMessage, how: How): boolean {
    // A message could take another's place without its being told.
    if (judged(how).key !== undefined || !follower.free || !this.#suits(follower, message)) return false;
    follower.place?.giveUp();
    const place = new Place(this, follower, this.#places.length);
    follower.place = place;
    this.#places.push(place);
    this.#transports.push(follower.transport);
    this.#taken.push(this.#count - 1);
    this.following += 1;
    this.apart.delete(follower.connection);
    return true;
  }

  /** Whether `follower` is of the kind that those before it are, and has room. The first one makes the beginning. */
  #suits(follower: Follower, message: PreparedMessage): boolean {
    const { wire, options } = follower;
    // At the high water mark its owner would have to be told.
    const mostBytes = Math.min(options.maxQueuedBytes, options.highWaterMark);
    const mostMessages = options.maxQueuedMessages;
    if (this.#wire === undefined) {
      const form = formOf(message, wire);
      if (form === undefined || !this.#joined.fits(form) || form.size > mostBytes) return false;
      this.#wire = wire;
      this.#join(message, form);
    } else if (wire.kind !== this.#wire.kind) return false;
    if (this.#joined.size > mostBytes || this.#joined.length > mostMessages) return false;
    this.#mostBytes = Math.min(this.#mostBytes, mostBytes);
    this.#mostMessages = Math.min(this.#mostMessages, mostMessages);
    return true;
  }

  /** Takes `place` away, and answers with what is yet to be written. */
  leave(place: Place): Batch | undefined {
    const { index } = place;
    if (this.#places[index] !== place) return undefined;
    const left = this.pending(index) ? this.#batch(index) : undefined;
    this.#places[index] = undefined;
    this.#transports[index] = undefined;
    place.follower.place = undefined;
    this.following -= 1;
    this.apart.add(place.follower.connection);
    if (this.following === 0) this.#end();
    return left;
  }

  pending(index: number): boolean {
    return (this.#taken[index] as number) < this.#count;
  }

  /** All that is left in one write, which leaves nothing to be queued unless the kernel has no room. */
  write(index: number): void {
    const batch = this.#batch(index);
    this.#taken[index] = this.#count;
    if (this.#wire?.deflating !== undefined) tellWritten(this.#places[index], batch);
    if (this.#transports[index]?.write(batch.bytes)) return;
    const place = this.#places[index];
    if (place === undefined) return;
    this.leave(place);
    place.follower.out.adopt({ bytes: batch.bytes, operation: "write:data" }, batch.outgoing());
  }

  turnEnded(): void {
    this.#scheduled = false;
    let failure: { readonly error: unknown } | undefined;
    // By index: who follows meanwhile is written to as well.
    for (let index = 0; index < this.#transports.length; index += 1) {
      if (this.#transports[index] === undefined || !this.pending(index)) continue;
      try {
        this.write(index);
      } catch (error) {
        // One connection's fault must not keep the others' bytes.
        failure ??= { error };
      }
    }
    if (!this.#scheduled) {
      this.#joined.clear();
      if (this.#places.length > 2 * this.following) this.#closeRanks();
    }
    if (failure !== undefined) throw failure.error;
  }

  #join(message: PreparedMessage, form: Encoded): void {
    this.#joined.add(message, form);
    this.#count += 1;
    if (this.#scheduled) return;
    this.#scheduled = true;
    atTurnEnd(this);
  }

  #hasRoom(form: Encoded): boolean {
    const joined = this.#joined;
    return joined.length < this.#mostMessages && joined.size + form.size <= this.#mostBytes && joined.fits(form);
  }

  #batch(index: number): Batch {
    const left = this.#count - (this.#taken[index] as number);
    return this.#joined.from(this.#joined.length - left, this.#wire as Wire);
  }

  /** Nobody follows any more: whoever is next may be of another kind. */
  #end(): void {
    this.#places = [];
    this.#transports = [];
    this.#taken = [];
    this.#joined.clear();
    this.#wire = undefined;
    this.#mostBytes = Infinity;
    this.#mostMessages = Infinity;
  }

  /** All have taken all there is. */
  #closeRanks(): void {
    const places = this.#places.filter((place) => place !== undefined) as Place[];
    for (const [index, place] of places.entries()) place.index = index;
    this.#places = places;
    this.#transports = places.map(({ follower }) => follower.transport);
    this.#taken = places.map(() => this.#count);
  }
}

/** What is compressed later may refer to what was. */
function tellWritten(place: Place | undefined, { outgoing }: Batch): void {
  for (const message of outgoing()) place?.follower.wire.deflating?.written(message, "whole");
}

/** A message for which a framing has no form is for its connections to tell of, one by one. */
function formOf(message: PreparedMessage, wire: Wire): Encoded | undefined {
  try {
    return message.for(wire);
  } catch {
    return undefined;
  }
}
