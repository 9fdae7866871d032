/** One connection between this library and a foreign peer, on real sockets, in either role. */

import { type Connection, type ConnectOptions, connect, type ListenOptions, listen } from "../../src/index.ts";
import type { ForeignConnection, ForeignPeer } from "./foreign-peer.ts";
import { joining } from "./relay.ts";
import type { Setting } from "./speakers/orders.ts";

/** Both sides of one connection. */
export interface Pair extends AsyncDisposable {
  readonly ours: Connection;
  readonly theirs: ForeignConnection;
  /** The peer's report when it was open. */
  readonly opened: { readonly subprotocol: string; readonly extensions: string };
}

type Shared = "maxMessageSize" | "subprotocols" | "compression" | "observe" | "trace";

export interface Wishes {
  /** The role of this side. */
  readonly ours?: Pick<ListenOptions & ConnectOptions, Shared> & Pick<ListenOptions, "authorize">;
  readonly theirs?: Partial<Setting>;
  /** The first message of the server. It arrives in the segment of the handshake. */
  readonly greeting?: string;
}

export type Join = (wishes?: Wishes) => Promise<Pair>;

/** The resources of a connection, which are closed after it. */
class Ends {
  readonly #resources: AsyncDisposable[] = [];

  push(resource: AsyncDisposable): void {
    this.#resources.push(resource);
  }

  async of(ours?: Connection): Promise<void> {
    ours?.terminate();
    await ours?.closed;
    for (const resource of this.#resources) await resource[Symbol.asyncDispose]();
  }
}

const PLAIN: Setting = { subprotocols: [], deflate: false };

/** The peer is the client. */
export const toOurServer =
  (foreign: () => ForeignPeer): Join =>
  async ({ ours: options = {}, theirs: setting = {}, greeting } = {}) => {
    const ends = new Ends();
    let tell: (connection: Connection) => void;
    const accepted = new Promise<Connection>((resolve) => {
      tell = resolve;
    });
    const open = (connection: Connection): void => {
      if (greeting !== undefined) connection.trySend(greeting);
    };
    // A browser's page has its own origin.
    const server = await listen("ws://127.0.0.1:0", { ...options, open, origin: "any" }, async (connection) => {
      tell(connection);
      await connection.closed;
    });
    ends.push(server);
    let { url } = server;
    if (greeting !== undefined) {
      const relay = await joining(Number(new URL(url).port));
      ends.push(relay);
      url = `ws://127.0.0.1:${relay.port}/`;
    }
    const theirs = foreign().dial(url, { ...PLAIN, ...setting });
    const opened = await theirs.open().catch(async (error: unknown) => {
      await ends.of();
      throw error;
    });
    const ours = await accepted;
    return { ours, theirs, opened, [Symbol.asyncDispose]: () => ends.of(ours) };
  };

/** The peer is the server. */
export const toTheirServer = (foreign: () => ForeignPeer): Join => {
  const ports = new Map<string, Promise<number>>();
  return async ({ ours: options = {}, theirs: setting = {}, greeting } = {}) => {
    const wanted = { ...PLAIN, ...setting };
    const key = JSON.stringify([wanted, greeting]);
    if (!ports.has(key)) ports.set(key, foreign().serve(wanted, greeting ?? null));
    const ends = new Ends();
    let port = await ports.get(key)!;
    if (greeting !== undefined) {
      const relay = await joining(port);
      ends.push(relay);
      port = relay.port;
    }
    const { on, talker } = foreign().expected();
    const { authorize: _, ...asked } = options;
    const ours = await connect(`ws://127.0.0.1:${port}/${on}`, asked);
    const opened = await talker.open();
    return { ours, theirs: talker, opened, [Symbol.asyncDispose]: () => ends.of(ours) };
  };
};
