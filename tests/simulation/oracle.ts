/** What must hold in each step and at the end of a run, and the broken rules. Each rule has a name. */

import { type CloseInfo, type Connection, ProtocolError, TimeoutError } from "../../src/index.ts";
import { type End, type Judge, Line } from "./end.ts";
import type { VirtualLoop } from "./loop.ts";
import type { Reach } from "./reach.ts";
import type { Trace } from "./trace.ts";
import { wireName } from "./wire.ts";

export class Oracle implements Judge {
  readonly loop: VirtualLoop;
  readonly trace: Trace;
  readonly reach: Reach;
  /** Broken rules: the name of the rule, and what happened. */
  readonly violations: { readonly rule: string; readonly what: string; readonly at: number }[] = [];
  readonly ends: End[] = [];
  readonly #lines = new Map<string, Line>();
  broken = false;
  prompt = false;
  largestChunk = 0;
  faulty = false;

  constructor(loop: VirtualLoop, trace: Trace, reach: Reach) {
    this.loop = loop;
    this.trace = trace;
    this.reach = reach;
  }

  note(where: string, what: string): void {
    this.trace.note(this.loop.time, where, what);
  }

  wrong(rule: string, what: string): void {
    if (this.violations.some((known) => known.rule === rule)) return;
    this.violations.push({ rule, what, at: this.loop.time });
    this.note("oracle", `${rule}: ${what}`);
  }

  lineOf(connection: Connection, role: "client" | "server"): Line {
    const { localAddress, localPort, remoteAddress, remotePort } = connection;
    const peer = {
      ...{ localAddress: remoteAddress, localPort: remotePort, remoteAddress: localAddress, remotePort: localPort },
    };
    const name = wireName(role === "client" ? connection : peer);
    const known = this.#lines.get(name);
    if (known !== undefined) return known;
    const line = new Line(name.replaceAll("10.0.0.", ""));
    this.#lines.set(name, line);
    return line;
  }

  ended(end: End, { by, cause, code, wasClean }: CloseInfo): void {
    const kind =
      cause instanceof TimeoutError
        ? `TIMEOUT ${cause.limit}`
        : cause instanceof Error && "code" in cause
          ? `${String(cause.code)}${"errno" in cause ? ` ${String(cause.errno)}` : ""}`
          : cause === undefined
            ? "none"
            : "application";
    this.reach.saw(`cause ${kind}`);
    if (cause instanceof ProtocolError) this.reach.saw(`PROTOCOL ${cause.reason}`);
    this.reach.saw(`code ${code} by ${by}`);
    // An end that reaches its own limit while the other one still has bytes to send frees the descriptor, and the other one is reset.
    const { client, server } = end.line;
    const other = end.role === "client" ? server : client;
    const lasted = (other?.closedAt ?? 0) - (other?.closingAt ?? 0);
    const outOfTime = other?.info?.wasClean === false && lasted >= other.limits.closeTimeout - 1;
    if (!this.faulty && !outOfTime && !end.in.loose && /TRANSPORT|PROTOCOL|heartbeat|CLOSED/.test(kind) && !wasClean)
      this.wrong("I4 unclean without a fault", `${end.name}: ${code} by ${by}, ${String(cause)}`);
  }

  /** Judges all ends at the end of a run. */
  finish(): void {
    for (const end of this.ends) end.finish();
    for (const { client, server } of this.#lines.values())
      if (client?.connection.state === "CLOSED" && server?.connection.state === "CLOSED")
        this.reach.saw("states CLOSED CLOSED");
  }

  /** Judges all ends, and counts the pairs of states. */
  sweep(): void {
    const now = this.loop.time;
    for (const end of this.ends) if (end.closedAt === undefined || end.calls.size > 0) end.sweep(now);
    for (const { client, server } of this.#lines.values()) {
      if (client === undefined || server === undefined || (client.closes > 0 && server.closes > 0)) continue;
      const one = client.process.alive ? client.connection.state : "GONE";
      const other = server.process.alive ? server.connection.state : "GONE";
      this.reach.saw(`states ${one} ${other}`);
    }
  }
}
