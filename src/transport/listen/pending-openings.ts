/** Bounds the number of accepted sockets that are not connections: above the bound, the oldest one is closed. */

import { ListLink } from "../../engine/queue/intrusive-list.ts";
import type { Duplex } from "../node-types.ts";

/**
 * The number of such sockets for which there is room although all places of the server are taken. The default `backlog`: as many
 * sockets may be accepted in one event loop turn, and the requests of all of them can be read and answered.
 */
export const SPARE_OPENINGS = 512;

/** The detail of the event that reports a closed socket. */
export const EVICTED =
  "the oldest half-done handshake was closed for a newer one: with the connections, maxConnections is reached";

/** An accepted socket that waits for its TLS handshake or its request, or that is being closed after a refusal. */
export abstract class PendingOpening extends ListLink {
  /** Closes the socket. It is removed from the list already. */
  abstract evict(): void;
}

/** The openings in the order in which they were accepted; those after a refusal in the order of the refusals. */
export class PendingOpenings {
  readonly #head = new ListLink();
  readonly #freePlaces: () => number;
  #size = 0;

  /** `freePlaces` returns the number of connections for which the server has room now. */
  constructor(freePlaces: () => number) {
    this.#freePlaces = freePlaces;
  }

  /** Adds an opening as the newest. Closes the oldest ones for which there is no room any more. */
  add(opening: PendingOpening): void {
    this.#head.append(opening);
    this.#size += 1;
    while (this.#size > this.#freePlaces() + SPARE_OPENINGS) {
      const oldest = this.#head.next as PendingOpening;
      this.remove(oldest);
      oldest.evict();
    }
  }

  /** `opening` gets the position of `former`. If `former` is not in the list, `opening` becomes the newest. */
  replace(former: PendingOpening | undefined, opening: PendingOpening): void {
    if (former === undefined || former.next === former) this.add(opening);
    else opening.replace(former);
  }

  /** Has no effect if the opening is not in the list. */
  remove(opening: PendingOpening): void {
    if (opening.next === opening) return;
    opening.unlink();
    this.#size -= 1;
  }

  /** Adds a socket until it closes, or until the returned function is called. `evicted` is called before it is closed for another. */
  addSocket(socket: Duplex, evicted: () => void = doNothing): () => void {
    const opening = new PendingSocket(socket, evicted);
    const remove = (): void => {
      socket.off("close", remove);
      this.remove(opening);
    };
    socket.on("close", remove);
    this.add(opening);
    return remove;
  }
}

class PendingSocket extends PendingOpening {
  readonly #socket: Duplex;
  readonly #evicted: () => void;

  constructor(socket: Duplex, evicted: () => void) {
    super();
    this.#socket = socket;
    this.#evicted = evicted;
  }

  evict(): void {
    this.#evicted();
    this.#socket.destroy();
  }
}

function doNothing(): void {}
