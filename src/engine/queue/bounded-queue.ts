/** A bounded FIFO queue that reports when it is full; the caller applies a policy. */

/** The result of `offer`. `full`: there may be room later. `never`: the item does not fit even in an empty queue. */
export type Offer = "queued" | "full" | "never";

/** An item of a queue: its size in bytes, which must not change while the item is in the queue. */
export interface Sized {
  readonly size: number;
  /** The part of `size` that no other item of any queue shares. Absent: all of it. */
  readonly ownSize?: number;
  /** Called when the item enters a queue, and when it leaves that queue. */
  entered?(): void;
  left?(): void;
}

// A power of two: each later capacity is twice the previous one, and positions are wrapped with a bit mask.
const FIRST_CAPACITY = 8;
const MAX_SPARE = 256;

// Shared by all empty queues, and never written to.
const NO_RING: undefined[] = [];

/** The array that an emptied queue released last, for reuse: most queues become empty as often as they are filled. */
let spareArray: undefined[] | undefined;

/**
 * A FIFO queue with a limit in bytes and a limit in items. Each item counts its size plus `overhead`, because an empty message
 * uses memory too. An item of at most `maxBytes` always fits in an empty queue, with any overhead. `Infinity` turns a limit off.
 * An empty queue holds no array for items.
 */
export class BoundedQueue<T extends Sized> implements Iterable<T> {
  readonly #maxBytes: number;
  readonly #maxItems: number;
  readonly #overhead: number;
  #ring: (T | undefined)[] = NO_RING;
  #head = 0;
  #length = 0;
  #bytes = 0;
  #ownBytes = 0;

  constructor(maxBytes: number, maxItems: number, overhead: number = 0) {
    this.#maxBytes = maxBytes;
    this.#maxItems = maxItems;
    this.#overhead = overhead;
  }

  /** The sum of the sizes of all items, and of the overhead of each. */
  get bytes(): number {
    return this.#bytes;
  }

  /** As `bytes`, but without what items share with items of other queues. */
  get ownBytes(): number {
    return this.#ownBytes;
  }

  get length(): number {
    return this.#length;
  }

  /** Appends `item` if this exceeds neither limit. */
  offer(item: T): Offer {
    if (item.size > this.#maxBytes || this.#maxItems < 1) return "never";
    const bytes = this.#bytes + item.size + this.#overhead;
    if (this.#length > 0 && (bytes > this.#maxBytes || this.#length >= this.#maxItems)) return "full";
    if (this.#length === this.#ring.length) this.#grow();
    this.#ring[this.#slot(this.#length)] = item;
    this.#length += 1;
    this.#bytes = bytes;
    this.#ownBytes += (item.ownSize ?? item.size) + this.#overhead;
    item.entered?.();
    return "queued";
  }

  /** Returns the oldest item and does not remove it. */
  peek(): T | undefined {
    return this.#ring[this.#head];
  }

  /** Removes and returns the oldest item. */
  take(): T | undefined {
    const item = this.#ring[this.#head];
    if (item !== undefined) this.#freeHead(item);
    return item;
  }

  /** Removes `item` from any position. Returns false if it is not in this queue. */
  remove(item: T): boolean {
    const index = this.#indexOf((waiting) => waiting === item);
    if (index === -1) return false;
    this.#removeAt(index);
    return true;
  }

  /** Removes and returns the oldest item for which `droppable` returns true. */
  dropOldest(droppable: (item: T) => boolean): T | undefined {
    const index = this.#indexOf(droppable);
    return index === -1 ? undefined : this.#removeAt(index);
  }

  /**
   * Replaces the oldest item for which `matches` returns true with `item`, at the same position. Returns the replaced item. If
   * there is none (`absent`) or `item` does not fit (`full`, `never`), nothing changes.
   */
  replace(matches: (item: T) => boolean, item: T): T | "absent" | "full" | "never" {
    const index = this.#indexOf(matches);
    if (index === -1) return "absent";
    if (item.size > this.#maxBytes) return "never";
    const replaced = this.at(index);
    const bytes = this.#bytes - replaced.size + item.size;
    if (bytes > this.#maxBytes && this.#length > 1) return "full";
    this.#ring[this.#slot(index)] = item;
    this.#bytes = bytes;
    this.#ownBytes += (item.ownSize ?? item.size) - (replaced.ownSize ?? replaced.size);
    item.entered?.();
    replaced.left?.();
    return replaced;
  }

  /** Iterates from the oldest to the newest item. The queue must not change during the iteration. */
  *[Symbol.iterator](): Generator<T, void, undefined> {
    for (let index = 0; index < this.#length; index += 1) yield this.at(index);
  }

  #slot(index: number): number {
    return (this.#head + index) & (this.#ring.length - 1);
  }

  /** The item at `index`, counted from the oldest. `index` must be less than `length`. */
  at(index: number): T {
    return this.#ring[this.#slot(index)] as T;
  }

  #indexOf(matches: (item: T) => boolean): number {
    for (let index = 0; index < this.#length; index += 1) {
      if (matches(this.at(index))) return index;
    }
    return -1;
  }

  #removeAt(index: number): T {
    const item = this.at(index);
    // The items before the removed one move back by one position. This takes no more steps than the search for the item.
    for (let to = index; to > 0; to -= 1) this.#ring[this.#slot(to)] = this.at(to - 1);
    this.#freeHead(item);
    return item;
  }

  /** Subtracts `item` from the counts and frees the slot at the head. */
  #freeHead(item: T): void {
    this.#ring[this.#head] = undefined;
    this.#head = this.#slot(1);
    this.#length -= 1;
    this.#bytes -= item.size + this.#overhead;
    this.#ownBytes -= (item.ownSize ?? item.size) + this.#overhead;
    item.left?.();
    if (this.#length > 0) return;
    // All slots of the array are undefined again, so another queue can use it.
    if (this.#ring.length <= MAX_SPARE) spareArray = this.#ring as undefined[];
    this.#ring = NO_RING;
    this.#head = 0;
  }

  #grow(): void {
    if (this.#length === 0 && spareArray !== undefined) {
      this.#ring = spareArray as undefined[];
      spareArray = undefined;
      return;
    }
    const ring = new Array<T | undefined>(this.#ring.length * 2 || FIRST_CAPACITY);
    for (let index = 0; index < this.#length; index += 1) ring[index] = this.at(index);
    this.#ring = ring;
    this.#head = 0;
  }
}
