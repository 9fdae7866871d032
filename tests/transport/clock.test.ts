/** The system's clock: timers fire in order and never early, and do not keep the process alive. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterEach, beforeEach, describe, it } from "node:test";
import { after, between, type Instant, reached } from "../../src/base/time.ts";
import { systemClock } from "../../src/transport/clock.ts";

/** Resolves with the instant at which `length` milliseconds from now have passed. */
function woken(length: number): Promise<Instant> {
  return new Promise((resolve) => systemClock.wakeAt(after(systemClock.now(), length), resolve));
}

describe("the system's clock", () => {
  let alive: NodeJS.Timeout;
  beforeEach(() => {
    alive = setInterval(() => undefined, 60_000);
  });
  afterEach(() => clearInterval(alive));

  // First, because nothing nearer may be armed; and the farthest first. Node's timers fire at once beyond 2 ** 31 - 1 ms.
  it("does not wake at once for an instant beyond the longest timer of Node", async () => {
    const warnings: string[] = [];
    const heard = ({ name }: Error): number => warnings.push(name);
    process.on("warning", heard);
    for (const length of [Infinity, 2 ** 53, 2 ** 40, 2 ** 31, 2 ** 31 - 1]) {
      let woke = false;
      const wakeup = systemClock.wakeAt(after(systemClock.now(), length), () => {
        woke = true;
      });
      await new Promise((resolve) => setTimeout(resolve, 5));
      assert.equal(woke, false);
      wakeup.cancel();
    }
    process.off("warning", heard);
    assert.deepEqual(warnings, []);
  });

  it("does not go back", () => {
    let last = systemClock.now();
    for (let look = 0; look < 1_000; look += 1) {
      const now = systemClock.now();
      assert.ok(reached(last, now));
      last = now;
    }
  });

  it("shows the wall's time as Date does", () => {
    const before = Date.now();
    const shown = systemClock.wallTime();
    assert.ok(before <= shown && shown <= Date.now());
  });

  it("wakes once, not before the instant, and passes the current instant", async () => {
    for (const length of [0, 1, 7, 30]) {
      const at = after(systemClock.now(), length);
      let calls = 0;
      const now = await new Promise<Instant>((resolve) =>
        systemClock.wakeAt(at, (now) => {
          calls += 1;
          resolve(now);
        }),
      );
      assert.ok(reached(at, now), `woken ${between(now, at)} ms early`);
      assert.ok(reached(now, systemClock.now()));
      await woken(10);
      assert.equal(calls, 1);
    }
  });

  it("wakes for an instant that has passed, and not during the call", async () => {
    let called = false;
    const past = after(systemClock.now(), -1_000);
    const wake = new Promise<void>((resolve) => {
      systemClock.wakeAt(past, () => {
        called = true;
        resolve();
      });
    });
    assert.equal(called, false);
    await wake;
  });

  it("fires in the order of the instants, for any order of the calls", async () => {
    const start = systemClock.now();
    const order: number[] = [];
    const lengths = [40, 8, 24, 16, 32];
    await Promise.all(
      lengths.map(
        (length) =>
          new Promise<void>((resolve) => {
            systemClock.wakeAt(after(start, length), () => {
              order.push(length);
              resolve();
            });
          }),
      ),
    );
    assert.deepEqual(order, [8, 16, 24, 32, 40]);
  });

  it("wakes for an earlier instant although it waits for a later one", async () => {
    let far = false;
    const wakeup = systemClock.wakeAt(after(systemClock.now(), 60_000), () => {
      far = true;
    });
    await woken(5);
    assert.equal(far, false);
    wakeup.cancel();
  });

  it("does not wake a cancelled call, nor miss the next one", async () => {
    let cancelled = 0;
    const wakeups = [1, 5, 10].map((length) =>
      systemClock.wakeAt(after(systemClock.now(), length), () => {
        cancelled += 1;
      }),
    );
    for (const wakeup of wakeups) wakeup.cancel();
    await woken(20);
    assert.equal(cancelled, 0);
    for (const wakeup of wakeups) wakeup.cancel();
  });

  it("cancels during a wakeup another call for the same instant", async () => {
    const at = after(systemClock.now(), 5);
    let called = false;
    systemClock.wakeAt(at, () => other.cancel());
    const other = systemClock.wakeAt(at, () => {
      called = true;
    });
    await woken(20);
    assert.equal(called, false);
  });

  it("wakes a call that a wakeup has scheduled", async () => {
    await new Promise<void>((resolve) => {
      systemClock.wakeAt(after(systemClock.now(), 2), (now) => {
        systemClock.wakeAt(after(now, 2), () => resolve());
      });
    });
  });

  it("lets received bytes be read before timers expire, after the event loop was blocked", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
    const [[socket]] = (await Promise.all([once(server, "connection"), once(client, "connect")])) as [
      [Socket],
      unknown,
    ];
    server.close();
    const order: string[] = [];
    const read = new Promise<void>((resolve) => {
      socket.once("data", () => {
        order.push("read");
        resolve();
      });
    });
    const at = after(systemClock.now(), 10);
    const judged = new Promise<void>((resolve) => {
      systemClock.wakeAt(at, () => {
        order.push("judged");
        resolve();
      });
    });
    client.write("alive");
    while (!reached(after(at, 20), systemClock.now()));
    await Promise.all([read, judged]);
    assert.deepEqual(order, ["read", "judged"]);
    for (const end of [client, socket]) end.destroy();
  });

  it("continues when a wakeup throws, and throws the error", async () => {
    const thrown: unknown[] = [];
    process.setUncaughtExceptionCaptureCallback((error) => thrown.push(error));
    try {
      const at = after(systemClock.now(), 5);
      systemClock.wakeAt(at, () => {
        throw new Error("thrown on purpose");
      });
      const sameInstant = new Promise<Instant>((resolve) => systemClock.wakeAt(at, resolve));
      await Promise.all([sameInstant, woken(20)]);
    } finally {
      process.setUncaughtExceptionCaptureCallback(null);
    }
    assert.deepEqual(thrown.map(String), ["Error: thrown on purpose"]);
  });

  it("does not keep the process alive", async () => {
    const program = `
      import { systemClock } from ${JSON.stringify(new URL("../../src/transport/clock.js", import.meta.url).href)};
      systemClock.wakeAt(systemClock.now() + 3_600_000, () => undefined);
      console.log("armed");
    `;
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const said = await new Promise((resolve, reject) => {
      execFile(process.execPath, ["--input-type=module", "-e", program], { env, timeout: 60_000 }, (error, stdout) =>
        error === null ? resolve(stdout) : reject(error),
      );
    });
    assert.equal(said, "armed\n");
  });
});
