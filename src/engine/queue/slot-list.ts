/** A collection in insertion order, with removal in constant time and without memory that removed members keep alive. */

// The number of members in one block, which share its memory. If all other members are removed, one member keeps the
// whole block.
const SLOTS_PER_BLOCK = 16;

/** A block of up to `SLOTS_PER_BLOCK` members that were added one after the other. `remove` needs the block of a member. */
export class SlotBlock<T> {
  readonly list: SlotList<T>;
  /** The members in insertion order. A removed member leaves its slot empty; the others do not move. */
  readonly slots: (T | undefined)[] = new Array<T | undefined>(SLOTS_PER_BLOCK).fill(undefined);
  /** The number of used slots, including those of removed members. */
  used = 0;
  /** The number of members that are not removed. */
  size = 0;
  /**
   * The block before this one. For a removed block: the block before it at removal, so that an iterator at this block can
   * continue.
   */
  previous: SlotBlock<T> = this;
  /** The block after this one. Undefined if this block was removed: it is full and all its members are removed. */
  next: SlotBlock<T> | undefined = this;

  constructor(list: SlotList<T>) {
    this.list = list;
  }

  has(value: T): boolean {
    return this.slots.includes(value);
  }
}

/**
 * Iterates like a Set, also if members are added or removed during the iteration. A member must not be added twice.
 *
 * A Set is not suitable if thousands of members are added and removed: V8 links each hash table that a Set outgrows to the table
 * that replaces it. As soon as one table is in the old generation, it keeps all later tables alive until the next major garbage
 * collection, and with them all their former members. With a Set, garbage collection took three times as much time as all the
 * work of a handshake.
 */
export class SlotList<T> implements Iterable<T> {
  // The head of the circular list of blocks. It has no members, and all its slots count as used.
  readonly #root: SlotBlock<T> = new SlotBlock<T>(this);
  #size = 0;

  constructor() {
    this.#root.used = SLOTS_PER_BLOCK;
  }

  get size(): number {
    return this.#size;
  }

  /** The member that was added first; undefined if there is none. */
  get first(): T | undefined {
    for (const member of this) return member;
    return undefined;
  }

  add(value: T): SlotBlock<T> {
    let block = this.#root.previous;
    if (block.used === SLOTS_PER_BLOCK) block = this.#append();
    block.slots[block.used] = value;
    block.used += 1;
    block.size += 1;
    this.#size += 1;
    return block;
  }

  /** Removes `value` from its block. Has no effect if it is already removed. */
  remove(block: SlotBlock<T>, value: T): void {
    const index = block.slots.indexOf(value);
    if (index < 0) return;
    block.slots[index] = undefined;
    block.size -= 1;
    this.#size -= 1;
    const { previous, next } = block;
    if (block.size > 0 || block.used < SLOTS_PER_BLOCK || next === undefined) return;
    previous.next = next;
    next.previous = previous;
    block.next = undefined;
  }

  *[Symbol.iterator](): Generator<T, undefined> {
    let at = this.#root;
    for (;;) {
      let { next } = at;
      while (next === undefined) {
        at = at.previous;
        next = at.next;
      }
      if (next === this.#root) return;
      at = next;
      // Members may be added, and all may be removed, between two steps.
      for (let index = 0; index < at.used; index += 1) {
        const member = at.slots[index];
        if (member !== undefined) yield member;
      }
    }
  }

  #append(): SlotBlock<T> {
    const block = new SlotBlock<T>(this);
    const last = this.#root.previous;
    block.previous = last;
    block.next = this.#root;
    last.next = block;
    this.#root.previous = block;
    return block;
  }
}
