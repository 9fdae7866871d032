/** Two connections joined in memory, and one connection whose peer is a test that reads and writes raw bytes. */

import { judgeNames } from "../base/judge.ts";
import type { MessageType, MessageTyping, ReceivedBy } from "../connection/codec.ts";
import { type CompressionOptions, settleCompression } from "../connection/compression/options.ts";
import type { Connection, Sendable } from "../connection/contract.ts";
import { type AnyConnectionOptions, type ConnectionOptions, settle } from "../connection/options.ts";
import { framedProtocol, webSocketProtocol } from "../connection/protocol.ts";
import { TransportConnection } from "../connection/transport-connection.ts";
import type { UpgradeRequest } from "../connection/upgrade-request.ts";
import { SERVER_DEFAULTS } from "../endpoint/options.ts";
import { DEFLATE } from "../engine/deflate/negotiation.ts";
import type { Framing } from "../engine/framing/framing.ts";
import type { Message } from "../engine/protocol.ts";
import { type Link, memoryPair } from "../transport/memory.ts";
import type { Transport } from "../transport/transport.ts";
import { ManualClock } from "./clock.ts";
import { RawPeer } from "./raw-peer.ts";

const LINKED: readonly string[] = ["kind", "framing", "compression", "capacity", "latency", "clock"];

/** Options of the link and of both ends. */
export interface LinkedOptions {
  /** The kind of both connections. @default "websocket" */
  readonly kind?: "websocket" | "tcp" | undefined;
  /** How messages are delimited, for `tcp`. @default "raw" */
  readonly framing?: Framing | undefined;
  /** For `websocket`: the server's compression options; the client accepts what the server chooses. @default false */
  readonly compression?: boolean | CompressionOptions | undefined;
  /** Bytes that the kernels between the ends hold in each direction before writes wait. @default 65_536 */
  readonly capacity?: number | undefined;
  /** Delay of all bytes and of the FIN, in milliseconds. @default 0 */
  readonly latency?: number | undefined;
  /** The clock of both ends and of the link. @default a new one */
  readonly clock?: ManualClock | undefined;
}

export interface PairOptions<ServerIn = Message, ServerOut = Sendable, ClientIn = Message, ClientOut = Sendable>
  extends LinkedOptions {
  /** Options of the server-side connection. */
  readonly server?: ConnectionOptions<unknown, UpgradeRequest | undefined, ServerIn, ServerOut> | undefined;
  /** Options of the client-side connection. */
  readonly client?: ConnectionOptions<unknown, UpgradeRequest | undefined, ClientIn, ClientOut> | undefined;
}

/** Two open connections that are each other's peer. */
export interface Pair<ServerIn = Message, ServerOut = Sendable, ClientIn = Message, ClientOut = Sendable> {
  readonly client: Connection<unknown, ClientIn, ClientOut>;
  readonly server: Connection<unknown, ServerIn, ServerOut>;
  readonly link: Link;
  readonly clock: ManualClock;
}

/** Joins two open connections in memory. No handshake takes place. Throws TypeError or RangeError for misuse. */
export function pair<
  ServerIn = never,
  ServerOut = Sendable,
  ServerType extends MessageType = MessageType,
  ClientIn = never,
  ClientOut = Sendable,
  ClientType extends MessageType = MessageType,
  const Frames extends Framing | undefined = Framing | undefined,
>(
  options: PairOptions<
    ReceivedBy<ServerIn, ServerType, Frames>,
    ServerOut,
    ReceivedBy<ClientIn, ClientType, Frames>,
    ClientOut
  > & {
    readonly server?: MessageTyping<ServerIn, ServerOut, ServerType> | undefined;
    readonly client?: MessageTyping<ClientIn, ClientOut, ClientType> | undefined;
    readonly framing?: Frames | undefined;
  } = {},
): Pair<ReceivedBy<ServerIn, ServerType, Frames>, ServerOut, ReceivedBy<ClientIn, ClientType, Frames>, ClientOut> {
  judgeNames(Object.keys(options), (name) => [...LINKED, "server", "client"].includes(name));
  const clock = options.clock ?? new ManualClock();
  const ends = memoryPair({ ...options, clock });
  const client: Pair<never, never, ReceivedBy<ClientIn, ClientType, Frames>, ClientOut>["client"] = openConnection(
    "client",
    ends.client,
    options,
    options.client,
    clock,
  );
  const server: Pair<ReceivedBy<ServerIn, ServerType, Frames>, ServerOut>["server"] = openConnection(
    "server",
    ends.server,
    options,
    options.server,
    clock,
  );
  return { client, server, link: ends.link, clock };
}

export interface WiredOptions extends LinkedOptions {
  /** The role of the connection; the test plays the other one. @default "server" */
  readonly role?: "client" | "server" | undefined;
  /** Options of the connection. */
  readonly connection?: ConnectionOptions | undefined;
}

/** One open connection, and a raw-byte peer that the test controls. */
export interface Wired {
  readonly connection: Connection;
  readonly peer: RawPeer;
  readonly link: Link;
  readonly clock: ManualClock;
}

/** Joins one open connection and a raw-byte peer: for tests of peers that break rules, stop inside a message, or stay silent. */
export function wired(options: WiredOptions = {}): Wired {
  judgeNames(Object.keys(options), (name) => [...LINKED, "role", "connection"].includes(name));
  const clock = options.clock ?? new ManualClock();
  const role = options.role ?? "server";
  const ends = memoryPair({ ...options, clock });
  const connection: Connection = openConnection(role, ends[role], options, options.connection, clock);
  const peer = new RawPeer(ends[role === "server" ? "client" : "server"]);
  return { connection, peer, link: ends.link, clock };
}

function openConnection<In, Out>(
  role: "client" | "server",
  transport: Transport,
  { kind = "websocket", framing, compression }: LinkedOptions,
  options: AnyConnectionOptions = {},
  clock: ManualClock,
): Connection<unknown, In, Out> {
  const settled = settle({ ...options, clock: options.clock ?? clock } as AnyConnectionOptions, kind);
  const compressing = settleCompression("server", compression ?? SERVER_DEFAULTS.compression);
  const agreement = compressing?.terms[0];
  const connection = new TransportConnection<unknown, In, Out>({
    transport,
    protocol:
      kind === "websocket"
        ? webSocketProtocol(role, compressing && agreement && { ...compressing, agreement })
        : framedProtocol(framing, settled),
    options: settled,
    url: `${kind === "websocket" ? "ws" : "tcp"}://memory`,
    subprotocol: "",
    extensions: agreement === undefined ? "" : DEFLATE,
    data: undefined,
  });
  connection.start();
  return connection;
}
