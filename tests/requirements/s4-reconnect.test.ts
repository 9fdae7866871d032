/** S4-11: a client that comes back, to a server that is killed and restored twenty times, and to one that was restarted. */

import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import {
  type Connection,
  type Delivery,
  type InDoubtError,
  ReconnectingConnection,
  type ReconnectState,
  reconnect,
} from "../../src/index.js";
import { ManualClock, settled } from "../../src/testing/index.js";
import { openSockets, UNCOUNTED } from "../descriptors.js";
import { Comeback, deadPort, Watcher } from "../endpoint/reconnect-scene.js";

const KILLS = 20;
const BATCH = 16;
const MOST_WAITING = 256;

/** A client under traffic: it sends numbers, and goes on as it is answered and as its state changes. */
class Talker {
  readonly connection: ReconnectingConnection;
  readonly states: ReconnectState[] = [];
  /** By the number that was sent. `round` is how many connections there had been when its fate was known. */
  readonly fates: { readonly fate: string; readonly round: number }[] = [];
  heard = 0;
  sent = 0;
  #settled = 0;
  /** Connections that were not over when the next one was looked for. */
  overlaps = 0;
  rounds = 0;
  #former: Connection<undefined> | undefined;
  readonly #waiting: (() => void)[] = [];
  #enough = false;

  constructor(url: string, delivery: Delivery) {
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

  /** A batch at once, and the next one when half of it was answered or the state has changed; while there is nobody, a few. */
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
      ({ code, doubtful }: InDoubtError) => note(doubtful === String(number) ? code : `${code}, of another message`),
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
  readonly talkers: Readonly<Record<Delivery, Talker>>;
  /** What the server's lives have noted, in order. */
  readonly heard: Readonly<Record<Delivery, readonly Heard[]>>;
}

const PROGRAM = fileURLToPath(new URL("recording-process.js", import.meta.url));

async function born(address: string, log: string): Promise<{ child: ChildProcess; url: string }> {
  const child = fork(PROGRAM, [address, log]);
  const [url] = await once(child, "message");
  return { child, url };
}

async function killed(child: ChildProcess): Promise<void> {
  // The channel between us is a socket of ours, which is gone a little later.
  const ended = [once(child, "exit"), once(child, "disconnect")];
  child.kill("SIGKILL");
  await Promise.all(ended);
}

/** A process can be killed with half of a line written, where a page of the file ends: that message was not answered either. */
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
  let { child, url } = await born("ws://127.0.0.1:0", logs[0]!);
  const talkers = {
    "at-most-once": new Talker(`${url}/at-most-once`, "at-most-once"),
    confirmed: new Talker(`${url}/confirmed`, "confirmed"),
    resend: new Talker(`${url}/resend`, "resend"),
  };
  const all = Object.values(talkers);
  try {
    const talking = all.map((talker) => talker.talk());
    for (let life = 1; life <= KILLS; life += 1) {
      // In the middle of a batch, another one each time.
      await Promise.all(all.map((talker) => talker.answered(20 + life)));
      await killed(child);
      ({ child } = await born(url, logs[life]!));
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
    await killed(child);
  }
  await settled();
  const heard = logs.flatMap((log, life) => noted(readFileSync(log, "utf8"), life));
  rmSync(folder, { recursive: true });
  const of = (name: Delivery): Heard[] => heard.filter(({ path }) => path === name);
  return { talkers, heard: { "at-most-once": of("at-most-once"), confirmed: of("confirmed"), resend: of("resend") } };
}

/** What each life heard, without a gap: of one connection it hears all that was sent, up to where it ends. */
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

  it("S4-11 reconnects each of 20 times that the server is killed and restored", async () => {
    const { talkers, heard } = await story();
    for (const name of ["at-most-once", "confirmed", "resend"] as const) {
      assert.equal(perLife(heard[name]).filter(Boolean).length, KILLS + 1, `${name}: every life has heard something`);
      assert.equal(talkers[name].rounds, KILLS + 1, name);
      assert.equal(talkers[name].states.at(-1)?.name, "ended");
    }
  });

  it("S4-11 loses and doubles no queued message but as its policy says", async (t) => {
    const { talkers, heard } = await story();

    for (const name of ["at-most-once", "confirmed"] as const) {
      const once = talkers[name];
      const lives = perLife(heard[name]);
      let next = 0;
      let lost = 0;
      for (const [life, { first, last }] of lives.entries()) {
        assert.ok(first >= next, "nothing is doubled, and order is kept");
        for (let number = next; number < first; number += 1) {
          // Lost with a connection that had taken it: in doubt, or with a kernel that then had nobody to give it to.
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

  it("S4-11 holds one socket at the most", { skip: UNCOUNTED }, async () => {
    const { talkers } = await story();
    assert.deepEqual(
      Object.values(talkers).map(({ overlaps }) => overlaps),
      [0, 0, 0],
    );

    // And by the kernel's account: whoever is about to connect holds no socket, and the server's end was closed before.
    await using server = await Comeback.up({});
    const listening = openSockets();
    const held: number[] = [];
    const watcher = new Watcher();
    const connection = new ReconnectingConnection(server.url, {
      ...{ initialPause: 1, maxPause: 2 },
      state: (state) => {
        if (state.name === "connecting") held.push(openSockets());
        watcher.see(state);
      },
    });
    for (let round = 1; round <= KILLS; round += 1) {
      await watcher.until("open", round);
      for (const one of server.server?.connections ?? []) one.terminate();
    }
    await watcher.until("open", KILLS + 1);
    await connection.close();
    assert.deepEqual(new Set(held), new Set([listening]));
  });

  it("S4-11 waits with jitter, longer each time, and has its patience back after a good life", async () => {
    await using server = await Comeback.up({});
    const clock = new ManualClock();
    const stop = new AbortController();
    const watcher = new Watcher();
    const parts = [0.1, 0.9, 0.5, 0.3, 0.7, 0.2];
    const ended = reconnect(server.url, (connection) => connection.closed.then(() => undefined), {
      ...{ clock, signal: stop.signal, state: watcher.see, random: () => parts.shift() ?? 1 },
    });
    const over = assert.rejects(ended, { name: "AbortError" });
    const found: number[] = [];
    const pause = async (count: number): Promise<void> => {
      const { until } = await watcher.until("waiting", count);
      found.push(until.getTime() - clock.wallTime());
      await clock.advance(found.at(-1) ?? 0);
    };
    await watcher.until("open");
    await clock.advance(10_000);
    await server.crash();
    for (let count = 1; count <= 4; count += 1) await pause(count);
    await watcher.until("waiting", 5);
    await server.back();
    await pause(5);
    await watcher.until("open", 2);
    await clock.advance(10_000);
    await server.crash();
    await watcher.until("waiting", 6);
    found.push((watcher.states.at(-1) as { until: Date }).until.getTime() - clock.wallTime());
    // The loss of a connection that has lived is followed by a part of 500 ms, and each failed attempt by one of twice as much.
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

describe("S4-11 the return of many after a restart", () => {
  it("S4-11 2,000 clients spread evenly over the window of the first pause", async () => {
    const CLIENTS = 2_000;
    const SLICES = 10;
    const url = `ws://127.0.0.1:${await deadPort()}`;
    const clock = new ManualClock();
    const random = seeded(1);
    const stops: AbortController[] = [];
    const pauses = Array.from({ length: CLIENTS }, async () => {
      const watcher = new Watcher();
      const stop = new AbortController();
      stops.push(stop);
      const options = { clock, random, maxConnecting: Infinity, signal: stop.signal, state: watcher.see };
      reconnect(url, () => undefined, options).catch(() => undefined);
      const { until, why } = await watcher.until("waiting");
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

  it("S4-11 200 clients of a server that was restarted come back at their first attempt, none refused", async () => {
    const CLIENTS = 200;
    await using server = await Comeback.up({});
    const clock = new ManualClock();
    const random = seeded(2);
    const clients = Array.from({ length: CLIENTS }, () => {
      const watcher = new Watcher();
      const options = { clock, random, maxConnecting: Infinity, state: watcher.see };
      return { watcher, connection: new ReconnectingConnection(server.url, options) };
    });
    await Promise.all(clients.map(({ watcher }) => watcher.until("open")));
    await server.down();
    await Promise.all(clients.map(({ watcher }) => watcher.until("waiting")));
    const arrivals: number[] = [];
    await server.back();
    const began = clock.wallTime();
    for (let slice = 1; slice <= 10; slice += 1) {
      await clock.advance(50);
      // Whose pause is over is on the way: it arrives before time goes on.
      const due = clients.filter(({ watcher }) => {
        const waiting = watcher.states.find(({ name }) => name === "waiting");
        return waiting?.name === "waiting" && waiting.until.getTime() <= clock.wallTime();
      });
      await Promise.all(due.map(({ watcher }) => watcher.until("open", 2)));
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
    for (const { watcher } of clients) assert.equal(watcher.names, "connecting open waiting connecting open");
    await Promise.all(clients.map(({ connection }) => connection.close()));
  });
});
