/** The lines of `holdfast serve --verbose`: each connection that opens, ends or is refused, and why. */

import { joinHostPort } from "../../base/host-port.ts";
import type { ConnectionEvent, Observer } from "../../index.ts";
import { printableLine } from "../terminal.ts";

/** Returns an observer that writes a line to stderr for each opening, end and refusal. `where` is the path or the protocol. */
export function reportConnections(where: string): Observer {
  return (event) => {
    const line = lineOf(event, where);
    if (line !== undefined) process.stderr.write(`holdfast: ${line}\n`);
  };
}

function lineOf(event: ConnectionEvent, where: string): string | undefined {
  if (event.type === "open")
    return `connection ${event.id} opened: ${where} from ${joinHostPort(event.remoteAddress, event.remotePort)}`;
  if (event.type === "close") {
    const { id, code, reason, by, cause } = event;
    const why = cause instanceof Error ? `, ${cause.message}` : "";
    return shown(`connection ${id} ended: ${where}, ${code}${reason && ` ${reason}`} by ${by}${why}`);
  }
  if (event.type === "refused") {
    const { remoteAddress = "", remotePort, status, path = where, reason, detail } = event;
    const answer = status === undefined ? "" : ` with ${status}`;
    return shown(`refused${answer}: ${path} from ${joinHostPort(remoteAddress, remotePort)}, ${reason}: ${detail}`);
  }
  return undefined;
}

// A peer chooses the path and the reason. Control characters could forge lines, and a long text could hide them.
const MAX_LINE = 500;

function shown(text: string): string {
  return printableLine(text.slice(0, MAX_LINE)).slice(0, MAX_LINE);
}
