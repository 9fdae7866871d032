/** S4-11: a client that reconnects to a server that is killed and restored twenty times, and to one that was restarted. */

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import {
  type Connection,
  type InDoubtError,
  type ReconnectDelivery,
  ReconnectingConnection,
  type ReconnectState,
  reconnect,
} from "../../src/index.ts";
import { ManualClock, settled } from "../../src/testing/index.ts";
import { ChildProgram } from "../kit/child-process.ts";
import { openSockets, SOCKETS_SKIP } from "../kit/kernel-sockets.ts";
import { deadPort, RestartableServer, StateRecorder } from "../kit/restartable-server.ts";

const KILLS = 20;
const BATCH = 16;
const MOST_WAITING = 256;

/** A client under traffic: it sends numbers, and continues as they are answered and as its state changes. */
class Talker {
  readonly connection: ReconnectingConnection;
  readonly states: ReconnectState[] = [];
  /** The result of each number. `round` is the number of connections so far when the result was known. */
  readonly fates: { readonly fate: string; readonly round: number }[] = [];
  heard = 0;
  sent = 0;
  #settled = 0;
  /** Connections that had not ended when the next attempt began. */
  overlaps = 0;
  rounds = 0;
  #former: Connection<undefined> | undefined;
  readonly #waiting: (() => void)[] = [];
  #enough = false;

  constructor(url: string, delivery: ReconnectDelivery) {
    this.connection = new ReconnectingConnection(url, {
      ...{ delivery, initialPause: 5, maxPause: 50 },
      state: (state) => {
        this.states.push(state);
        if (state.name === "connecting" && (this.#former?.state ?? "CLOSED") !== "CLOSED") this.overlaps += 1;
        if (state.name === "open") this.rounds += 1;
        this.#changed();
      },
      open: (connection) => {
        if ((this.#former?.state ?? "CLOSED") !== "CLOSED") this.overlaps += 1;
        this.#former = connection;
      },
      message: () => {
        this.heard += 1;
        this.#changed();
      },
    });
  }

  /** Sends a batch, and the next one when half of it was answered or the state has changed; without a connection only a few. */
  async talk(): Promise<void> {
    while (!this.#enough) {
      if (this.sent - this.#settled < MOST_WAITING) for (let n = 0; n < BATCH; n += 1) this.#say();
      const { length } = this.states;
      const enough = this.heard + BATCH / 2;
      while (!this.#enough && this.heard < enough && this.states.length === length) await this.#change();
    }
  }

  /** Resolves when `count` more were answered. */
  async answered(count: number): Promise<void> {
    const enough = this.heard + count;
    while (this.heard < enough) {
      const { state } = this.connection;
      if (state.name === "ended") throw new Error("the connection has ended", { cause: state.cause });
      await this.#change();
    }
  }

  stop(): void {
    this.#enough = true;
    this.#changed();
  }

  #say(): void {
    const number = this.sent;
    this.sent += 1;
    const note = (fate: string): void => {
      this.fates[number] = { fate, round: this.rounds };
      this.#settled += 1;
    };
    this.connection.send(String(number)).then(
      () => note("sent"),
      ({ code, returned }: InDoubtError) => note(returned === String(number) ? code : `${code}, of another message`),
    );
  }

  #change(): Promise<void> {
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }

  #changed(): void {
    for (const tell of this.#waiting.splice(0)) tell();
  }
}

interface Heard {
  readonly life: number;
  readonly path: string;
  readonly number: number;
}

interface Story {
  readonly talkers: Readonly<Record<ReconnectDelivery, Talker>>;
  /** The numbers that the server's processes have recorded, in order. */
  readonly heard: Readonly<Record<ReconnectDelivery, readonly Heard[]>>;
}

const PROGRAM = fileURLToPath(new URL("recording-process.js", import.meta.url));

async function recordingProcess(address: string, log: string): Promise<{ child: ChildProgram; url: string }> {
  const child = new ChildProgram(PROGRAM, [address, log], { channel: true });
  return { child, url: await child.message<string>() };
}

/** A process can be killed when half of a line is written, at the end of a file's page: that message was not answered. */
function noted(log: string, life: number): Heard[] {
  const lines = log.split("\n").slice(0, -1);
  return lines.map((line) => {
    const [path = "", number] = line.split(" ");
    return { life, path, number: Number(number) };
  });
}

async function told(): Promise<Story> {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
  const logs = Array.from({ length: KILLS + 1 }, (_, life) => join(folder, `life-${life}`));
  let { child, url } = await recordingProcess("ws://127.0.0.1:0", logs[0]!);
  const talkers = {
    "at-most-once": new Talker(`${url}/at-most-once`, "at-most-once"),
    confirmed: new Talker(`${url}/confirmed`, "confirmed"),
    resend: new Talker(`${url}/resend`, "resend"),
  };
  const all = Object.values(talkers);
  try {
    const talking = all.map((talker) => talker.talk());
    for (let life = 1; life <= KILLS; life += 1) {
      // In the middle of a batch, a different one each time.
      await Promise.all(all.map((talker) => talker.answered(20 + life)));
      await child[Symbol.asyncDispose]();
      ({ child } = await recordingProcess(url, logs[life]!));
    }
    await Promise.all(all.map((talker) => talker.answered(20)));
    for (const talker of all) talker.stop();
    await Promise.all(talking);
    for (const { connection } of all) {
      const { wasClean } = await connection.close();
      assert.equal(wasClean, true);
    }
  } finally {
    for (const { connection } of all) connection.terminate();
    await child[Symbol.asyncDispose]();
  }
  await settled();
  const heard = logs.flatMap((log, life) => noted(readFileSync(log, "utf8"), life));
  rmSync(folder, { recursive: true });
  const of = (name: ReconnectDelivery): Heard[] => heard.filter(({ path }) => path === name);
  return { talkers, heard: { "at-most-once": of("at-most-once"), confirmed: of("confirmed"), resend: of("resend") } };
}

/** Each process recorded its messages without a gap: of a connection, everything up to its end. */
function perLife(heard: readonly Heard[]): { readonly first: number; readonly last: number }[] {
  const lives: { first: number; last: number }[] = [];
  for (const { life, number } of heard) {
    const known = lives[life];
    if (known === undefined) lives[life] = { first: number, last: number };
    else {
      assert.equal(number, known.last + 1, `life ${life} hears one after the other`);
      known.last = number;
    }
  }
  return lives;
}

describe("S4-11 reconnecting over an unstable network", () => {
  let begun: Promise<Story> | undefined;
  const story = (): Promise<Story> => {
    begun ??= told();
    return begun;
  };

  it("S4-11 reconnects each of 20 times that the server is killed and restarted", async () => {
    const { talkers, heard } = await story();
    for (const name of ["at-most-once", "confirmed", "resend"] as const) {
      assert.equal(perLife(heard[name]).filter(Boolean).length, KILLS + 1, `${name}: every life has heard something`);
      assert.equal(talkers[name].rounds, KILLS + 1, name);
      assert.equal(talkers[name].states.at(-1)?.name, "ended");
    }
  });

  it("S4-11 loses and duplicates queued messages only as its policy allows", async (t) => {
    const { talkers, heard } = await story();

    for (const name of ["at-most-once", "confirmed"] as const) {
      const once = talkers[name];
      const lives = perLife(heard[name]);
      let next = 0;
      let lost = 0;
      for (const [life, { first, last }] of lives.entries()) {
        assert.ok(first >= next, "nothing is doubled, and order is kept");
        for (let number = next; number < first; number += 1) {
          // Lost with a connection that had sent it: in doubt, or accepted by a kernel without a process.
          const { fate, round } = once.fates[number]!;
          const taken = name === "at-most-once" && fate === "sent" && round <= life;
          assert.ok(fate === "IN_DOUBT" || taken, `${name}, ${number}: ${fate}`);
          lost += 1;
        }
        for (let number = first; number <= last; number += 1) {
          assert.match(once.fates[number]?.fate ?? "unknown", /^(sent|IN_DOUBT)$/);
        }
        next = last + 1;
      }
      assert.equal(next, once.sent, "the last life has heard all that was left");
      assert.equal(once.fates.filter(Boolean).length, once.sent, "each message has a fate");
      const doubts = once.fates.filter(({ fate }) => fate === "IN_DOUBT").length;
      assert.equal(once.connection.messagesInDoubt, doubts);
      assert.ok(lost > 0, "the server was killed under traffic");
      assert.equal(once.connection.droppedMessages, 0);
      t.diagnostic(`${name}: ${once.sent} sent, ${lost} of them lost, ${doubts} in doubt`);
    }

    const again = talkers.resend;
    const repeated = perLife(heard.resend);
    let expected = 0;
    let doubled = 0;
    for (const { first, last } of repeated) {
      assert.ok(first <= expected, "nothing is left out");
      doubled += expected - first;
      expected = Math.max(expected, last + 1);
    }
    assert.equal(expected, again.sent, "every message has come, in order but for those that came again");
    assert.deepEqual([...new Set(again.fates.map(({ fate }) => fate))], ["sent"]);
    assert.equal(again.fates.length, again.sent);
    assert.equal(again.connection.messagesInDoubt, 0);
    t.diagnostic(`resend: ${again.sent} sent, ${doubled} of them twice`);
  });

  it("S4-11 holds one socket at the most", { skip: SOCKETS_SKIP }, async () => {
    const { talkers } = await story();
    assert.deepEqual(
      Object.values(talkers).map(({ overlaps }) => overlaps),
      [0, 0, 0],
    );

    // Also by the kernel's count: while the client waits it has no socket, and the server's socket was closed before.
    await using server = await RestartableServer.up({});
    const listening = openSockets();
    const held: number[] = [];
    const recorder = new StateRecorder();
    const connection = new ReconnectingConnection(server.url, {
      ...{ initialPause: 1, maxPause: 2 },
      state: (state) => {
        if (state.name === "connecting") held.push(openSockets());
        recorder.see(state);
      },
    });
    for (let round = 1; round <= KILLS; round += 1) {
      await recorder.until("open", round);
      for (const one of server.server?.connections ?? []) one.terminate();
    }
    await recorder.until("open", KILLS + 1);
    await connection.close();
    assert.deepEqual(new Set(held), new Set([listening]));
  });

  it("S4-11 waits with jitter, longer each time, and short again after a connection that lived", async () => {
    await using server = await RestartableServer.up({});
    const clock = new ManualClock();
    const stop = new AbortController();
    const recorder = new StateRecorder();
    const parts = [0.1, 0.9, 0.5, 0.3, 0.7, 0.2];
    const ended = reconnect(server.url, (connection) => connection.closed.then(() => undefined), {
      ...{ clock, signal: stop.signal, state: recorder.see, random: () => parts.shift() ?? 1 },
    });
    const over = assert.rejects(ended, { name: "AbortError" });
    const found: number[] = [];
    const pause = async (count: number): Promise<void> => {
      const { until } = await recorder.until("waiting", count);
      found.push(until.getTime() - clock.wallTime());
      await clock.advance(found.at(-1) ?? 0);
    };
    await recorder.until("open");
    await clock.advance(10_000);
    await server.crash();
    for (let count = 1; count <= 4; count += 1) await pause(count);
    await recorder.until("waiting", 5);
    await server.back();
    await pause(5);
    await recorder.until("open", 2);
    await clock.advance(10_000);
    await server.crash();
    await recorder.until("waiting", 6);
    found.push((recorder.states.at(-1) as { until: Date }).until.getTime() - clock.wallTime());
    // After a connection that lived the pause is a part of 500 ms, and after each failed attempt of twice as much.
    const longest = [500, 1_000, 2_000, 4_000, 8_000, 500];
    assert.deepEqual(
      found.map((length) => Math.round(length)),
      [0.1, 0.9, 0.5, 0.3, 0.7, 0.2].map((part, index) => part * longest[index]!),
    );
    stop.abort();
    await over;
  });
});

/** Numbers that look random and are the same in each run (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe("S4-11 many clients after a restart", () => {
  it("S4-11 2,000 clients spread evenly over the window of the first pause", async () => {
    const CLIENTS = 2_000;
    const SLICES = 10;
    const url = `ws://127.0.0.1:${await deadPort()}`;
    const clock = new ManualClock();
    const random = seeded(1);
    const stops: AbortController[] = [];
    const pauses = Array.from({ length: CLIENTS }, async () => {
      const recorder = new StateRecorder();
      const stop = new AbortController();
      stops.push(stop);
      const options = { clock, random, maxConnecting: Infinity, signal: stop.signal, state: recorder.see };
      reconnect(url, () => undefined, options).catch(() => undefined);
      const { until, why } = await recorder.until("waiting");
      return until.getTime() - why.at.getTime();
    });
    const slices = new Array<number>(SLICES).fill(0);
    for (const pause of await Promise.all(pauses)) {
      assert.ok(pause >= 0 && pause <= 500);
      slices[Math.min(Math.floor((pause / 500) * SLICES), SLICES - 1)]! += 1;
    }
    const mean = CLIENTS / SLICES;
    assert.ok(Math.max(...slices) < 1.3 * mean && Math.min(...slices) > 0.7 * mean, String(slices));
    for (const stop of stops) stop.abort();
  });

  it("S4-11 200 clients of a restarted server reconnect at their first attempt, none refused", async () => {
    const CLIENTS = 200;
    await using server = await RestartableServer.up({});
    const clock = new ManualClock();
    const random = seeded(2);
    const clients = Array.from({ length: CLIENTS }, () => {
      const recorder = new StateRecorder();
      const options = { clock, random, maxConnecting: Infinity, state: recorder.see };
      return { recorder, connection: new ReconnectingConnection(server.url, options) };
    });
    await Promise.all(clients.map(({ recorder }) => recorder.until("open")));
    await server.down();
    await Promise.all(clients.map(({ recorder }) => recorder.until("waiting")));
    const arrivals: number[] = [];
    await server.back();
    const began = clock.wallTime();
    for (let slice = 1; slice <= 10; slice += 1) {
      await clock.advance(50);
      // A client whose pause has ended is connecting: it arrives before the clock advances.
      const due = clients.filter(({ recorder }) => {
        const waiting = recorder.states.find(({ name }) => name === "waiting");
        return waiting?.name === "waiting" && waiting.until.getTime() <= clock.wallTime();
      });
      await Promise.all(due.map(({ recorder }) => recorder.until("open", 2)));
      arrivals.push(server.server?.connections.size ?? 0);
    }
    assert.equal(arrivals.at(-1), CLIENTS);
    for (const [index, there] of arrivals.entries()) {
      assert.ok(
        Math.abs(there - ((index + 1) * CLIENTS) / 10) < CLIENTS / 10,
        `after ${index + 1} slices: ${arrivals}`,
      );
    }
    assert.equal(clock.wallTime() - began, 500);
    for (const { recorder } of clients) assert.equal(recorder.names, "connecting open waiting connecting open");
    await Promise.all(clients.map(({ connection }) => connection.close()));
  });
});
