/** Processes that stand still for a while and go on: who gives them up, who waits, and what they find when they wake. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { SPEECHES, type Speech } from "../requirements/speech.js";
import { ControlGroup } from "./cgroup.js";
import { Party } from "./party.js";

const skip = process.platform === "win32" && "Windows has no signals by which a process could be stopped";

/** Long enough for a machine that is busy with other tests. */
const SHORT = { interval: 1_000, timeout: 2_000 };
/** Longer than any frost here. */
const LONG = { interval: 1_000, timeout: 60_000 };
/** Longer than a short heartbeat, in milliseconds. */
const FROST = 5_000;

const beating = ({ protocol, options }: Speech, heartbeat: object): Record<string, unknown> => ({
  ...options,
  heartbeat: { ...heartbeat, ...(protocol === "tcp" && { message: "?" }) },
});

/** Stops a process, and lets it go on. */
interface Frost {
  freeze(party: Party): void;
  thaw(party: Party): void;
}

const SIGNALS: Frost = { freeze: (party) => party.signal("SIGSTOP"), thaw: (party) => party.signal("SIGCONT") };

/** As containers are paused. Undefined where there are no control groups of the first kind. */
function freezer(): (Frost & AsyncDisposable) | undefined {
  const group = ControlGroup.of("freezer");
  if (group === undefined) return undefined;
  return {
    freeze: ({ pid }) => {
      group.add(pid);
      group.write("freezer.state", "FROZEN");
    },
    thaw: () => group.write("freezer.state", "THAWED"),
    [Symbol.asyncDispose]: () => group[Symbol.asyncDispose](),
  };
}

describe("a process that stands still", { skip, timeout: 180_000, concurrency: 2 }, () => {
  for (const how of ["a signal", "the freezer of its control group"] as const) {
    it(`a server, by ${how}: the impatient leave, the patient stay, and it blames nobody (bound: heartbeat)`, async (t) => {
      await using group = how === "a signal" ? undefined : freezer();
      if (how !== "a signal" && group === undefined) t.diagnostic("there is no freezer here: stopped by a signal");
      const frost = group ?? SIGNALS;
      await using server = await Party.start();
      await using patient = await Party.start();
      await using impatient = await Party.start();
      const members = 10;
      for (const speech of SPEECHES) {
        const url = await server.tell({
          ...{ do: "serve", url: speech.url, options: beating(speech, SHORT), as: "answer" },
        });
        const count = { do: "count" } as const;
        await patient.tell({ do: "visit", url, options: beating(speech, LONG), count: members, to: count });
        // Until the server wakes they may wait for an answer to their next attempt.
        const options = { ...beating(speech, SHORT), openTimeout: 60_000 };
        await impatient.tell({ do: "visit", url, options, count: members, to: { ...count, comeBack: true } });
      }
      const all = SPEECHES.length * members;
      await server.until(({ serving, given }) => serving === 2 * all && given > 10 * all);

      const since = performance.now();
      frost.freeze(server);
      const { ends } = await impatient.until(({ ends }) => ends.length >= all);
      await pause(FROST - (performance.now() - since));
      for (const { error, limit, after = 0 } of ends) {
        assert.deepEqual([error, limit], ["TIMEOUT", "heartbeat.timeout"]);
        assert.ok(after >= SHORT.timeout, `${after} ms`);
      }
      frost.thaw(server);

      const { guests: before, ends: none } = await patient.report();
      assert.deepEqual(none, []);
      await patient.until(({ guests: { least } }) => least >= before.least + 20);
      assert.deepEqual((await patient.report()).ends, [], "neither side has given the other up");
      await impatient.until(({ visiting, guests: { answers } }) => visiting === all && answers > 0);
      // What was left behind is found by reading, and not by a limit of time.
      const woken = await server.until(({ serving }) => serving === 2 * all);
      assert.deepEqual(
        woken.ends.filter(({ by, error }) => by !== "peer" || error === "TIMEOUT"),
        [],
      );
      for (const party of [patient, impatient]) await party.tell({ do: "close", drain: 1_000 });
      for (const { guests, troubles } of [await patient.report(), await impatient.report()]) {
        assert.equal(guests.sent, guests.answers + guests.cut, "each question was answered once, or cut");
        assert.deepEqual([guests.failures, troubles], [[], []]);
      }
    });
  }

  it("a subscriber: its queue fills and ends it, the others get everything (bound: maxQueuedBytes)", async (t) => {
    const maxQueuedBytes = 262_144;
    const [others, size, batch] = [10, 16_384, 50];
    for (const speech of SPEECHES) {
      await using server = await Party.start();
      await using readers = await Party.start();
      await using sleeper = await Party.start();
      // Binary messages have no form on lines.
      const framing = speech.protocol === "tcp" ? { framing: { lengthPrefix: 4 } } : {};
      const limits = {
        ...framing,
        maxQueuedBytes,
        maxQueuedMessages: null,
        heartbeat: { interval: null },
        closeTimeout: 300,
      };
      const url = await server.tell({ do: "serve", url: speech.url, options: limits, as: "gather" });
      await readers.tell({ do: "visit", url, options: framing, count: others, to: { do: "read" } });
      await sleeper.tell({ do: "visit", url, options: framing, count: 1, to: { do: "read", comeBack: true } });
      await server.until(({ serving }) => serving === others + 1);
      const { live } = await server.report(true);
      sleeper.signal("SIGSTOP");
      let sent = 0;
      let refused = 0;
      for (let most = 0; refused === 0; ) {
        for (let some = 0; some < batch / 10; some += 1) {
          refused += (await server.tell({ do: "publish", size, times: 10 })).refused;
        }
        sent += batch;
        await readers.until(({ guests: { heard } }) => heard.every((number) => number === sent));
        const held = (await server.report(true)).live - live;
        most = Math.max(most, held);
        assert.ok(most <= maxQueuedBytes + 2 * 1_048_576, `${most} bytes are held`);
        if (refused > 0)
          t.diagnostic(`${speech.name}: after ${(sent * size) / 1_048_576} MiB, ${most} bytes held at most`);
      }
      const { ends, serving } = await server.until(({ ends }) => ends.length === 1);
      assert.equal(serving, others);
      assert.deepEqual([ends[0]?.code, ends[0]?.error, ends[0]?.limit], [1013, "LIMIT", "maxQueuedBytes"]);
      sleeper.signal("SIGCONT");
      await server.until(({ serving }) => serving === others + 1);
      const { guests } = await sleeper.report();
      assert.deepEqual([guests.comebacks.length, guests.failures], [1, []]);
    }
  });

  it("a client whose server is patient asks at once when it wakes, and stays (bound: a turn)", async (t) => {
    const [websocket] = SPEECHES as [Speech];
    const heartbeat = { interval: 4_000, timeout: 60_000 };
    await using server = await Party.start();
    await using laptop = await Party.start();
    const options = { heartbeat: { interval: null } };
    const url = await server.tell({ do: "serve", url: websocket.url, options, as: "hold" });
    await laptop.tell({ do: "visit", url, options: { heartbeat }, count: 1, to: { do: "read", comeBack: true } });
    laptop.signal("SIGSTOP");
    await pause(FROST);
    const { pings } = await server.report();
    assert.equal(pings, 0);
    laptop.signal("SIGCONT");
    const since = performance.now();
    await server.until((report) => report.pings > pings);
    const took = performance.now() - since;
    t.diagnostic(`asked ${took.toFixed(0)} ms after it woke`);
    // The next Ping would otherwise be due only then.
    assert.ok(took < heartbeat.interval, `${took} ms`);
    assert.deepEqual([(await laptop.report()).ends, (await server.report()).ends], [[], []]);
  });

  it("a client whose server has given it up finds that out when it wakes, and comes back once (bound: one attempt)", async () => {
    await using server = await Party.start();
    await using laptop = await Party.start();
    for (const speech of SPEECHES) {
      const url = await server.tell({
        ...{ do: "serve", url: speech.url, options: beating(speech, SHORT), as: "answer" },
      });
      const to = { do: "count", comeBack: true } as const;
      await laptop.tell({ do: "visit", url, options: beating(speech, LONG), count: 1, to });
    }
    laptop.signal("SIGSTOP");
    const { ends } = await server.until(({ ends }) => ends.length === SPEECHES.length);
    for (const { error, limit } of ends) assert.deepEqual([error, limit], ["TIMEOUT", "heartbeat.timeout"]);
    laptop.signal("SIGCONT");
    await server.until(({ serving }) => serving === SPEECHES.length);
    const { guests } = await laptop.report();
    assert.deepEqual(guests.failures, []);
    assert.deepEqual(
      guests.comebacks.map(({ attempts }) => attempts),
      SPEECHES.map(() => 1),
    );
  });
});
