/** The bounded store that messages wait in: it says what happened at its bounds and decides nothing. */

/** What became of an item. `full`: later, perhaps. `never`: it would not fit into an empty queue either. */
export type Offer = "queued" | "full" | "never";

/** The least that a queue counts of what it holds: a size in bytes, which must not change while it waits. */
export interface Sized {
  readonly size: number;
}

// A power of two, as every later capacity is its double and positions are wrapped with a mask.
const FIRST_CAPACITY = 8;
const MOST_SPARE = 256;

// Shared by all queues that are empty, and never written to.
const NO_RING: undefined[] = [];

/** The ring that a queue has let go of most recently: most queues run empty as often as they are filled. */
let spare: undefined[] | undefined;

/**
 * A first-in-first-out queue bounded in bytes and in items, because a million empty messages are not free.
 * `Infinity` leaves a bound out. Until its first item and whenever it has run empty it holds no ring.
 */
export class BoundedQueue<T extends Sized> implements Iterable<T> {
  readonly #maxBytes: number;
  readonly #maxItems: number;
  #ring: (T | undefined)[] = NO_RING;
  #head = 0;
  #length = 0;
  #bytes = 0;

  constructor(maxBytes: number, maxItems: number) {
    this.#maxBytes = maxBytes;
    this.#maxItems = maxItems;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get length(): number {
    return this.#length;
  }

  /** Appends `item` if both bounds then still hold. */
  offer(item: T): Offer {
    if (item.size > this.#maxBytes || this.#maxItems < 1) return "never";
    if (this.#bytes + item.size > this.#maxBytes || this.#length >= this.#maxItems) return "full";
    if (this.#length === this.#ring.length) this.#grow();
    this.#ring[this.#slot(this.#length)] = item;
    this.#length += 1;
    this.#bytes += item.size;
    return "queued";
  }

  /** The oldest item, which stays. */
  peek(): T | undefined {
    return this.#ring[this.#head];
  }

  /** The oldest item, which leaves. */
  take(): T | undefined {
    const item = this.#ring[this.#head];
    if (item !== undefined) this.#leave(item);
    return item;
  }

  /** Withdraws `item` from wherever it waits; false if it does not wait here. */
  remove(item: T): boolean {
    const index = this.#indexOf((waiting) => waiting === item);
    if (index === -1) return false;
    this.#withdraw(index);
    return true;
  }

  /** Withdraws and returns the oldest item that is `droppable`. */
  dropOldest(droppable: (item: T) => boolean): T | undefined {
    const index = this.#indexOf(droppable);
    return index === -1 ? undefined : this.#withdraw(index);
  }

  /** Puts `item` where the oldest that `matches` waits, and answers with that; else says why not, and nothing has changed. */
  replace(matches: (item: T) => boolean, item: T): T | "absent" | "full" | "never" {
    const index = this.#indexOf(matches);
    if (index === -1) return "absent";
    if (item.size > this.#maxBytes) return "never";
    const replaced = this.at(index);
    const bytes = this.#bytes - replaced.size + item.size;
    if (bytes > this.#maxBytes) return "full";
    this.#ring[this.#slot(index)] = item;
    this.#bytes = bytes;
    return replaced;
  }

  /** From the oldest to the newest. The queue must not change meanwhile. */
  *[Symbol.iterator](): Generator<T, void, undefined> {
    for (let index = 0; index < this.#length; index += 1) yield this.at(index);
  }

  #slot(index: number): number {
    return (this.#head + index) & (this.#ring.length - 1);
  }

  /** The item with `index` items before it, of which there must be as many. */
  at(index: number): T {
    return this.#ring[this.#slot(index)] as T;
  }

  #indexOf(matches: (item: T) => boolean): number {
    for (let index = 0; index < this.#length; index += 1) {
      if (matches(this.at(index))) return index;
    }
    return -1;
  }

  #withdraw(index: number): T {
    const item = this.at(index);
    // The gap is closed from the front: that costs no more than finding the item did.
    for (let to = index; to > 0; to -= 1) this.#ring[this.#slot(to)] = this.at(to - 1);
    this.#leave(item);
    return item;
  }

  /** `item` leaves, and the slot at the head becomes free. */
  #leave(item: T): void {
    this.#ring[this.#head] = undefined;
    this.#head = this.#slot(1);
    this.#length -= 1;
    this.#bytes -= item.size;
    if (this.#length > 0) return;
    // All its slots are undefined again.
    if (this.#ring.length <= MOST_SPARE) spare = this.#ring as undefined[];
    this.#ring = NO_RING;
    this.#head = 0;
  }

  #grow(): void {
    if (this.#length === 0 && spare !== undefined) {
      this.#ring = spare as undefined[];
      spare = undefined;
      return;
    }
    const ring = new Array<T | undefined>(this.#ring.length * 2 || FIRST_CAPACITY);
    for (let index = 0; index < this.#length; index += 1) ring[index] = this.at(index);
    this.#ring = ring;
    this.#head = 0;
  }
}
