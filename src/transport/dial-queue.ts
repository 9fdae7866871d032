/** Whose turn it is to dial: so many WebSockets at once open to an address, and the others wait, first come, first served. */

/** The place of one dial. */
export interface Place {
  /** Resolves when it is its turn at every one of these addresses; never, once it has left. To be called once. */
  readonly wait: (addresses: readonly string[]) => Promise<void>;
  /** Its connection is open, or has failed, or is no longer wanted: the next one may go. */
  readonly leave: () => void;
}

/** A dial that waits or goes on, and its stand in the line of each address that it may come to use. */
interface Ticket {
  readonly stands: readonly Stand[];
  readonly most: number;
  readonly go: () => void;
  going: boolean;
}

/** Linked, since whoever gives up leaves from the middle, and a crowd from the front. */
interface Stand {
  readonly line: Line;
  ticket: Ticket | undefined;
  before: Stand | undefined;
  behind: Stand | undefined;
}

interface Line {
  readonly address: string;
  /** Those who go on and those who wait, in the order in which they came. */
  first: Stand | undefined;
  last: Stand | undefined;
  /** The largest finite `most` of anybody who has ever stood here: whoever stands farther behind cannot go. */
  widest: number;
}

/**
 * RFC 6455 section 4.1 has at most one connection in state CONNECTING to an IP address and port, whatever name it was
 * reached by. A name may stand for many addresses, which are tried in turn: its dial takes its stand in the line of each,
 * in all of them at once, so that two dials never wait for each other.
 */
export class DialQueue {
  readonly #lines = new Map<string, Line>();

  /** A place for a dial that may be one of `most` at the same time; RangeError if that is no number of dials. */
  place(most: number): Place {
    if (most !== Infinity && !(Number.isInteger(most) && most > 0)) {
      throw new RangeError(
        `Cannot use maxConnecting ${most}: expected a whole number from 1, or Infinity for no limit`,
      );
    }
    let ticket: Ticket | undefined;
    let left = false;
    return {
      wait: (addresses) =>
        new Promise((go) => {
          if (!left) ticket = this.#enter(addresses, most, go);
        }),
      leave: () => {
        left = true;
        if (ticket !== undefined) this.#leave(ticket);
        ticket = undefined;
      },
    };
  }

  #enter(addresses: readonly string[], most: number, go: () => void): Ticket {
    const stands = Array.from(new Set(addresses), (address) => this.#stand(address));
    const ticket: Ticket = { stands, most, go, going: false };
    for (const stand of stands) {
      stand.ticket = ticket;
      if (most !== Infinity) stand.line.widest = Math.max(stand.line.widest, most);
    }
    consider(ticket);
    return ticket;
  }

  /** A stand at the end of the line. */
  #stand(address: string): Stand {
    const line = this.#lines.get(address) ?? { address, first: undefined, last: undefined, widest: 0 };
    this.#lines.set(address, line);
    const stand: Stand = { line, ticket: undefined, before: line.last, behind: undefined };
    if (line.last === undefined) line.first = stand;
    else line.last.behind = stand;
    line.last = stand;
    return stand;
  }

  #leave(ticket: Ticket): void {
    for (const { line, before, behind } of ticket.stands) {
      if (before === undefined) line.first = behind;
      else before.behind = behind;
      if (behind === undefined) line.last = before;
      else behind.before = before;
      if (line.first === undefined) this.#lines.delete(line.address);
    }
    for (const { line } of ticket.stands) {
      let stand = line.first;
      for (let ahead = 0; stand !== undefined && ahead < line.widest; ahead += 1) {
        if (stand.ticket !== undefined) consider(stand.ticket);
        stand = stand.behind;
      }
    }
  }
}

/** Whether it is its turn now. */
function consider(ticket: Ticket): void {
  if (ticket.going || !ticket.stands.every((stand) => isAmong(stand, ticket.most))) return;
  ticket.going = true;
  ticket.go();
}

/** Whether fewer than `most` stand before this one. */
function isAmong({ before }: Stand, most: number): boolean {
  if (most === Infinity) return true;
  let other = before;
  for (let ahead = 0; ahead < most; ahead += 1) {
    if (other === undefined) return true;
    other = other.before;
  }
  return false;
}
