/** Failed accepts are reported, with a limited rate. S3-8 and S3-9 show that a lack of descriptors is detected and survived. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { between, type Instant } from "../../../src/base/time.ts";
import type { TransportError } from "../../../src/index.ts";
import { ManualClock } from "../../../src/testing/index.ts";
import { DescriptorGuard } from "../../../src/transport/listen/descriptor-guard.ts";

const failure = (): NodeJS.ErrnoException => Object.assign(new Error("no"), { code: "ENOBUFS", syscall: "accept" });

/** Failed accepts in every millisecond for `length` of them, and when they were reported. */
async function failing(
  clock: ManualClock,
  accepting: DescriptorGuard,
  reports: readonly unknown[],
  start: Instant,
  length: number,
): Promise<number[]> {
  const times: number[] = [];
  for (let passed = 0; passed < length; passed += 1) {
    const before = reports.length;
    accepting.failed(failure());
    if (reports.length > before) times.push(between(start, clock.now()));
    await clock.advance(1);
  }
  return times;
}

describe("failed accepts", () => {
  it("are reported at once, and as long as they last after 5 ms, 10 ms and so on up to 1 s", async () => {
    const clock = new ManualClock();
    const reports: TransportError[] = [];
    const accepting = new DescriptorGuard(clock, (error) => reports.push(error));
    const times = await failing(clock, accepting, reports, clock.now(), 4_000);
    assert.deepEqual(times, [0, 5, 15, 35, 75, 155, 315, 635, 1_275, 2_275, 3_275]);
    const [{ code, errno, syscall, cause } = assert.fail()] = reports;
    assert.deepEqual([code, errno, syscall, (cause as Error).message], ["TRANSPORT", "ENOBUFS", "accept", "no"]);
    accepting.stop();
  });

  it("are reported at once again after a time without failures", async () => {
    const clock = new ManualClock();
    const reports: TransportError[] = [];
    const accepting = new DescriptorGuard(clock, (error) => reports.push(error));
    await failing(clock, accepting, reports, clock.now(), 100);
    await clock.advance(5_000);
    assert.deepEqual(await failing(clock, accepting, reports, clock.now(), 20), [0, 5, 15]);
    accepting.stop();
  });

  it("are not checked for after accepting has stopped", async () => {
    const clock = new ManualClock();
    const wakeups = new Set<object>();
    const wakeAt = clock.wakeAt.bind(clock);
    clock.wakeAt = (at, wake) => {
      const wakeup = wakeAt(at, (now) => {
        wakeups.delete(wakeup);
        wake(now);
      });
      wakeups.add(wakeup);
      return {
        cancel: () => {
          wakeups.delete(wakeup);
          wakeup.cancel();
        },
      };
    };
    const accepting = new DescriptorGuard(clock, () => assert.fail("nothing has failed"));
    await clock.advance(10_000);
    assert.equal(wakeups.size, 1);
    accepting.stop();
    assert.equal(wakeups.size, 0);
    await clock.advance(10_000);
    accepting.stop();
  });
});
