/** The frames of traced connections. */

import type { Clock, Connection } from "../core.ts";
import { Inspection } from "../core.ts";
import { FRAMES_KEPT, type FrameRow } from "./feed.ts";

/** The most connections that are traced at the same time. A further trace ends the oldest one. */
const MAX_TRACED = 8;

interface Trace {
  readonly frames: FrameRow[];
  last: number;
}

export class Frames {
  readonly #clock: Clock;
  /** The oldest trace first. */
  readonly #traces = new Map<Connection, Trace>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  begin(connection: Connection): void {
    if (this.#traces.has(connection)) return;
    for (const oldest of this.#traces.keys()) {
      if (this.#traces.size < MAX_TRACED) break;
      this.end(oldest);
    }
    this.#traces.set(connection, { frames: [], last: 0 });
    this.#tap(connection);
  }

  end(connection: Connection): void {
    if (this.#traces.delete(connection)) Inspection.of(connection)?.untrace();
  }

  /** Ends all traces. */
  clear(): void {
    for (const connection of [...this.#traces.keys()]) this.end(connection);
  }

  /** A connection that was in the middle of a message can be traced from its next one on. Ended connections are forgotten. */
  retry(): void {
    for (const connection of [...this.#traces.keys()]) {
      if (connection.state === "CLOSED") this.#traces.delete(connection);
      else this.#tap(connection);
    }
  }

  has(connection: Connection): boolean {
    return this.#traces.has(connection);
  }

  /** The frames of a connection behind `number`, the oldest first. */
  after(connection: Connection, number: number): FrameRow[] {
    return this.#traces.get(connection)?.frames.filter((frame) => frame.number > number) ?? [];
  }

  #tap(connection: Connection): void {
    const trace = this.#traces.get(connection);
    if (trace === undefined) return;
    Inspection.of(connection)?.trace((direction, { opcode, fin, rsv, masked, length }) => {
      trace.last += 1;
      const at = Math.round(this.#clock.wallTime());
      trace.frames.push({ number: trace.last, at, direction, opcode, fin, rsv, masked, length });
      if (trace.frames.length > FRAMES_KEPT) trace.frames.shift();
    });
  }
}
