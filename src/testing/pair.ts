/** Two connections joined in memory, and one connection whose peer is made of raw bytes. */

import { type CompressionOptions, settleCompression } from "../connection/compression.js";
import { Connection } from "../connection/connection.js";
import { type ConnectionOptions, settle } from "../connection/options.js";
import { framedWire, webSocketWire } from "../connection/wire.js";
import { DEFLATE } from "../engine/deflate.js";
import type { Framing } from "../engine/framing/framing.js";
import { type Link, memoryPair } from "../transport/memory.js";
import type { Transport } from "../transport/transport.js";
import { ManualClock } from "./clock.js";
import { Wire } from "./wire.js";

/** What both ends have in common. */
export interface LinkedOptions {
  /** @default "websocket" */
  readonly protocol?: "websocket" | "tcp";
  /** Where messages end, for tcp. @default "raw" */
  readonly framing?: Framing;
  /** What a server with these options and a client that leaves it to the server agree on. For websocket. @default false */
  readonly compression?: boolean | CompressionOptions;
  /** Bytes that the kernels between the ends hold in each direction before writes wait. @default 65_536 */
  readonly capacity?: number;
  /** Milliseconds on the way. @default 0 */
  readonly latency?: number;
  /** @default a new one */
  readonly clock?: ManualClock;
}

export interface PairOptions extends LinkedOptions {
  /** Options of the server's end. */
  readonly server?: ConnectionOptions;
  /** Options of the client's end. */
  readonly client?: ConnectionOptions;
}

/** Two open connections, each the other's peer. */
export interface Pair {
  readonly client: Connection;
  readonly server: Connection;
  readonly link: Link;
  readonly clock: ManualClock;
}

export function pair(options: PairOptions = {}): Pair {
  const clock = options.clock ?? new ManualClock();
  const ends = memoryPair({ ...options, clock });
  const client = open("client", ends.client, options, options.client, clock);
  const server = open("server", ends.server, options, options.server, clock);
  return { client, server, link: ends.link, clock };
}

export interface WiredOptions extends LinkedOptions {
  /** Which end the connection is. @default "server" */
  readonly role?: "client" | "server";
  /** Options of the connection. */
  readonly connection?: ConnectionOptions;
}

/** One open connection, and its peer as bytes. */
export interface Wired {
  readonly connection: Connection;
  readonly wire: Wire;
  readonly link: Link;
  readonly clock: ManualClock;
}

/** For peers that no library would play: those that break rules, stop in the middle, or say nothing. */
export function wired(options: WiredOptions = {}): Wired {
  const clock = options.clock ?? new ManualClock();
  const role = options.role ?? "server";
  const ends = memoryPair({ ...options, clock });
  const connection = open(role, ends[role], options, options.connection, clock);
  const wire = new Wire(ends[role === "server" ? "client" : "server"]);
  return { connection, wire, link: ends.link, clock };
}

function open(
  role: "client" | "server",
  transport: Transport,
  { protocol = "websocket", framing, compression }: LinkedOptions,
  options: ConnectionOptions = {},
  clock: ManualClock,
): Connection {
  const settled = settle({ clock, ...options } as ConnectionOptions<never>, protocol);
  const compressing = settleCompression("server", compression);
  const agreement = compressing?.terms[0];
  const connection = new Connection({
    transport,
    wire:
      protocol === "websocket"
        ? webSocketWire(role, compressing && agreement && { ...compressing, agreement })
        : framedWire(framing, settled),
    options: settled,
    url: `${protocol === "websocket" ? "ws" : "tcp"}://memory`,
    subprotocol: "",
    extensions: agreement === undefined ? "" : DEFLATE,
    data: undefined,
  });
  connection.start();
  return connection;
}
