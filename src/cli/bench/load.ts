/** The load of one process: opens its connections, sends at the scheduled times, and reports what was measured. */

import { clearInterval, setImmediate, setInterval, setTimeout } from "node:timers";
import { busyWait } from "./busy-wait.ts";
import { machineNow } from "./machine-clock.ts";
import { Measurement } from "./measurement.ts";
import type { LastDelivery, LoadResult, Milliseconds, Notice, Order, Plan, Work } from "./plan.ts";
import { Schedule } from "./schedule.ts";
import { BroadcastWork } from "./works/broadcast.ts";
import { ConnectWork } from "./works/connect.ts";
import { EchoWork } from "./works/echo.ts";
import { IdleWork } from "./works/idle.ts";
import type { LoadWork, WorkSetup } from "./works/load-work.ts";

const WORKS: Readonly<Record<Work, new (setup: WorkSetup) => LoadWork>> = {
  echo: EchoWork,
  broadcast: BroadcastWork,
  connect: ConnectWork,
  idle: IdleWork,
};

/** Messages that are sent before the answers are read, however many are due. */
const MOST_AT_ONCE = 256;

/** A timer is late by about a millisecond. Closer to the time of a message than this, the clock is read instead. */
const TIMER_ERROR = 2;

/**
 * A message leaves with the write at the end of the event loop turn, 2.5 microseconds later, and half a turn of 1 microsecond passes
 * before it is seen to be due. (Both were measured at 20,000 messages per second.) A message that is passed on this much earlier is
 * written when it is due: the median is within half a microsecond.
 */
const WRITE_DELAY = 0.003;

/**
 * The wait in each turn of the event loop in which nothing is due, in milliseconds. A turn allocates 340 bytes. With fewer turns the garbage
 * collector runs less often, so that the latencies contain fewer of its pauses. An answer is read later by half of this wait on average.
 */
const LONGER_TURN = 0.0015;

const PROGRESS_INTERVAL = 500;
/** Pause between two looks at what is still awaited after the end. */
const LOOK_INTERVAL = 10;
/** Last deliveries that are reported together. */
const BATCH = 1_000;

class Load {
  readonly #plan: Plan;
  readonly #notify: (notice: Notice) => void;
  readonly #measurement: Measurement;
  readonly #schedule: Schedule | undefined;
  readonly #work: LoadWork;
  #deliveries: LastDelivery[] = [];
  #startedAt: Milliseconds = 0;
  #sent = 0;
  #progress: NodeJS.Timeout | undefined;

  constructor(plan: Plan, index: number, notify: (notice: Notice) => void) {
    this.#plan = plan;
    this.#notify = notify;
    this.#measurement = new Measurement(plan);
    this.#schedule = scheduleOf(plan, index);
    this.#work = new WORKS[plan.work]({
      ...{ plan, index, measurement: this.#measurement, schedule: this.#schedule },
      now: () => this.#now(),
      delivered: (delivery) => this.#delivered(delivery),
    });
  }

  /** Opens the connections, and reports how many are open. */
  async open(): Promise<void> {
    try {
      this.#notify({ type: "opened", opened: await this.#work.open(), failure: undefined });
    } catch (error) {
      const { opened = 0, message } = error as Error & { readonly opened?: number };
      this.#notify({ type: "opened", opened, failure: message });
    }
  }

  /** Begins at `at`, a time of `machineNow`. */
  start(at: Milliseconds): void {
    this.#startedAt = at;
    if (this.#plan.progress) this.#progress = setInterval(() => this.#reportProgress(), PROGRESS_INTERVAL);
    setTimeout(
      () => {
        this.#work.begin();
        this.#turn();
      },
      Math.max(0, at - machineNow()),
    );
  }

  /** Ends the measurement now. */
  stop(): void {
    this.#measurement.cut(this.#now());
  }

  /** All processes have sent everything. Waits for the rest as long as some of it arrives, and reports the result. */
  finish(published: number): void {
    this.#awaitRest(published, Infinity, 0);
  }

  /** `awaited` messages were outstanding at the time `since`, and more before it. */
  #awaitRest(published: number, awaited: number, since: Milliseconds): void {
    const now = this.#now();
    const left = this.#work.awaited(published);
    const changedAt = left === awaited ? since : now;
    if (left > 0 && now < changedAt + this.#plan.drain) {
      setTimeout(() => this.#awaitRest(published, left, changedAt), LOOK_INTERVAL);
      return;
    }
    this.#report(published);
  }

  #report(published: number): void {
    this.#work.settle(published);
    this.#reportDeliveries();
    clearInterval(this.#progress);
    const result: LoadResult = this.#measurement.result();
    this.#notify({ type: "result", result });
    this.#work.close();
  }

  #now(): Milliseconds {
    return machineNow() - this.#startedAt;
  }

  readonly #turn = (): void => {
    const now = this.#now();
    const { to } = this.#measurement;
    const schedule = this.#schedule;
    const due = schedule === undefined ? 0 : Math.min(schedule.dueAt(now + WRITE_DELAY), schedule.dueBefore(to));
    const most = Math.min(due, this.#sent + MOST_AT_ONCE);
    while (this.#sent < most) this.#work.due(this.#sent++, this.#now());
    if (now < to || this.#sent < due) this.#wait(now);
    else this.#end();
  };

  #wait(now: Milliseconds): void {
    const { to } = this.#measurement;
    const next = this.#schedule === undefined ? to : Math.min(to, this.#schedule.timeOf(this.#sent));
    const left = next - now;
    const spin = this.#plan.pace === "spin" && this.#schedule !== undefined;
    if (left <= 0) setImmediate(this.#turn);
    else if (spin && left <= TIMER_ERROR) {
      if (left > WRITE_DELAY + LONGER_TURN) busyWait(LONGER_TURN);
      setImmediate(this.#turn);
    }
    // A second at most, so that `stop` is noticed.
    else setTimeout(this.#turn, Math.min(1_000, spin ? left - TIMER_ERROR : left));
  }

  #end(): void {
    this.#work.end();
    this.#notify({ type: "sent", published: this.#work.published, until: this.#measurement.to });
  }

  #delivered(delivery: LastDelivery): void {
    this.#deliveries.push(delivery);
    if (this.#deliveries.length >= BATCH) this.#reportDeliveries();
  }

  #reportDeliveries(): void {
    if (this.#deliveries.length > 0) this.#notify({ type: "last", deliveries: this.#deliveries });
    this.#deliveries = [];
  }

  #reportProgress(): void {
    const { sent, received } = this.#measurement.counts;
    this.#notify({ type: "progress", sent, received, latency: this.#measurement.takeRecent() });
  }
}

/** A load that obeys the orders that are passed to the returned function. */
export function loadOf(notify: (notice: Notice) => void): (order: Order) => void {
  let load: Load | undefined;
  return (order) => {
    if (order.type === "open") {
      load = new Load(order.plan, order.index, notify);
      void load.open();
    } else if (order.type === "start") load?.start(order.at);
    else if (order.type === "finish") load?.finish(order.published);
    else load?.stop();
  };
}

/** The messages that this process sends in the open loop. */
function scheduleOf({ rate, work, processes }: Plan, index: number): Schedule | undefined {
  if (rate === undefined || work === "idle") return undefined;
  if (work !== "broadcast") return new Schedule({ start: 0, rate, processes, index });
  // One process has the publisher. For the others the run is as long, and they send nothing.
  return index === 0 ? new Schedule({ start: 0, rate, processes: 1, index: 0 }) : undefined;
}
