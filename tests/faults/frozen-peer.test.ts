/** Processes that are stopped for a while and continue: which peers give them up, which wait, and the state after the stop. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { WIRE_PROTOCOLS, type WireProtocol } from "../kit/wire-protocols.ts";
import { ControlGroup } from "./cgroup.ts";
import { EchoProcess } from "./echo-process.ts";

const skip = process.platform === "win32" && "Windows has no signals by which a process could be stopped";

/** Long enough on a machine that is busy with other tests. */
const SHORT = { interval: 1_000, timeout: 2_000 };
/** Longer than any stop in this file. */
const LONG = { interval: 1_000, timeout: 60_000 };
/** Longer than a short heartbeat, in milliseconds. */
const FROST = 5_000;

const beating = ({ protocol, options }: WireProtocol, heartbeat: object): Record<string, unknown> => ({
  ...options,
  heartbeat: { ...heartbeat, ...(protocol === "tcp" && { message: "?" }) },
});

/** Stops a process, and continues it. */
interface Frost {
  freeze(child: EchoProcess): void;
  thaw(child: EchoProcess): void;
}

const SIGNALS: Frost = { freeze: (child) => child.signal("SIGSTOP"), thaw: (child) => child.signal("SIGCONT") };

/** Freezes as container runtimes do. Undefined if there are no control groups of version 1. */
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
    it(`a server, by ${how}: clients with a short heartbeat give it up, others stay, and it gives up none (bound: heartbeat)`, async (t) => {
      await using group = how === "a signal" ? undefined : freezer();
      if (how !== "a signal" && group === undefined) t.diagnostic("there is no freezer here: stopped by a signal");
      const frost = group ?? SIGNALS;
      await using server = await EchoProcess.start();
      await using patient = await EchoProcess.start();
      await using impatient = await EchoProcess.start();
      const members = 10;
      for (const wire of WIRE_PROTOCOLS) {
        const url = await server.tell({
          ...{ do: "serve", url: wire.url, options: beating(wire, SHORT), as: "answer" },
        });
        const count = { do: "count" } as const;
        await patient.tell({ do: "visit", url, options: beating(wire, LONG), count: members, to: count });
        // Until the server continues, their next attempts may wait for an answer.
        const options = { ...beating(wire, SHORT), openTimeout: 60_000 };
        await impatient.tell({ do: "visit", url, options, count: members, to: { ...count, comeBack: true } });
      }
      const all = WIRE_PROTOCOLS.length * members;
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

      const { clients: before, ends: none } = await patient.report();
      assert.deepEqual(none, []);
      await patient.until(({ clients: { least } }) => least >= before.least + 20);
      assert.deepEqual((await patient.report()).ends, [], "neither side has given the other up");
      await impatient.until(({ visiting, clients: { answers } }) => visiting === all && answers > 0);
      // The server detects the ends that it missed when it reads, and not by a time limit.
      const woken = await server.until(({ serving }) => serving === 2 * all);
      assert.deepEqual(
        woken.ends.filter(({ by, error }) => by !== "peer" || error === "TIMEOUT"),
        [],
      );
      for (const child of [patient, impatient]) await child.tell({ do: "close", drain: 1_000 });
      for (const { clients, troubles } of [await patient.report(), await impatient.report()]) {
        assert.equal(clients.sent, clients.answers + clients.cut, "each question was answered once, or cut");
        assert.deepEqual([clients.failures, troubles], [[], []]);
      }
    });
  }

  it("a subscriber: its queue fills and its connection ends, and the others get every message (bound: maxQueuedBytes)", async (t) => {
    const maxQueuedBytes = 262_144;
    const [others, size, batch] = [10, 16_384, 50];
    for (const wire of WIRE_PROTOCOLS) {
      await using server = await EchoProcess.start();
      await using readers = await EchoProcess.start();
      await using sleeper = await EchoProcess.start();
      // The lines framing has no binary messages.
      const framing = wire.protocol === "tcp" ? { framing: { lengthPrefix: 4 } } : {};
      const limits = {
        ...framing,
        maxQueuedBytes,
        maxQueuedMessages: null,
        heartbeat: { interval: null },
        closeTimeout: 300,
      };
      const url = await server.tell({ do: "serve", url: wire.url, options: limits, as: "gather" });
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
        await readers.until(({ clients: { heard } }) => heard.every((number) => number === sent));
        const held = (await server.report(true)).live - live;
        most = Math.max(most, held);
        assert.ok(most <= maxQueuedBytes + 2 * 1_048_576, `${most} bytes are held`);
        if (refused > 0)
          t.diagnostic(`${wire.name}: after ${(sent * size) / 1_048_576} MiB, ${most} bytes held at most`);
      }
      const { ends, serving } = await server.until(({ ends }) => ends.length === 1);
      assert.equal(serving, others);
      assert.deepEqual([ends[0]?.code, ends[0]?.error, ends[0]?.limit], [1013, "LIMIT", "maxQueuedBytes"]);
      sleeper.signal("SIGCONT");
      await server.until(({ serving }) => serving === others + 1);
      const { clients } = await sleeper.report();
      assert.deepEqual([clients.comebacks.length, clients.failures], [1, []]);
    }
  });

  it("a client whose server waits sends a Ping as soon as it continues, and stays (bound: a turn)", async (t) => {
    const [websocket] = WIRE_PROTOCOLS as [WireProtocol];
    const heartbeat = { interval: 4_000, timeout: 60_000 };
    await using server = await EchoProcess.start();
    await using laptop = await EchoProcess.start();
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
    // Otherwise the next Ping would be due only now.
    assert.ok(took < heartbeat.interval, `${took} ms`);
    assert.deepEqual([(await laptop.report()).ends, (await server.report()).ends], [[], []]);
  });

  it("a client that its server gave up detects that when it continues, and reconnects once (bound: one attempt)", async () => {
    await using server = await EchoProcess.start();
    await using laptop = await EchoProcess.start();
    for (const wire of WIRE_PROTOCOLS) {
      const url = await server.tell({
        ...{ do: "serve", url: wire.url, options: beating(wire, SHORT), as: "answer" },
      });
      const to = { do: "count", comeBack: true } as const;
      await laptop.tell({ do: "visit", url, options: beating(wire, LONG), count: 1, to });
    }
    laptop.signal("SIGSTOP");
    const { ends } = await server.until(({ ends }) => ends.length === WIRE_PROTOCOLS.length);
    for (const { error, limit } of ends) assert.deepEqual([error, limit], ["TIMEOUT", "heartbeat.timeout"]);
    laptop.signal("SIGCONT");
    await server.until(({ serving }) => serving === WIRE_PROTOCOLS.length);
    const { clients } = await laptop.report();
    assert.deepEqual(clients.failures, []);
    assert.deepEqual(
      clients.comebacks.map(({ attempts }) => attempts),
      WIRE_PROTOCOLS.map(() => 1),
    );
  });
});
