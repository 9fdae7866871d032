/** A listener with raw peers, which proves at its end that no descriptor is left. */

import assert from "node:assert/strict";
import type { Connection, Handler, ListenOptions, Server } from "../../src/index.js";
import { listen } from "../../src/index.js";
import { openSockets } from "../descriptors.js";
import { portOf, type RawPeer } from "../raw-peers.js";
import type { Speech } from "./speech.js";

export class Scene implements AsyncDisposable {
  readonly server: Server;
  readonly port: number;
  /** What `onError` was told. */
  readonly errors: readonly unknown[];
  readonly #speech: Speech;
  readonly #before: number;
  readonly #peers: RawPeer[] = [];
  readonly #arrivals: AsyncIterator<Connection>;

  private constructor(
    speech: Speech,
    server: Server,
    before: number,
    errors: unknown[],
    arrivals: AsyncIterator<Connection>,
  ) {
    this.#speech = speech;
    this.server = server;
    this.port = portOf(server);
    this.#before = before;
    this.errors = errors;
    this.#arrivals = arrivals;
  }

  static async open(speech: Speech, options: ListenOptions, handler: Handler): Promise<Scene> {
    const before = openSockets();
    const errors: unknown[] = [];
    const arrived: Connection[] = [];
    let tell: (() => void) | undefined;
    async function* arrivals(): AsyncGenerator<Connection, never> {
      for (;;) {
        const connection = arrived.shift();
        if (connection !== undefined) yield connection;
        else
          await new Promise<void>((resolve) => {
            tell = resolve;
          });
      }
    }
    const server = await listen(
      speech.url,
      { ...speech.options, onError: (error) => errors.push(error), ...options },
      (connection) => {
        arrived.push(connection);
        tell?.();
        return handler(connection);
      },
    );
    return new Scene(speech, server, before, errors, arrivals());
  }

  /** One more peer, and the server's end of its connection. */
  async peer(): Promise<{ readonly peer: RawPeer; readonly connection: Connection }> {
    const peer = await this.#speech.open(this.port);
    this.#peers.push(peer);
    return { peer, connection: await this.arrival() };
  }

  /** The server's end of the next connection. */
  async arrival(): Promise<Connection> {
    const { value } = await this.#arrivals.next();
    return value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#peers.map((peer) => peer[Symbol.asyncDispose]()));
    await this.server.close({ drain: 2_000 });
    assert.equal(openSockets(), this.#before, "every socket has been closed");
  }
}

/** A promise, and what resolves it. */
export function gate(): { readonly passed: Promise<void>; readonly open: () => void } {
  let open!: () => void;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open };
}
