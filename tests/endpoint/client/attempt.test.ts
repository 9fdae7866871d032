/** The time limits of one attempt of `connect`, on a clock of which no two readings are equal. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { TimeoutError } from "../../../src/base/errors.ts";
import { between, type Clock, type Instant, instant, type Wakeup } from "../../../src/base/time.ts";
import { Attempt } from "../../../src/endpoint/client/attempt.ts";
import { unlessAborted } from "../../../src/transport/wait-limit.ts";

/** The readings take time, as on a busy machine: the one with the number `slow` takes 20 ms, the others 1 ms. */
class SlowClock implements Clock {
  #time = 0;
  #readings = 0;
  readonly #slow: number;
  readonly #timers = new Set<{ readonly at: Instant; readonly wake: (now: Instant) => void }>();

  constructor(slow: number) {
    this.#slow = slow;
  }

  now(): Instant {
    this.#readings += 1;
    this.#time += this.#readings === this.#slow ? 20 : 1;
    return instant(this.#time);
  }

  wallTime(): number {
    return this.#time;
  }

  wakeAt(at: Instant, wake: (now: Instant) => void): Wakeup {
    const timer = { at, wake };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  advance(length: number): void {
    this.#time += length;
  }

  /** Runs the timer that is due next, at its instant. */
  expire(): void {
    const [next] = [...this.#timers].sort((one, other) => between(other.at, one.at));
    assert.ok(next !== undefined);
    this.#timers.delete(next);
    this.#time = Number(next.at);
    next.wake(next.at);
  }
}

describe("an attempt to connect", () => {
  it("ends at openTimeout, and not before it, whatever its wait in the queue was", async () => {
    for (let slow = 1; slow <= 8; slow += 1) await expire(slow);
  });
});

async function expire(slow: number): Promise<void> {
  const clock = new SlowClock(slow);
  const limits = { clock, secure: false, openTimeout: 500, queueTimeout: 10_000, deadline: undefined };
  const attempt = new Attempt({ ...limits, signal: undefined });
  let enter: () => void = () => undefined;
  const place = new Promise<void>((resolve) => {
    enter = resolve;
  });
  const permit = { wait: () => place, reason: () => "", leave: () => undefined };
  const failed = attempt.run(async (limit) => {
    await attempt.wait(limit, permit, []);
    await unlessAborted(new Promise(() => undefined), limit.signal);
  });
  const refused = assert.rejects(failed, (error) => {
    assert.ok(error instanceof TimeoutError);
    assert.equal(error.limit, "openTimeout");
    assert.ok(error.after >= 500 && error.after < 525, `${error.after} ms with a slow reading ${slow}`);
    return true;
  });
  clock.advance(2_000);
  enter();
  await turn();
  clock.expire();
  await refused;
}
