/** Two ends and the network between them, in every order of events that the table of `engine/closing.ts` allows. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Event, endsClean, type Kind, STATES, type State, TABLES } from "../../src/engine/closing.ts";

/** What is on its way to an end, in order. `fin` is last. */
type Token = "data" | "close" | "fin";

/** One end. */
interface End {
  readonly kind: Kind;
  readonly state: State;
  /** Messages that were accepted for sending and are not with the kernel, and those that may still be sent. */
  readonly queued: number;
  readonly budget: number;
  /** A Close frame behind the queue. */
  readonly closeQueued: boolean;
  /** The queue is to be written to its end, and then `flushed` happens. */
  readonly finishing: boolean;
  /** On the way to this end. */
  readonly arriving: readonly Token[];
  /** A reset is on its way to this end. */
  readonly reset: boolean;
  /** Messages that this end's application was given. */
  readonly received: number;
  /** The reasons for which messages did not arrive, as far as this side knows. */
  readonly failed: boolean;
  readonly finSent: boolean;
  readonly finRead: boolean;
  readonly reading: boolean;
}

interface World {
  readonly ends: readonly [End, End];
  /** Messages that each kernel has accepted from its application. */
  readonly accepted: readonly [number, number];
  readonly cut: boolean;
  /** Something went wrong: an error, a limit of time, a reset, a cut. */
  readonly wrong: boolean;
  /** The side that closed first, before it knew of the other's close; both, if neither knew. */
  readonly closers: readonly (0 | 1)[];
}

const fresh = (kind: Kind): End => ({
  ...{ kind, state: "open", queued: 0, budget: 1, closeQueued: false, finishing: false, arriving: [], reset: false },
  ...{ received: 0, failed: false, finSent: false, finRead: false, reading: true },
});

const free = ({ state }: End): boolean => state === "over" || state === "aborted" || state === "released";

/** What one event does to `world`, as the connection and its kernel carry it out; undefined where the table has no entry. */
function happen(world: World, index: 0 | 1, event: Event): World | undefined {
  const before = world.ends[index];
  const step = TABLES[before.kind][before.state][event];
  if (step === undefined) return undefined;
  let end: End = { ...before, state: step.to };
  let peer: End = world.ends[1 - index] as End;
  const send = (token: Token): void => {
    if (!world.cut) peer = { ...peer, arriving: [...peer.arriving, token] };
  };
  for (const action of step.actions) {
    if (action === "begin") end = { ...end, reading: true };
    if (action === "stopReading") end = { ...end, reading: false };
    // A clean end has no cause to be blamed.
    if (action === "setCause" && !(event === "gone" && endsClean(before.kind, before.state, false))) {
      end = { ...end, failed: true };
    }
    if (action === "dropQueue" || action === "endWrites") {
      end = { ...end, failed: end.failed || end.queued > 0, queued: 0 };
    }
    if (action === "sendClose") end = { ...end, closeQueued: end.kind !== "tcp", finishing: true };
    if (action === "sendRest") end = { ...end, finishing: true };
    if (action === "sendFin") {
      assert.ok(!end.finSent, "one FIN");
      end = { ...end, finSent: true };
      send("fin");
    }
    if (action === "release" && !end.finSent) {
      end = { ...end, finSent: true };
      send("fin");
    }
    // A reset overtakes and destroys bytes on the way.
    if (action === "reset" && !world.cut) {
      const lost = peer.arriving.some((token) => token === "data");
      peer = { ...peer, reset: true, arriving: [] };
      end = { ...end, failed: end.failed || lost };
    }
  }
  if (event === "fail" || event === "abort" || event === "peerCut") end = { ...end, failed: true };
  const wrong = world.wrong || ["fail", "abort", "timeout"].includes(event);
  return { ...world, wrong, ends: index === 0 ? [end, peer] : [peer, end] };
}

function put(world: World, index: 0 | 1, change: Partial<End>): World {
  const end = { ...world.ends[index], ...change };
  return { ...world, ends: index === 0 ? [end, world.ends[1]] : [world.ends[0], end] };
}

/** What can be next for one end. `healthy`: of an application, a network and a peer that do nothing wrong, without any limit of time. */
function* nexts(world: World, index: 0 | 1, healthy: boolean): Generator<[name: string, world: World | undefined]> {
  const end = world.ends[index];
  const { state, queued, budget, arriving, reading } = end;
  if (state === "over") return;
  const name = (what: string): string => `${index} ${what}`;
  if (free(end) || (state === "bothEnded" && end.finSent)) yield [name("gone"), happen(world, index, "gone")];
  if (free(end)) return;
  if (end.reset) {
    yield [
      name("reset"),
      happen(put({ ...world, wrong: true }, index, { reset: false, failed: true, arriving: [] }), index, "gone"),
    ];
    return;
  }
  const open = state === "open" || state === "draining" || state === "halfOpen";
  if (!healthy) {
    if (open && budget > 0) yield [name("send"), put(world, index, { queued: queued + 1, budget: budget - 1 })];
    yield [name("fail"), happen(world, index, "fail")];
    yield [name("abort"), happen(world, index, "abort")];
    yield [name("drain"), happen(world, index, "drain")];
    if (!open) yield [name("timeout"), happen(world, index, "timeout")];
    if (state === "open")
      yield [name("close"), happen({ ...world, closers: [...world.closers, index] }, index, "close")];
  }
  // An application that knows of the end, or that drains, closes.
  if (state === "halfOpen") yield [name("answer"), happen(world, index, "close")];
  if (state === "draining") {
    yield [name("answer"), happen({ ...world, closers: [...world.closers, index] }, index, "close")];
  }
  // The kernel accepts the queued messages, and then the Close frame.
  if (queued > 0) {
    const accepted: [number, number] = [...world.accepted];
    accepted[index] += 1;
    const peer = 1 - index === 0 ? 0 : 1;
    const sent = put({ ...world, accepted }, index, { queued: queued - 1 });
    yield [name("write"), world.cut ? sent : put(sent, peer, { arriving: [...sent.ends[peer].arriving, "data"] })];
  } else if (end.finishing) {
    const peer = 1 - index === 0 ? 0 : 1;
    let written = put(world, index, { finishing: false, closeQueued: false });
    if (end.closeQueued && !world.cut)
      written = put(written, peer, { arriving: [...written.ends[peer].arriving, "close"] });
    yield [name("flushed"), happen(written, index, "flushed")];
  }
  // The kernel has bytes for this end.
  const [token, ...rest] = arriving;
  if (token === undefined || !reading) return;
  const taken = put(world, index, { arriving: rest });
  if (token === "data") yield [name("data"), put(taken, index, open ? { received: end.received + 1 } : {})];
  else if (token === "close") yield [name("peerClose"), happen(taken, index, "peerClose") ?? taken];
  else yield [name("peerEnd"), happen(put(taken, index, { finRead: true }), index, "peerEnd") ?? taken];
}

const keyOf = (world: World): string => JSON.stringify(world);

interface Reached {
  readonly world: World;
  readonly path: string;
}

/** All that can be reached, breadth first: the shortest way to each. */
function explore(from: World, healthy: boolean): Map<string, Reached> {
  const known = new Map<string, Reached>([[keyOf(from), { world: from, path: "" }]]);
  for (const { world, path } of known.values()) {
    for (const [name, next] of steps(world, healthy)) {
      const key = keyOf(next);
      if (!known.has(key)) known.set(key, { world: next, path: `${path}, ${name}` });
    }
  }
  return known;
}

function* steps(world: World, healthy: boolean): Generator<[string, World]> {
  for (const index of [0, 1] as const) {
    for (const [name, next] of nexts(world, index, healthy)) if (next !== undefined) yield [name, next];
  }
  if (!healthy && !world.cut) {
    const [one, other] = world.ends;
    yield [
      "cut",
      {
        ...world,
        cut: true,
        wrong: true,
        ends: [
          { ...one, arriving: [] },
          { ...other, arriving: [] },
        ],
      },
    ];
  }
}

const isOver = ({ ends: [one, other] }: World): boolean => one.state === "over" && other.state === "over";

for (const [name, kinds] of [
  ["framed TCP", ["tcp", "tcp"]],
  ["WebSocket", ["server", "client"]],
] as const) {
  describe(`two ends of ${name}`, () => {
    const start: World = {
      ends: [fresh(kinds[0]), fresh(kinds[1])],
      accepted: [0, 0],
      cut: false,
      wrong: false,
      closers: [],
    };
    const all = explore(start, false);

    it(`are in no state from which they cannot both end: all that can be reached`, (context) => {
      // Backwards from the ends.
      const before = new Map<string, string[]>();
      for (const [key, { world }] of all) {
        for (const [, next] of steps(world, false)) {
          const to = keyOf(next);
          before.set(to, [...(before.get(to) ?? []), key]);
        }
      }
      const ends = [...all].filter(([, { world }]) => isOver(world)).map(([key]) => key);
      const good = new Set(ends);
      const queue = [...ends];
      for (let key = queue.pop(); key !== undefined; key = queue.pop()) {
        for (const previous of before.get(key) ?? []) {
          if (good.has(previous)) continue;
          good.add(previous);
          queue.push(previous);
        }
      }
      for (const [key, { path }] of all) assert.ok(good.has(key), `stuck: ${path}`);
      const used = new Set([...all.values()].flatMap(({ world }) => world.ends.map(({ state }) => state)));
      context.diagnostic(
        `${all.size} states of two ends, ${ends.length} of them over, ${used.size} of the table's states`,
      );
      const unused = Object.keys(STATES).filter((state) => !used.has(state as State));
      // Of a WebSocket no direction ends alone, and a framed TCP connection has no Close frame.
      const expected =
        name === "WebSocket" ? ["halfOpen", "ended"] : ["closingAnswered", "waiting", "exchanged", "endedExchanged"];
      assert.deepEqual(unused, expected);
    });

    it("end by themselves once one of them closes, without any limit of time, if the network lives", () => {
      for (const { world, path } of all.values()) {
        if (world.cut || world.ends.every(({ state }) => state === "open" || state === "draining")) continue;
        let at = world;
        for (let count = 0; !isOver(at); count += 1) {
          const [next] = [...steps(at, true)];
          assert.ok(next !== undefined && count < 100, `waits for ever: ${path}: ${JSON.stringify(at)}`);
          [, at] = next;
        }
      }
    });

    it("lose no message that a kernel has accepted, unless one of them has an error or had closed before it arrived", () => {
      for (const { world, path } of all.values()) {
        if (!isOver(world)) continue;
        for (const index of [0, 1] as const) {
          const [end, peer] = [world.ends[index], world.ends[1 - index] as End];
          const lost = (world.accepted[index] as number) - peer.received;
          if (lost === 0 || end.failed || peer.failed || world.cut) continue;
          // As in browsers: a message that arrives after its receiver has closed is not delivered, and the close reports that.
          assert.ok(
            world.closers.includes((1 - index) as 0 | 1) || /drain/.test(path),
            `lost without an error: ${path}`,
          );
        }
      }
    });

    it("deliver everything that one of them sends before its close, if nothing fails", (context) => {
      let count = 0;
      for (const { world, path } of all.values()) {
        const [closer, other] = world.closers;
        if (!isOver(world) || world.wrong || closer === undefined || other !== undefined) continue;
        const receiver = world.ends[1 - closer] as End;
        assert.equal(receiver.received, world.accepted[closer], path);
        count += world.accepted[closer] as number;
      }
      context.diagnostic(`${count} messages followed`);
      assert.ok(count > 0);
    });

    it("end clean on both sides, without a reset, if nothing goes wrong", (context) => {
      let count = 0;
      for (const { world, path } of all.values()) {
        if (world.wrong) continue;
        for (const { kind, state, failed } of world.ends) {
          assert.ok(!failed && state !== "aborted" && state !== "released", path);
          if (state === "bothEnded") assert.ok(endsClean(kind, state, false), path);
        }
        count += 1;
      }
      context.diagnostic(`${count} states in which nothing went wrong`);
      assert.ok(count > 100);
    });
  });
}

it("no state is entered again once it was left", () => {
  for (const kind of ["tcp", "server", "client"] as const) {
    const order = Object.keys(STATES);
    for (const [from, row] of Object.entries(TABLES[kind])) {
      for (const [event, { to }] of Object.entries(row)) {
        assert.ok(order.indexOf(to) >= order.indexOf(from), `${kind}: ${from} goes back to ${to} on ${event}`);
      }
    }
  }
});
