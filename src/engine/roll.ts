/** Who is there, in the order of joining: members leave in constant time, and leave nothing behind. */

// What a place costs is shared by so many; if all of them but one have left, that one has it to itself.
const SEATS = 16;

/** Where some members stand who joined one after the other. It is each one's key to leave by. */
export class Place<T> {
  readonly roll: Roll<T>;
  /** In the order of joining. Who leaves does so without anybody moving up. */
  readonly seats: (T | undefined)[] = new Array<T | undefined>(SEATS).fill(undefined);
  /** How many have been taken, by whoever has left as well. */
  taken = 0;
  present = 0;
  /** Of one that was left by all, which stood before it then: whoever is looking at it goes on from there. */
  previous: Place<T> = this;
  /** Undefined when all have left, and nobody can join. */
  next: Place<T> | undefined = this;

  constructor(roll: Roll<T>) {
    this.roll = roll;
  }

  has(value: T): boolean {
    return this.seats.includes(value);
  }
}

/**
 * Iterates as a Set does, members who join or leave meanwhile included. Nobody may be on it twice.
 *
 * Where members come and go by the thousand a Set does not do: V8 links each table that a Set outgrows to the one that
 * replaces it. As soon as one of them is old, all later ones are kept for its sake until the next full collection, and with
 * them whoever was a member then, which made the collector three times as dear as all that a handshake does.
 */
export class Roll<T> implements Iterable<T> {
  // Without a member, and with no seat to be had.
  readonly #root: Place<T> = new Place<T>(this);
  #size = 0;

  constructor() {
    this.#root.taken = SEATS;
  }

  get size(): number {
    return this.#size;
  }

  /** Who has been there for the longest; undefined if nobody is there. */
  get first(): T | undefined {
    for (const member of this) return member;
    return undefined;
  }

  add(value: T): Place<T> {
    let place = this.#root.previous;
    if (place.taken === SEATS) place = this.#append();
    place.seats[place.taken] = value;
    place.taken += 1;
    place.present += 1;
    this.#size += 1;
    return place;
  }

  /** Does nothing if the member has left already. */
  remove(place: Place<T>, value: T): void {
    const seat = place.seats.indexOf(value);
    if (seat < 0) return;
    place.seats[seat] = undefined;
    place.present -= 1;
    this.#size -= 1;
    const { previous, next } = place;
    if (place.present > 0 || place.taken < SEATS || next === undefined) return;
    previous.next = next;
    next.previous = previous;
    place.next = undefined;
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
      // Some may join, and all may leave, between one step and the next.
      for (let seat = 0; seat < at.taken; seat += 1) {
        const member = at.seats[seat];
        if (member !== undefined) yield member;
      }
    }
  }

  #append(): Place<T> {
    const place = new Place<T>(this);
    const last = this.#root.previous;
    place.previous = last;
    place.next = this.#root;
    last.next = place;
    this.#root.previous = place;
    return place;
  }
}
