/** What the self-tests of the transports have in common: the bytes, a recorder of events, and a time limit. */

import type { TransportError } from "../../base/errors.ts";
import { after } from "../../base/time.ts";
import { systemClock } from "../clock.ts";
import { setImmediate } from "../timers.ts";
import type { Transport, TransportEvents } from "../transport.ts";

// Milliseconds. The test takes a few. A callback that is missing after this time is one that Node does not make.
const TIME_LIMIT = 5_000;
// Event loop turns after the time limit, for a process that was blocked until then and has not read the received events yet.
const GRACE_TURNS = 100;

/** The loopback interface cannot be used. This gives no information about Node. */
export class SelfTestImpossible extends Error {}

export const EARLY: Buffer = Buffer.from("early,");
export const LATER: Buffer = Buffer.from("later");
export const ALL = "early,later";

/** Resolves after `count` turns of the event loop. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** One end of a connection, with a log of its events. */
export class EventRecorder<Kind extends Transport = Transport> implements TransportEvents {
  readonly transport: Kind;
  readonly expected: string;
  received = "";
  log = "";
  #changed: () => void = () => undefined;

  constructor(transport: Kind, expected: string) {
    this.expected = expected;
    this.transport = transport;
    transport.open(this);
  }

  data(chunk: Uint8Array): void {
    this.received += Buffer.from(chunk).toString("latin1");
    this.#changed();
  }

  written(): void {
    this.#note("written");
  }

  write(bytes: Uint8Array): void {
    if (this.transport.write(bytes)) this.written();
  }

  fin(): void {
    this.#note("ended");
  }

  closed(error: TransportError | undefined): void {
    this.#note(error === undefined ? "closed" : `closed by ${error.errno} of ${error.syscall}`);
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (!ALL.startsWith(this.received)) throw new Error(`"${this.received}" was read instead of "${ALL}"`);
      if (!this.expected.startsWith(this.log))
        throw new Error(`the events were "${this.log}" instead of "${this.expected}"`);
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  #note(event: string): void {
    this.log += ` ${event}`;
    this.#changed();
  }
}

/** Rejects with the error of `work`, or if `work` takes too long. */
export async function withinTimeLimit(work: Promise<void>): Promise<void> {
  let onTimeout = (): void => undefined;
  const timer = systemClock.wakeAt(after(systemClock.now(), TIME_LIMIT), () => onTimeout());
  const limit = new Promise<void>((resolve) => {
    onTimeout = resolve;
  }).then(async () => {
    await turns(GRACE_TURNS);
    throw new Error(`an event is missing for ${TIME_LIMIT} ms`);
  });
  try {
    await Promise.race([work, limit]);
  } finally {
    timer.cancel();
    // The promise that loses the race has no other handler for its rejection.
    work.catch(() => undefined);
    limit.catch(() => undefined);
  }
}
