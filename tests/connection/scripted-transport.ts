/** A transport without a network. Its fake kernel accepts bytes at once, or later, as a test decides. */

import { type Endpoints, NO_ENDPOINTS, type Transport, type TransportEvents } from "../../src/transport/transport.ts";

/** It can also call a function inside a write. */
export class ScriptedTransport implements Transport {
  readonly endpoints: Endpoints = NO_ENDPOINTS;
  readonly writes: string[] = [];
  events: TransportEvents | undefined;
  #full = false;
  #waiting = 0;
  closed = false;
  writing = false;
  /** Called inside the next write. */
  within: (() => void) | undefined;

  open(events: TransportEvents): void {
    this.events = events;
  }

  get queuedBytes(): number {
    return this.#waiting;
  }

  write(bytes: Uint8Array): boolean {
    const { within } = this;
    this.within = undefined;
    this.writing = true;
    within?.();
    this.writing = false;
    if (this.closed) return false;
    this.writes.push(Buffer.from(bytes).toString("latin1"));
    if (this.#full) this.#waiting = bytes.length;
    return !this.#full;
  }

  fill(): void {
    this.#full = true;
  }

  drain(): void {
    this.#full = false;
    if (this.#waiting === 0 || this.closed) return;
    this.#waiting = 0;
    this.events?.written();
  }

  pause(): void {}
  resume(): void {}
  end(): void {}

  release(): void {}

  ref(): void {}

  abort(): void {
    if (this.closed) return;
    this.closed = true;
    setImmediate(() => this.events?.closed(undefined));
  }
}
