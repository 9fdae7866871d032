/** A listener of this library and a client connected to it, on real sockets. */

import type { Connection, ConnectionOptions, Framing, ListenOptions, Server } from "../../src/index.ts";
import { connect, listen } from "../../src/index.ts";
import { FrameReader, messagesIn } from "./frames.ts";
import { portOf } from "./raw-peer.ts";

/** A protocol in which messages of any size may be written whole and in parts. */
export interface Kind {
  readonly name: string;
  readonly protocol: "websocket" | "tcp";
  readonly url: string;
  readonly options: { readonly framing?: Framing };
}

export const KINDS: readonly Kind[] = [
  { name: "WebSocket", protocol: "websocket", url: "ws://127.0.0.1:0", options: {} },
  {
    name: "framed TCP",
    protocol: "tcp",
    url: "tcp://127.0.0.1:0",
    options: { framing: { delimiter: "\n", text: true } },
  },
];

export interface ConnectedPairOptions {
  readonly server?: ListenOptions;
  readonly client?: ConnectionOptions;
}

/** A listener, and one connection to it with both its ends. */
export class ConnectedPair implements AsyncDisposable {
  readonly listener: Server;
  readonly client: Connection;
  readonly server: Connection;

  private constructor(listener: Server, client: Connection, server: Connection) {
    this.listener = listener;
    this.client = client;
    this.server = server;
  }

  static async open({ url, options }: Kind, { server, client }: ConnectedPairOptions = {}): Promise<ConnectedPair> {
    let arrived!: (connection: Connection) => void;
    const accepted = new Promise<Connection>((resolve) => {
      arrived = resolve;
    });
    const listener = await listen(url, { ...options, ...server, open: arrived });
    const dialled = await connect(addressOf(listener), { ...options, ...client });
    return new ConnectedPair(listener, dialled as Connection, await accepted);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.terminate();
    await this.listener.close({ drain: 0 });
    await this.client.closed;
  }
}

/** Where to dial, without the path. */
export function addressOf(listener: Server): string {
  return `${new URL(listener.url).protocol}//127.0.0.1:${portOf(listener)}`;
}

/** The whole texts in what a connection of this kind has written. */
export function textsIn({ protocol }: Pick<Kind, "protocol">, written: Uint8Array): string[] {
  if (protocol === "tcp") return Buffer.from(written).toString().split("\n").slice(0, -1);
  return messagesIn(new FrameReader().push(written)).map(String);
}
