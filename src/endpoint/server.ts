/** A server as its user sees it: where it listens, who is connected, and how it closes. */

import type { Server as NetServer, Socket } from "node:net";
import type { Connection } from "../connection/connection.js";
import { Roll } from "../engine/roll.js";
import { stopAccepting } from "../transport/tcp-server.js";
import { type DrainOptions, type Roster, type SettledDrain, settleDrain } from "./roster.js";

export class Server<UserData = unknown> implements AsyncDisposable {
  /** The address as a URL, with the port that it got if 0 was asked for; of an attachment, the path that it takes. */
  readonly url: string;
  readonly #roster: Roster<UserData>;
  readonly #door: Door;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(url: string, roster: Roster<UserData>, door: Door) {
    this.url = url;
    this.#roster = roster;
    this.#door = door;
  }

  /** Those that are open or closing now. */
  get connections(): ReadonlySet<Connection<UserData>> {
    return this.#roster.connections;
  }

  /**
   * Accepts nobody any more, closes every connection with 1001 in batches, waits for them, and terminates at the end of
   * `drain` what is left. Resolves when all descriptors are free. A second call waits for the first. Options that cannot
   * be are a TypeError or RangeError, thrown before anything has begun.
   */
  close(options: DrainOptions = {}): Promise<void> {
    const settled = settleDrain(options);
    this.#closing ??= this.#close(settled);
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(options: SettledDrain): Promise<void> {
    this.#door.stop();
    if (this.#door.accepted !== undefined) await this.#roster.opened(this.#door.accepted, options.opening);
    await this.#roster.drain(options);
    await this.#door.shut();
  }
}

/** Where connections come in. */
export interface Door {
  /** Lets nobody in any more. */
  stop(): void;
  /** How many came in and have not left, whatever has become of them. */
  readonly accepted?: () => Promise<number>;
  /** Frees what came in and did not become a connection; resolves when nothing is left. */
  shut(): Promise<void>;
}

/** The door of a node server that is ours alone. */
export function doorOf(server: NetServer): Door {
  const sockets = new Roll<Socket>();
  server.on("connection", (socket: Socket) => {
    const place = sockets.add(socket);
    socket.on("close", () => sockets.remove(place, socket));
  });
  let closed: Promise<void>;
  return {
    stop: () => {
      closed = stopAccepting(server);
    },
    accepted: () => new Promise((resolve) => server.getConnections((_, count = 0) => resolve(count))),
    shut: () => {
      // What a node:http server does beside.
      server.close(() => undefined);
      for (const socket of sockets) socket.destroy();
      return closed;
    },
  };
}
