/** The work `broadcast`: the server sends each message of one publisher to all subscribers. */

import type { Connection, Message } from "../../../index.ts";
import { isSlow, type LoadOptions, loadOptions, openAll, UNREAD } from "../load-connections.ts";
import { PacedSender } from "../paced-sender.ts";
import type { Milliseconds } from "../plan.ts";
import { SequenceCheck } from "../sequence.ts";
import { StampedMessages } from "../stamped-message.ts";
import { endReason, type LoadWork, type WorkSetup } from "./load-work.ts";

/** The stamp of the publisher. It also marks the process that has the publisher. */
const PUBLISHER = 0;

/** Messages that some subscribers have and others do not yet. Beyond them the oldest is given up, and has no last delivery. */
const MAX_INCOMPLETE = 100_000;

interface Incomplete {
  readonly scheduled: Milliseconds;
  deliveries: number;
}

export class BroadcastWork implements LoadWork {
  readonly #setup: WorkSetup;
  readonly #messages: StampedMessages;
  readonly #publisher: PacedSender | undefined;
  readonly #checks: SequenceCheck[] = [];
  readonly #incomplete = new Map<number, Incomplete>();
  #connections: readonly Connection[] = [];
  /** Subscribers of this process that read and are open. */
  #readers = 0;
  #going = false;
  #over = false;

  constructor(setup: WorkSetup) {
    this.#setup = setup;
    this.#messages = new StampedMessages(setup.plan);
    const { index, measurement, schedule, now } = setup;
    if (index === PUBLISHER) {
      const timeOf = (number: number): Milliseconds => schedule?.timeOf(number) ?? now();
      this.#publisher = new PacedSender({ id: PUBLISHER, messages: this.#messages, measurement, timeOf });
    }
  }

  get published(): number {
    return this.#publisher?.sent ?? 0;
  }

  async open(): Promise<number> {
    const { plan, index } = this.#setup;
    const { connections, processes, slow } = plan;
    const numbers = Array.from({ length: connections }, (_, number) => number).filter(
      (one) => one % processes === index,
    );
    const options = numbers.map((number) => (isSlow(number, connections, slow) ? this.#unread() : this.#reader()));
    if (this.#publisher !== undefined) options.push(this.#publishing(this.#publisher));
    this.#connections = await openAll(plan.url, options.length, (at) => options[at] ?? {});
    return this.#connections.length;
  }

  begin(): void {
    this.#going = this.#setup.schedule === undefined;
    if (this.#going) this.#publisher?.due(this.#setup.now());
  }

  due(_: number, now: Milliseconds): void {
    this.#publisher?.due(now);
  }

  end(): void {
    this.#going = false;
  }

  awaited(published: number): number {
    const unsent = this.#publisher?.unsent ?? 0;
    return this.#checks.reduce((sum, { received }) => sum + Math.max(0, published - received), unsent);
  }

  settle(published: number): void {
    this.#over = true;
    const { counts } = this.#setup.measurement;
    counts.unsent += this.#publisher?.unsent ?? 0;
    for (const { received, reordered, duplicated } of this.#checks) {
      counts.lost += Math.max(0, published - received);
      counts.reordered += reordered;
      counts.duplicated += duplicated;
    }
  }

  close(): void {
    this.#over = true;
    for (const connection of this.#connections) connection.terminate();
  }

  /** The publisher may be sent its own messages, which many servers do. It counts as no subscriber. */
  #publishing(publisher: PacedSender): LoadOptions {
    return {
      ...loadOptions(this.#setup.plan),
      open: (connection) => publisher.use(connection),
      message: () => undefined,
      lowWater: () => publisher.sendDue(this.#setup.now()),
      closing: (_, error) => this.#ended(error, "ended"),
    };
  }

  #reader(): LoadOptions {
    const check = new SequenceCheck();
    this.#checks.push(check);
    return {
      ...loadOptions(this.#setup.plan),
      open: () => {
        this.#readers += 1;
      },
      message: (_, message) => this.#arrived(check, message),
      closing: (_, error) => {
        this.#readers -= 1;
        this.#ended(error, "ended");
        this.#completeWithout();
      },
    };
  }

  #unread(): LoadOptions {
    const options = { ...loadOptions(this.#setup.plan), ...UNREAD };
    return { ...options, closing: (_, error) => this.#ended(error, "endedSlow") };
  }

  #arrived(check: SequenceCheck, message: Message): void {
    const { measurement, now } = this.#setup;
    const at = now();
    const messages = this.#messages;
    const reading = messages.read(message);
    // Others may be sending to the same subscribers.
    if (reading === "foreign") return;
    if (reading === "changed" || messages.sender !== PUBLISHER) measurement.counts.changed += 1;
    else if (check.arrived(messages.number)) {
      measurement.received(messages.time, at);
      this.#delivered(messages.number, messages.time, at);
    }
  }

  #delivered(number: number, scheduled: Milliseconds, at: Milliseconds): void {
    let message = this.#incomplete.get(number);
    if (message === undefined) {
      message = { scheduled, deliveries: 0 };
      this.#incomplete.set(number, message);
      if (this.#incomplete.size > MAX_INCOMPLETE) {
        for (const oldest of this.#incomplete.keys()) {
          this.#incomplete.delete(oldest);
          break;
        }
      }
    }
    message.deliveries += 1;
    if (message.deliveries >= this.#readers) this.#complete(number, scheduled, at);
  }

  #complete(number: number, scheduled: Milliseconds, at: Milliseconds): void {
    this.#incomplete.delete(number);
    this.#setup.delivered([number, scheduled, at]);
    if (this.#going) this.#publisher?.due(at);
  }

  /** A reader has ended: messages that were delivered to all others are complete. */
  #completeWithout(): void {
    const at = this.#setup.now();
    for (const [number, { scheduled, deliveries }] of this.#incomplete) {
      if (deliveries >= this.#readers) this.#complete(number, scheduled, at);
    }
  }

  #ended(error: unknown, as: "ended" | "endedSlow"): void {
    if (this.#over) return;
    this.#setup.measurement.counts[as] += 1;
    this.#setup.measurement.because(endReason(error));
  }
}
