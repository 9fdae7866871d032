/**
 * The ways in which a connection can end, and what each side then gets. `matrix.test.ts` checks every row on real sockets, and
 * `docs/ends.md` is generated from the same rows.
 */

import type { ConnectionSide } from "../../src/index.ts";

/** The address schemes. `ws` and `wss` are WebSocket; `tcp` and `tls` are framed TCP. */
export const LINES = ["ws", "tcp", "tls", "wss"] as const;
export type Line = (typeof LINES)[number];

/** How the application reads. */
export const VIEWS = ["for await", "receive", "hooks", "streams"] as const;
export type View = (typeof VIEWS)[number];

/** What this side has queued for the peer when the end comes. */
export const LOADS = {
  "queue empty": "no message is queued",
  "queue full": "1,000 short messages are queued",
  "peer slow": "more is queued than the kernel takes; the peer goes on reading, slowly",
} as const;
export type Load = keyof typeof LOADS;

/** Which end of the connection this side is. */
export type Role = "server" | "client";

/** What `closed` resolves with. */
export interface Told {
  readonly code: number;
  readonly by: ConnectionSide;
  readonly wasClean: boolean;
  /** The class of `closed.cause`; `thrown` is the error that the application threw. */
  readonly cause: "none" | "ClosedError" | "TransportError" | "ProtocolError" | "thrown";
}

/** What one side gets in some of the cells. `told` has more than one entry where the network decides which of them it is. */
export interface Case {
  readonly lines?: readonly Line[];
  readonly loads?: readonly Load[];
  readonly told: readonly Told[];
}

/** What becomes of messages that are queued on this side. */
export const QUEUES = {
  delivered: "all arrive, in order and whole, and every `send` resolves",
  dropped: "the `send` of a message that the kernel does not have rejects; messages that the kernel has may be lost",
} as const;

/** One way to end. */
export interface Way {
  readonly name: string;
  /** What the other side is: a connection of this library, raw bytes on a socket, or a connection in a process of its own. */
  readonly peer: "connection" | "raw" | "process";
  readonly lines: readonly Line[];
  /** Which end of the connection this side can be. */
  readonly roles: readonly Role[];
  /** The first case that applies is what `closed` of this side resolves with. */
  readonly here: readonly Case[];
  /** The same for a peer that is a connection of this library. */
  readonly there: readonly Case[];
  readonly queue: keyof typeof QUEUES;
  /** Until when the end is over. None of the cells has a limit of time. */
  readonly when: string;
}

const NORMAL_ENDS: readonly number[] = [1000, 1001, 1005];

/** An orderly end. A code other than 1000, 1001 and 1005 has its ClosedError as the cause. */
const clean = (code: number, by: ConnectionSide): Told => ({
  code,
  by,
  wasClean: true,
  cause: NORMAL_ENDS.includes(code) ? "none" : "ClosedError",
});

/** An end without a closing handshake, or on TCP without a FIN each way. */
const lost = (by: ConnectionSide, cause: Told["cause"]): Told => ({ code: 1006, by, wasClean: false, cause });

const WEBSOCKET: readonly Line[] = ["ws", "wss"];
const TCP: readonly Line[] = ["tcp", "tls"];
const BOTH: readonly Role[] = ["server", "client"];
const QUEUED: readonly Load[] = ["queue full", "peer slow"];

/** The same on every line. */
const always = (...told: Told[]): readonly Case[] => [{ told }];
/** Framed TCP has no code: the peer's FIN is 1000. */
const codeOrFin = (code: number): readonly Case[] => [
  { lines: WEBSOCKET, told: [clean(code, "peer")] },
  { lines: TCP, told: [clean(1000, "peer")] },
];

const HANDSHAKE = "the peer has read the queued messages and answered";
const AT_ONCE = "at once";
const AT_FIN = "the peer has read the queued messages";

/** What a reset looks like. TLS shows it as the end of the encrypted stream where no byte was unread. */
const BROKEN: readonly Case[] = [
  { lines: ["ws", "tcp"], told: [lost("peer", "TransportError")] },
  {
    lines: ["wss"],
    told: [lost("peer", "ClosedError"), lost("peer", "TransportError"), lost("peer", "ProtocolError")],
  },
  { lines: ["tls"], told: [clean(1000, "peer"), lost("peer", "TransportError"), lost("peer", "ProtocolError")] },
];

/** The peer's Close frame with a code. */
const closed = (code: number): Way => ({
  name: `the peer's Close ${code}`,
  peer: "raw",
  lines: WEBSOCKET,
  roles: BOTH,
  here: always(clean(code, "peer")),
  there: [],
  queue: "delivered",
  when: AT_FIN,
});

export type WayName =
  | "returns"
  | "throws"
  | "close"
  | "serverClose"
  | "terminate"
  | "close1000"
  | "close1001"
  | "close1008"
  | "close1011"
  | "close4001"
  | "fin"
  | "halfClose"
  | "reset"
  | "killed";

export const WAYS: Readonly<Record<WayName, Way>> = {
  returns: {
    name: "the handler returns",
    peer: "connection",
    lines: LINES,
    roles: ["server"],
    here: always(clean(1000, "local")),
    there: always(clean(1000, "peer")),
    queue: "delivered",
    when: HANDSHAKE,
  },
  throws: {
    name: "the handler or a hook throws",
    peer: "connection",
    lines: LINES,
    roles: ["server"],
    here: always({ code: 1011, by: "local", wasClean: false, cause: "thrown" }),
    there: codeOrFin(1011),
    queue: "delivered",
    when: HANDSHAKE,
  },
  close: {
    name: "`close()`",
    peer: "connection",
    lines: LINES,
    roles: BOTH,
    here: always(clean(1000, "local")),
    there: always(clean(1000, "peer")),
    queue: "delivered",
    when: HANDSHAKE,
  },
  serverClose: {
    name: "`server.close()`",
    peer: "connection",
    lines: LINES,
    roles: ["server"],
    here: always(clean(1001, "local")),
    there: codeOrFin(1001),
    queue: "delivered",
    when: HANDSHAKE,
  },
  terminate: {
    name: "`terminate()`",
    peer: "connection",
    lines: LINES,
    roles: BOTH,
    here: always(lost("local", "ClosedError")),
    there: BROKEN,
    queue: "dropped",
    when: AT_ONCE,
  },
  close1000: closed(1000),
  close1001: closed(1001),
  close1008: closed(1008),
  close1011: closed(1011),
  close4001: closed(4001),
  fin: {
    name: "the peer's FIN",
    peer: "raw",
    lines: LINES,
    roles: BOTH,
    here: [
      { lines: WEBSOCKET, told: [lost("peer", "ClosedError")] },
      { lines: TCP, told: [clean(1000, "peer")] },
    ],
    there: [],
    queue: "delivered",
    when: AT_FIN,
  },
  halfClose: {
    name: "the peer's FIN, with `allowHalfOpen`",
    peer: "raw",
    lines: TCP,
    roles: BOTH,
    here: always(clean(1000, "peer")),
    there: [],
    queue: "delivered",
    when: "this side has closed, and the peer has read the queued messages",
  },
  reset: {
    name: "the peer's reset",
    peer: "raw",
    lines: LINES,
    roles: BOTH,
    here: always(lost("peer", "TransportError")),
    there: [],
    queue: "dropped",
    when: AT_ONCE,
  },
  killed: {
    name: "the peer's process is killed",
    peer: "process",
    lines: LINES,
    roles: BOTH,
    here: [
      { loads: QUEUED, told: [lost("peer", "TransportError")] },
      { lines: WEBSOCKET, told: [lost("peer", "ClosedError")] },
      { lines: TCP, told: [clean(1000, "peer")] },
    ],
    there: [],
    queue: "dropped",
    when: AT_ONCE,
  },
};

/** One combination, which is one test. */
export interface Cell {
  readonly way: WayName;
  readonly line: Line;
  /** Which end of the connection this side is. */
  readonly role: Role;
  /** How each connection of this library reads. */
  readonly view: View;
  readonly load: Load;
}

/** Every combination of a way and a line. */
export function cellsOf(way: WayName, line: Line): Cell[] {
  const { lines, roles } = WAYS[way];
  if (!lines.includes(line)) return [];
  return roles.flatMap((role) =>
    VIEWS.flatMap((view) => (Object.keys(LOADS) as Load[]).map((load) => ({ way, line, role, view, load }))),
  );
}

/** What a side may be told in `cell`. */
export function expected(cases: readonly Case[], { line, load }: Pick<Cell, "line" | "load">): readonly Told[] {
  const applies = ({ lines = LINES, loads }: Case): boolean =>
    lines.includes(line) && (loads === undefined || loads.includes(load));
  return cases.find(applies)?.told ?? [];
}

/** Whether a loop and a stream end, and do not throw the error of the end. */
export function endsQuietly({ wasClean, code }: Pick<Told, "wasClean" | "code">): boolean {
  return wasClean && NORMAL_ENDS.includes(code);
}
