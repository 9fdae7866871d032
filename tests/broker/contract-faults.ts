/** The contract of a broker: faults of its server and of the network. Points 10 to 13, 18 and 19. */

import assert from "node:assert/strict";
import type { Broker, BrokerPublishOptions, Published } from "../../src/broker/broker.ts";
import {
  ALL,
  type BrokerServer,
  bytesOf,
  type Contract,
  fault,
  KEPT,
  numbered,
  type Outcome,
  outcomeOf,
  publishAll,
  REFUSED,
  Recorder,
  type ServerFaults,
  textOf,
  UNKEPT,
  until,
  untilRestored,
} from "./harness.ts";

/** In milliseconds. */
const TIMEOUT = 1_000;
/** How long a call may take beyond its timeout, on a busy machine. */
const LATE = 3_000;

export function faultContract(contract: Contract): void {
  const { honours, lossless } = contract.harness;
  const options = honours.log ? KEPT : UNKEPT;
  const impatient: BrokerPublishOptions = { ...options, timeout: TIMEOUT };

  const suspicions: [
    string,
    (keyof ServerFaults)[],
    (server: BrokerServer) => Promise<void>,
    (server: BrokerServer) => Promise<void>,
  ][] = [
    ["the connections are ended", ["cut"], (server) => fault(server, "cut")(), async () => undefined],
    [
      "the server is killed",
      ["kill", "restart"],
      (server) => fault(server, "kill")(),
      (server) => fault(server, "restart")(),
    ],
    [
      "the server starts again without its data",
      ["kill", "restartEmpty"],
      (server) => fault(server, "kill")(),
      (server) => fault(server, "restartEmpty")(),
    ],
    [
      "the server is frozen",
      ["freeze", "thaw"],
      (server) => fault(server, "freeze")(),
      (server) => fault(server, "thaw")(),
    ],
    [
      "the network carries nothing",
      ["partition", "heal"],
      (server) => fault(server, "partition")(),
      (server) => fault(server, "heal")(),
    ],
    [
      "the server drops messages of a slow node",
      ["overrun"],
      (server) => fault(server, "overrun")("room"),
      async () => undefined,
    ],
    [
      "a replica takes the place of the server",
      ["lag", "failover"],
      async (server) => {
        await fault(server, "lag")();
        await fault(server, "failover")();
      },
      async () => undefined,
    ],
  ];
  for (const [what, faults, begin, end] of suspicions) {
    const excuse = ["freeze", "partition"].includes(faults[0] ?? "") ? lossless : undefined;
    contract.test(
      `10 reports within 10 s that entries may be missing when ${what}`,
      { faults, excuse },
      async (server) => {
        const [a, b] = [await server.broker(), await server.broker()];
        const recorders = [
          await Recorder.on(b, "room"),
          await Recorder.on(b, "room"),
          await Recorder.on(b, "another room"),
        ];
        const watched = faults[0] === "overrun" ? recorders.slice(0, 2) : recorders;
        const began = begin(server);
        await until(server, () => watched.every((one) => one.count("interrupted") > 0), "interrupted");
        await began;
        await end(server);
        for (const recorder of watched) {
          await untilRestored(server, recorder);
          const told = recorder.calls.filter((call) => ["interrupted", "restored"].includes(call));
          // Each interruption is followed by its end, and by no second one before it.
          for (const [index, call] of told.entries()) assert.equal(call, index % 2 === 0 ? "interrupted" : "restored");
        }
        for (const topic of ["room", "another room"]) await publishAgain(server, a, topic, `behind ${what}`, options);
        for (const recorder of recorders) {
          await until(server, () => recorder.texts.includes(`behind ${what}`), "a message behind the fault");
          const texts = recorder.texts.filter((text) => text === `behind ${what}`);
          assert.ok(honours.once ? texts.length === 1 : texts.length > 0);
        }
      },
    );
  }

  contract.test(
    "10 reports what was missed: after `restored` the log has it",
    { honoured: honours.log, faults: ["cut"] },
    async (server) => {
      const [a, b] = [await server.broker(), await server.broker()];
      const recorder = await Recorder.on(b, "room");
      const published: string[] = [];
      for (let round = 1; round <= 5; round += 1) {
        for (const text of numbered(`${round} `, 1, 50)) {
          const { value } = await outcomeOf(a.publish("room", bytesOf(text), { ...KEPT, id: text }));
          if (value !== undefined) published.push(text);
          if (text === `${round} 20`) await fault(server, "cut")();
        }
        await untilRestored(server, recorder, round);
      }
      await publishAgain(server, a, "room", "end", KEPT);
      await until(server, () => recorder.texts.includes("end"), "the last message");
      const { entries } = await a.read("room", ALL);
      const stored = new Set(entries.map(textOf));
      assert.deepEqual(
        published.filter((text) => !stored.has(text)),
        [],
      );
      // What arrived is a part of the log, in its order. A hole follows `interrupted`, or is seen in the offsets.
      const offsets = recorder.entries.map(({ offset }) => offset);
      assert.deepEqual(
        offsets,
        [...new Set(offsets)].sort((one, other) => one - other),
      );
      assert.ok(recorder.count("interrupted") >= 1);
    },
  );

  contract.test(
    "11 confirms nothing while the server is frozen, and rejects in time",
    { faults: ["freeze", "thaw"] },
    async (server) => {
      const broker = await server.broker();
      const recorder = await Recorder.on(broker, "room");
      await publishAll(broker, "room", ["before"], options);
      await fault(server, "freeze")();
      let settled = 0;
      const outcomes = numbered("", 1, 20).map(async (text) => {
        const outcome = await outcomeOf(broker.publish("room", bytesOf(text), impatient));
        settled += 1;
        return outcome;
      });
      const read = outcomeOf(broker.read("room", { ...ALL, timeout: TIMEOUT }));
      await until(server, () => settled === 20, "20 rejections", TIMEOUT + LATE);
      for (const { error } of await Promise.all(outcomes))
        assert.match(error?.code ?? "", /TIMEOUT|IN_DOUBT|CLOSED|LIMIT/);
      if (honours.log) {
        let answered: Outcome<unknown> | undefined;
        void read.then((outcome) => {
          answered = outcome;
        });
        await until(server, () => answered !== undefined, "the rejection of the read", LATE);
        assert.match(answered?.error?.code ?? "", /TIMEOUT|CLOSED/);
      }
      await fault(server, "thaw")();
      await publishAgain(server, broker, "room", "after", options);
      await until(server, () => recorder.texts.includes("after"), "a message after the thaw", 30_000);
    },
  );

  contract.test("12 does not publish what it has refused", { faults: ["kill", "restart"] }, async (server) => {
    const broker = await server.broker();
    const recorder = await Recorder.on(broker, "room");
    await fault(server, "kill")();
    const refused = new Set<string>();
    const publish = async (text: string): Promise<void> => {
      const { error } = await outcomeOf(broker.publish("room", bytesOf(text), impatient));
      if (REFUSED.includes(error?.code)) refused.add(text);
    };
    await Promise.all(numbered("at once ", 1, 50).map(publish));
    await until(server, () => recorder.count("interrupted") > 0, "interrupted");
    await Promise.all(numbered("later ", 1, 50).map(publish));
    assert.ok(refused.size > 0);
    await fault(server, "restart")();
    await untilRestored(server, recorder);
    await publishAgain(server, broker, "room", "end", options);
    await until(server, () => recorder.texts.includes("end"), "the last message");
    const seen = [...recorder.texts, ...(await broker.read("room", ALL)).entries.map(textOf)];
    assert.deepEqual(
      seen.filter((text) => refused.has(text)),
      [],
    );
  });

  contract.test("12 publishes nothing for a signal that is aborted", {}, async (server) => {
    const broker = await server.broker();
    const recorder = await Recorder.on(broker, "room");
    const reason = new Error("not wanted");
    const aborted = broker.publish("room", bytesOf("x"), { ...options, signal: AbortSignal.abort(reason) });
    await assert.rejects(aborted, reason);
    await assert.rejects(broker.read("room", { ...ALL, signal: AbortSignal.abort(reason) }), reason);
    await publishAll(broker, "room", ["y"], options);
    await until(server, () => recorder.texts.includes("y"), "the next message");
    assert.deepEqual(recorder.texts, ["y"]);
  });

  for (const [size, count] of [
    [64 * 1024, 4_000],
    [16, 200_000],
  ] as const) {
    contract.test(
      `13 bounds the messages of ${size} bytes that wait for a frozen server`,
      { faults: ["freeze", "thaw"] },
      async (server) => {
        const broker = await server.broker();
        await publishAll(broker, "room", ["before"], options);
        await fault(server, "freeze")();
        const message = new Uint8Array(size);
        let refused = false;
        const all: Promise<unknown>[] = [];
        for (let number = 0; number < count && !refused; number += 1) {
          const published = outcomeOf(broker.publish("room", message, impatient));
          all.push(
            published.then(({ error }) => {
              if (REFUSED.includes(error?.code)) refused = true;
            }),
          );
          if (number % 100 === 0) await new Promise(setImmediate);
        }
        assert.ok(refused, `${count} messages of ${size} bytes wait, and none was refused`);
        await fault(server, "thaw")();
        await server.wait(TIMEOUT);
        await Promise.all(all);
        await publishAgain(server, broker, "room", "after", options);
      },
    );
  }

  contract.test("18 subscribes again to 1,000 topics in few commands", { faults: ["cut", "usage"] }, async (server) => {
    const broker = await server.broker();
    const recorders = await Promise.all(numbered("topic ", 1, 1_000).map((topic) => Recorder.on(broker, topic)));
    const usage = fault(server, "usage");
    const before = (await usage()).commands;
    await fault(server, "cut")();
    for (const recorder of recorders) await untilRestored(server, recorder);
    const commands = (await usage()).commands - before;
    assert.ok(commands < 200, `${commands} commands`);
    await publishAgain(server, broker, "topic 500", "after", options);
    await until(server, () => recorders[499]?.texts.includes("after") === true, "a message behind the cut");
  });

  contract.test(
    "19 reports a replica that lags before it delivers another history",
    { honoured: honours.log, faults: ["lag", "failover"] },
    async (server) => {
      const [a, b] = [await server.broker(), await server.broker()];
      const recorder = await Recorder.on(b, "room");
      await publishAll(a, "room", numbered("kept ", 1, 5));
      // The replica has these.
      await server.wait(1_000);
      await fault(server, "lag")();
      const lost = await publishAll(a, "room", numbered("lost ", 1, 5));
      await until(server, () => recorder.texts.includes("lost 5"), "the messages that the replica does not have");
      await fault(server, "failover")();
      await publishAgain(server, a, "room", "another history", KEPT);
      await untilRestored(server, recorder);
      const { epoch, entries } = await b.read("room", ALL);
      const texts = entries.map(textOf);
      assert.ok(texts.includes("another history") && !texts.includes("lost 1"), String(texts));
      // The hub sees the fork: by the epoch, or by the bytes under an offset that it knows.
      const known = recorder.entries.find(({ offset }) => offset === lost[0]?.offset);
      const found = entries.find(({ offset }) => offset === lost[0]?.offset);
      assert.ok(
        epoch !== lost[0]?.epoch || found === undefined || textOf(found) !== textOf(known as { message: Uint8Array }),
      );
      const interrupted = recorder.calls.indexOf("interrupted");
      const delivered = recorder.calls.indexOf("another history");
      assert.ok(interrupted !== -1 && (delivered === -1 || interrupted < delivered), String(recorder.calls));
      assert.notEqual(await b.renew("room", epoch), epoch);
    },
  );
}

/** Publishes a message, again and again until the server has confirmed it. */
async function publishAgain(
  server: BrokerServer,
  broker: Broker,
  topic: string,
  text: string,
  options: BrokerPublishOptions,
): Promise<Published> {
  for (let tries = 0; ; tries += 1) {
    const { value, error } = await outcomeOf(
      broker.publish(topic, bytesOf(text), { ...options, id: options.history && text }),
    );
    if (value !== undefined) return value;
    assert.ok(tries < 100, String(error));
    await server.wait(200);
  }
}
