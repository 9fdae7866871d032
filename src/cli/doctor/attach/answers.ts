/** Validates what the examined process answers: a program can change its own objects, so an answer may have any form. */

import { isInRange } from "../../../base/judge.ts";
import { printableLine } from "../../terminal.ts";
import { InspectorError } from "./dev-tools.ts";
import type { InsideFacts, SocketOwner } from "./inside.ts";

/** Sockets that were opened with the same stack. */
export interface Opening {
  readonly side: "client" | "server";
  /** The frames outside of Node, the innermost first; empty for most sockets that a server has accepted. */
  readonly stack: readonly string[];
  readonly count: number;
}

// Characters of a name or of a line of a stack, and entries of a list inside of an answer.
const MAX_TEXT = 300;
const MAX_ENTRIES = 100;

const OWNERS: Readonly<Record<SocketOwner, true>> = {
  ...{ ws: true, "socket.io": true, "http-server": true, "http-agent": true, fetch: true, holdfast: true },
  ...{ tls: true, net: true, unknown: true },
};

/** The facts in the answer of `socketFacts`, by file descriptor. Throws InspectorError if it is no list. */
export function readFacts(answer: unknown): ReadonlyMap<number, InsideFacts> {
  return new Map(
    listIn(answer)
      .map((entry) => factsIn(fieldsIn(entry)))
      .map((facts) => [facts.fd, facts]),
  );
}

/** The stacks in the answer of `stopRecording`. Throws InspectorError if it is no list. */
export function readOpenings(answer: unknown): Opening[] {
  return listIn(answer)
    .slice(0, MAX_ENTRIES)
    .map((entry) => {
      const [key, count] = Array.isArray(entry) ? entry : [];
      const [side, ...frames] = String(key)
        .slice(0, MAX_TEXT * 10)
        .split("\n");
      const stack = frames.map((frame) => textIn(frame.trim().replace(/^at /, ""))).filter((frame) => frame !== "");
      return { side: side === "client" ? "client" : "server", stack, count: numberIn(count) };
    });
}

function factsIn(fields: Fields): InsideFacts {
  const flag = (name: keyof InsideFacts): boolean => fields[name] === true;
  const number = (name: keyof InsideFacts): number => numberIn(fields[name]);
  const owner = String(fields["owner"]);
  const listeners = Object.entries(fieldsIn(fields["listeners"])).slice(0, MAX_ENTRIES);
  return {
    fd: number("fd"),
    owner: Object.hasOwn(OWNERS, owner) ? (owner as SocketOwner) : "unknown",
    className: textIn(fields["className"]),
    ...{ paused: flag("paused"), neverRead: flag("neverRead"), allowHalfOpen: flag("allowHalfOpen") },
    ...{ ended: flag("ended"), finished: flag("finished"), destroyed: flag("destroyed") },
    ...{ untaken: number("untaken"), unsent: number("unsent") },
    ...{ bytesRead: number("bytesRead"), bytesWritten: number("bytesWritten") },
    listeners: Object.fromEntries(listeners.map(([name, count]) => [textIn(name), numberIn(count)])),
    readyState: fields["readyState"] === undefined ? undefined : number("readyState"),
    ...{ bodyUnread: flag("bodyUnread"), unanswered: flag("unanswered"), hidden: flag("hidden") },
  };
}

type Fields = Readonly<Record<string, unknown>>;

function listIn(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new InspectorError("the answer of the process is no list");
  return value;
}

function fieldsIn(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

function numberIn(value: unknown): number {
  return typeof value === "number" && isInRange(value, { least: 0 }) ? value : 0;
}

function textIn(value: unknown): string {
  return typeof value === "string" ? printableLine(value.slice(0, MAX_TEXT)) : "";
}
