/** Sends the messages of one sender at their times, and keeps what the kernel does not accept. */

import type { Connection } from "../../index.ts";
import type { Measurement } from "./measurement.ts";
import type { Milliseconds } from "./plan.ts";
import type { StampedMessages } from "./stamped-message.ts";

export interface SenderSetup {
  readonly id: number;
  readonly messages: StampedMessages;
  readonly measurement: Measurement;
  /** The time for which a message of this sender is scheduled. */
  readonly timeOf: (number: number) => Milliseconds;
}

/**
 * The messages of one connection. Those that are due and find the send queue full stay due, with their times: a number is all that
 * is stored of them.
 */
export class PacedSender {
  readonly #setup: SenderSetup;
  #connection: Connection | undefined;
  #due = 0;
  /** Messages that were handed to the connection, with the numbers 0 to `sent` - 1. */
  sent = 0;

  constructor(setup: SenderSetup) {
    this.#setup = setup;
  }

  /** Must be called before the first message is due. */
  use(connection: Connection): void {
    this.#connection = connection;
  }

  /** Messages that were due and have not been sent. */
  get unsent(): number {
    return this.#due - this.sent;
  }

  /** One more message is due. */
  due(now: Milliseconds): void {
    this.#due += 1;
    // Behind others that wait for room, it waits too.
    if (this.unsent === 1) this.sendDue(now);
  }

  /** Sends what is due, as far as there is room. To be called when there is room again. */
  sendDue(now: Milliseconds): void {
    const { id, messages, measurement, timeOf } = this.#setup;
    while (this.sent < this.#due) {
      const scheduled = timeOf(this.sent);
      if (this.#connection?.trySend(messages.stamped(id, this.sent, scheduled)) === "refused") return;
      this.sent += 1;
      measurement.sent(scheduled, now);
    }
  }
}
