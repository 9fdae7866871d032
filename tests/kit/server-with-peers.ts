/** A listener with raw peers. At its end it checks that every descriptor was closed. */

import assert from "node:assert/strict";
import type { Connection, Handler, ListenOptions, Server } from "../../src/index.ts";
import { listen } from "../../src/index.ts";
import { openSockets } from "./kernel-sockets.ts";
import { portOf, type RawPeer } from "./raw-peer.ts";
import type { WireProtocol } from "./wire-protocols.ts";

export class ServerWithPeers implements AsyncDisposable {
  readonly server: Server;
  readonly port: number;
  /** The errors that `onError` received. */
  readonly errors: readonly unknown[];
  readonly #wire: WireProtocol;
  readonly #before: number;
  readonly #peers: RawPeer[] = [];
  readonly #arrivals: AsyncIterator<Connection>;

  private constructor(
    wire: WireProtocol,
    server: Server,
    before: number,
    errors: unknown[],
    arrivals: AsyncIterator<Connection>,
  ) {
    this.#wire = wire;
    this.server = server;
    this.port = portOf(server);
    this.#before = before;
    this.errors = errors;
    this.#arrivals = arrivals;
  }

  static async open(wire: WireProtocol, options: ListenOptions, handler: Handler): Promise<ServerWithPeers> {
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
      wire.url,
      { ...wire.options, onError: (error) => errors.push(error), ...options },
      (connection, request) => {
        arrived.push(connection);
        tell?.();
        return handler(connection, request);
      },
    );
    return new ServerWithPeers(wire, server, before, errors, arrivals());
  }

  /** One more peer, and the server's end of its connection. */
  async peer(): Promise<{ readonly peer: RawPeer; readonly connection: Connection }> {
    const peer = await this.#wire.open(this.port);
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
    // Some handlers never return.
    await this.server.close({ drain: 100 });
    assert.equal(openSockets(), this.#before, "every socket has been closed");
  }
}
