/** Explains troubled sockets of a process by what its objects say about them. Pure functions. */

import type { AgedSocket } from "../aged-sockets.ts";
import type { FindingKind } from "../diagnosis.ts";
import type { InsideFacts, SocketOwner } from "./inside.ts";

/** A socket with a fault, and what the process knows of it. */
export interface ExplainedSocket {
  readonly socket: AgedSocket;
  readonly fd: number;
  readonly facts: InsideFacts | undefined;
}

/** Sockets with the same fault, owner and reason. */
export interface Explanation {
  readonly kind: FindingKind;
  /** One line for people. */
  readonly text: string;
  readonly sockets: readonly ExplainedSocket[];
}

const OWNERS: Readonly<Record<SocketOwner, readonly [one: string, many: string]>> = {
  ws: ["a ws WebSocket", "ws WebSockets"],
  "socket.io": ["a Socket.IO client", "Socket.IO clients"],
  "http-server": ["a request to an http server", "requests to an http server"],
  "http-agent": ["a request of an http client", "requests of an http client"],
  fetch: ["a connection of fetch", "connections of fetch"],
  holdfast: ["a connection of Holdfast", "connections of Holdfast"],
  tls: ["a TLS socket", "TLS sockets"],
  net: ["a net.Socket", "net.Sockets"],
  unknown: ["a socket that no known object owns", "sockets that no known object owns"],
};

/** The library that a reader of the socket cannot see the FIN through. */
const READERS: Readonly<Partial<Record<SocketOwner, string>>> = {
  ws: "ws",
  "socket.io": "Socket.IO",
  "http-server": "http",
  "http-agent": "http",
  fetch: "fetch",
};

const CONDITIONS: Readonly<Partial<Record<FindingKind, string>>> = {
  "close-wait": "in CLOSE_WAIT",
  "half-open": "without an answer of the peer",
  "zero-window": "with a peer that does not read",
  "send-queue": "with a send queue that does not move",
  "receive-queue": "with unread bytes",
  unanswered: "without an answer to the connect",
  lossy: "on a link that loses packets",
  far: "with a long round trip",
};

/** Groups the sockets with faults of one kind, the largest group first. */
export function explain(kind: FindingKind, sockets: readonly ExplainedSocket[]): Explanation[] {
  const groups = new Map<string, ExplainedSocket[]>();
  for (const one of sockets) {
    const owner = one.facts?.owner ?? "unknown";
    const key = `${owner}|${reasonOf(kind, one.facts)}`;
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  return Array.from(groups, ([key, group]): Explanation => {
    const [owner = "unknown", reason = ""] = key.split("|") as [SocketOwner, string];
    const [one, many] = OWNERS[owner];
    const count = group.length === 1 ? "1 socket" : `${group.length} sockets`;
    const single = group.length === 1;
    const text = `${count} ${CONDITIONS[kind] ?? kind}: ${single ? one : many}${inNumber(reason, single)}`;
    return { kind, text, sockets: group };
  }).sort((a, b) => b.sockets.length - a.sockets.length);
}

/** The reason, as the rest of a sentence that begins with the owner. In braces: the word for one socket, and for several. */
function reasonOf(kind: FindingKind, facts: InsideFacts | undefined): string {
  if (facts === undefined)
    return ": {it/they} may belong to another thread, a child process or native code, or need --heap";
  if (facts.hidden === true) return " of a server; --heap says more";
  if (kind === "close-wait" || kind === "receive-queue") return readingReason(kind === "close-wait", facts);
  if (kind === "zero-window" || kind === "send-queue" || kind === "half-open") return writingReason(facts);
  return "";
}

function readingReason(closed: boolean, facts: InsideFacts): string {
  const { owner, paused, neverRead, untaken, ended, finished, unsent, allowHalfOpen, bodyUnread, unanswered } = facts;
  const unseen = closed ? `; ${READERS[owner] ?? "Node"} does not see a FIN behind unread bytes` : "";
  if (owner === "holdfast")
    return closed ? ", which ends {it/them} after lingerTimeout" : " whose messages the application does not take";
  if (owner === "http-server" && bodyUnread) return ` whose body was never read to its end${unseen}`;
  if ((owner === "http-agent" && bodyUnread) || (owner === "fetch" && untaken > 0))
    return ` whose response was never read to its end${unseen}`;
  if (paused && !ended) return ` that {was/were} paused and never resumed${unseen}`;
  if (neverRead) return ` that nothing reads, because there is no listener for data${unseen}`;
  if (owner === "http-server" && unanswered) return " whose response was never ended: end() was not called";
  if (closed && unsent > 0) return " with written bytes that the peer does not take";
  if (closed && ended && !finished)
    return ` that {was/were} not ended: end() was not called after the peer's FIN${allowHalfOpen ? ", as allowHalfOpen requires" : ""}`;
  return closed
    ? " that the application has not closed"
    : " that the application reads slowly, or not while it is blocked";
}

function writingReason({ unsent }: InsideFacts): string {
  if (unsent === 0) return "; all written bytes are in the kernel";
  return "; written bytes wait in the process too: it has to stop while write() returns false";
}

function inNumber(text: string, one: boolean): string {
  return text.replace(/\{(\w+)\/(\w+)\}/g, one ? "$1" : "$2");
}

/** The facts of one socket in words. */
export function factsInWords({ paused, untaken, unsent, allowHalfOpen, listeners, ...rest }: InsideFacts): string {
  const { readyState, className, owner } = rest;
  const state = readyState === undefined ? undefined : ["CONNECTING", "OPEN", "CLOSING", "CLOSED"][readyState];
  const heard = Object.entries(listeners).map(([event, count]) => `${event} ${count}`);
  return [
    owner === "unknown" || owner === "net" ? className : owner,
    ...(state === undefined ? [] : [`readyState ${state}`]),
    paused ? "paused" : "not paused",
    `${untaken} bytes read and not taken`,
    ...(unsent > 0 ? [`${unsent} bytes not yet written`] : []),
    ...(allowHalfOpen ? ["allowHalfOpen"] : []),
    ...(heard.length > 0 ? [`listeners: ${heard.join(", ")}`] : []),
  ].join(", ");
}
