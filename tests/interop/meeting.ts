/** Where ours and theirs meet: one connection between this library and a peer, on real sockets, in either role. */

import { type Connection, type ConnectOptions, connect, type ListenOptions, listen } from "../../src/index.js";
import { joining } from "./relay.js";
import type { Speaker, Talker } from "./speaker.js";
import type { Setting } from "./speakers/orders.js";

/** Both ends of one connection. */
export interface Pair extends AsyncDisposable {
  readonly ours: Connection;
  readonly theirs: Talker;
  /** What the peer said of its side when it was open. */
  readonly opened: { readonly subprotocol: string; readonly extensions: string };
}

type Shared = "maxMessageSize" | "subprotocols" | "compression" | "observe";

export interface Wishes {
  /** In the role that is ours. */
  readonly ours?: Pick<ListenOptions & ConnectOptions, Shared> & Pick<ListenOptions, "authorize">;
  readonly theirs?: Partial<Setting>;
  /** What whoever is the server says first; it arrives in the segment of the handshake. */
  readonly greeting?: string;
}

export type Join = (wishes?: Wishes) => Promise<Pair>;

/** What a connection stands on, to be taken down behind it. */
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

/** Theirs is the client. */
export const toOurServer =
  (speaker: () => Speaker): Join =>
  async ({ ours: options = {}, theirs: setting = {}, greeting } = {}) => {
    const ends = new Ends();
    let tell: (connection: Connection) => void;
    const accepted = new Promise<Connection>((resolve) => {
      tell = resolve;
    });
    const open = (connection: Connection): void => {
      if (greeting !== undefined) connection.trySend(greeting);
    };
    // A browser's page has an origin of its own.
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
    const theirs = speaker().dial(url, { ...PLAIN, ...setting });
    const opened = await theirs.open().catch(async (error: unknown) => {
      await ends.of();
      throw error;
    });
    const ours = await accepted;
    return { ours, theirs, opened, [Symbol.asyncDispose]: () => ends.of(ours) };
  };

/** Theirs is the server. */
export const toTheirServer = (speaker: () => Speaker): Join => {
  const ports = new Map<string, Promise<number>>();
  return async ({ ours: options = {}, theirs: setting = {}, greeting } = {}) => {
    const wanted = { ...PLAIN, ...setting };
    const key = JSON.stringify([wanted, greeting]);
    if (!ports.has(key)) ports.set(key, speaker().serve(wanted, greeting ?? null));
    const ends = new Ends();
    let port = await ports.get(key)!;
    if (greeting !== undefined) {
      const relay = await joining(port);
      ends.push(relay);
      port = relay.port;
    }
    const { on, talker } = speaker().expected();
    const { authorize: _, ...asked } = options;
    const ours = await connect(`ws://127.0.0.1:${port}/${on}`, asked);
    const opened = await talker.open();
    return { ours, theirs: talker, opened, [Symbol.asyncDispose]: () => ends.of(ours) };
  };
};
