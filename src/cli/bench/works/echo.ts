/** The work `echo`: the server sends each message back on the connection from which it came. */

import type { Connection, Message } from "../../../index.ts";
import { isSlow, type LoadOptions, loadOptions, openAll, UNREAD } from "../load-connections.ts";
import { PacedSender } from "../paced-sender.ts";
import type { Milliseconds } from "../plan.ts";
import { SequenceCheck } from "../sequence.ts";
import { StampedMessages } from "../stamped-message.ts";
import { endReason, type LoadWork, type WorkSetup } from "./load-work.ts";

/** One connection that is measured. */
interface Line {
  readonly sender: PacedSender;
  readonly check: SequenceCheck;
}

export class EchoWork implements LoadWork {
  readonly #setup: WorkSetup;
  readonly #messages: StampedMessages;
  readonly published = 0;
  readonly #lines: Line[] = [];
  #connections: readonly Connection[] = [];
  #going = false;
  #over = false;

  constructor(setup: WorkSetup) {
    this.#setup = setup;
    this.#messages = new StampedMessages(setup.plan);
  }

  async open(): Promise<number> {
    const { plan, index } = this.#setup;
    const { connections, processes, slow } = plan;
    const numbers = Array.from({ length: connections }, (_, number) => number).filter(
      (one) => one % processes === index,
    );
    const options = numbers.map((number) =>
      isSlow(number, connections, slow) ? this.#unread(number) : this.#measured(number),
    );
    this.#connections = await openAll(plan.url, numbers.length, (at) => options[at] ?? {});
    return this.#connections.length;
  }

  begin(): void {
    this.#going = this.#setup.schedule === undefined;
    if (!this.#going) return;
    const now = this.#setup.now();
    for (const { sender } of this.#lines) {
      for (let message = 0; message < this.#setup.plan.inFlight; message++) sender.due(now);
    }
  }

  due(number: number, now: Milliseconds): void {
    this.#lines[number % this.#lines.length]?.sender.due(now);
  }

  end(): void {
    this.#going = false;
  }

  awaited(): number {
    return this.#lines.reduce((sum, { sender, check }) => sum + sender.unsent + sender.sent - check.received, 0);
  }

  settle(): void {
    this.#over = true;
    const { counts } = this.#setup.measurement;
    for (const { sender, check } of this.#lines) {
      counts.unsent += sender.unsent;
      counts.lost += sender.sent - check.received;
      counts.reordered += check.reordered;
      counts.duplicated += check.duplicated;
    }
  }

  close(): void {
    this.#over = true;
    for (const connection of this.#connections) connection.terminate();
  }

  /** A connection that is measured. Its place among the lines determines which of the scheduled messages are its own. */
  #measured(id: number): LoadOptions {
    const { plan, measurement, schedule, now } = this.#setup;
    const place = this.#lines.length;
    const timeOf = (number: number): Milliseconds => schedule?.timeOf(number * this.#lines.length + place) ?? now();
    const sender = new PacedSender({ id, messages: this.#messages, measurement, timeOf });
    const check = new SequenceCheck();
    this.#lines.push({ sender, check });
    return {
      ...loadOptions(plan),
      open: (connection) => sender.use(connection),
      message: (_, message) => this.#arrived(id, sender, check, message),
      lowWater: () => sender.sendDue(now()),
      closing: (_, error) => this.#ended(error, "ended"),
    };
  }

  #arrived(id: number, sender: PacedSender, check: SequenceCheck, message: Message): void {
    const { measurement, now } = this.#setup;
    const at = now();
    const messages = this.#messages;
    const reading = messages.read(message);
    if (reading === "ok" && messages.sender === id && messages.number < sender.sent) {
      if (check.arrived(messages.number)) measurement.received(messages.time, at);
    } else if (!this.#over) {
      measurement.counts.changed += 1;
    }
    if (this.#going) sender.due(at);
  }

  /** Sends until the buffers on the way are full, and reads nothing. */
  #unread(id: number): LoadOptions {
    const { plan } = this.#setup;
    const fill = (connection: Connection): void => {
      while (connection.trySend(this.#messages.stamped(id, 0, 0)) === "sent");
    };
    return {
      ...loadOptions(plan),
      ...UNREAD,
      open: fill,
      lowWater: fill,
      closing: (_, error) => this.#ended(error, "endedSlow"),
    };
  }

  #ended(error: unknown, as: "ended" | "endedSlow"): void {
    if (this.#over) return;
    this.#setup.measurement.counts[as] += 1;
    this.#setup.measurement.because(endReason(error));
  }
}
