/** What the dashboard's page keeps of the updates, asks for, and says about them. */

import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import {
  ENDED_KEPT,
  type EndCount,
  type EndedRow,
  type HelloMessage,
  HISTORY_SECONDS,
  NUMBER_NAMES,
  type NumberName,
  type Sample,
  type UpdateMessage,
} from "../../../src/dashboard/feed.ts";
import { feedAddress, tokenAddress } from "../../../src/dashboard/page/address.ts";
import { attentions } from "../../../src/dashboard/page/attention.ts";
import { endsByCause } from "../../../src/dashboard/page/end-bins.ts";
import { FeedHistory } from "../../../src/dashboard/page/history.ts";
import { PageState } from "../../../src/dashboard/page/state.ts";

const sample = (second: number, values: Partial<Record<NumberName, number>> = {}): Sample => [
  second,
  ...NUMBER_NAMES.map((name) => values[name] ?? 0),
];
const ended = (number: number): EndedRow => ({
  ...{ number, at: 0, id: number, role: "server", kind: "websocket", remote: "", path: "", age: 0 },
  ...{ messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0, largestQueue: 0, rtt: null },
  ...{ by: "peer", cause: "peer", code: 1000, reason: "" },
});
const update = (given: Partial<UpdateMessage> = {}): UpdateMessage => ({
  ...{ type: "update", at: 0, samples: [], endCounts: [], ends: {}, refusals: {}, memoryLimit: null, heapLimit: 1 },
  ...{ kernel: null, servers: [], connections: [], total: 0, matching: 0, ended: [], connection: null },
  ...{ groups: null, topics: null, viewers: 1, took: 0 },
  ...given,
});
const hello = (instance: string): HelloMessage => ({
  ...{ type: "hello", feed: 1, instance, version: "1", node: "v20", pid: 1, host: "here" },
  ...{ processStartedAt: 0, startedAt: 1_000, readOnly: false, workers: false, scope: "process", transport: "fast" },
});

describe("the history of the page", () => {
  let history: FeedHistory;
  beforeEach(() => {
    history = new FeedHistory();
  });

  it("keeps 10 minutes", () => {
    for (let second = 0; second < HISTORY_SECONDS + 50; second += 1) {
      history.add(update({ samples: [sample(second, { serverOpen: second })], endCounts: [[second, "peer", 1]] }));
    }
    assert.equal(history.seconds.length, HISTORY_SECONDS);
    assert.equal(history.column("serverOpen").length, HISTORY_SECONDS);
    assert.equal(history.column("serverOpen")[0], 50);
    assert.equal(history.now("serverOpen"), HISTORY_SECONDS + 49);
    assert.equal(history.endCounts[0]?.[0], 50);
  });

  it("knows the largest value, also when it has left", () => {
    history.add(update({ samples: [sample(0, { cpu: 9 }), sample(1, { cpu: 5 })] }));
    assert.equal(history.largest("cpu"), 9);
    history.add(update({ samples: [sample(2, { cpu: 12 })] }));
    assert.equal(history.largest("cpu"), 12);
    history.add(update({ samples: [sample(HISTORY_SECONDS + 2, { cpu: 7 })] }));
    assert.equal(history.largest("cpu"), 7);
  });

  it("does not count a second twice that two answers have", () => {
    const same = update({ samples: [sample(1), sample(2)], endCounts: [[2, "peer", 3]], ended: [ended(0), ended(1)] });
    history.add(same);
    history.add(same);
    assert.deepEqual(history.seconds, [1, 2]);
    assert.deepEqual(history.endCounts, [[2, "peer", 3]]);
    assert.deepEqual(
      history.ended.map(({ number }) => number),
      [1, 0],
    );
  });

  it("keeps the newest ended connections, the newest first", () => {
    history.add(update({ ended: Array.from({ length: ENDED_KEPT }, (_, at) => ended(at)) }));
    history.add(update({ ended: [ended(ENDED_KEPT)] }));
    assert.equal(history.ended.length, ENDED_KEPT);
    assert.equal(history.newestEnded, ENDED_KEPT);
    assert.equal(history.ended.at(-1)?.number, 1);
  });

  it("has the ends in bins of 10 s, the most frequent cause first, and the rare ones as one", () => {
    const counts: EndCount[] = [
      ...[[1, "peer", 9] as const, [2, "reset", 8] as const, [12, "peer", 1] as const, [13, "local", 7] as const],
      ...[[13, "shutdown", 6] as const, [13, "tls", 1] as const, [14, "codec", 2] as const],
    ];
    history.add(update({ samples: [sample(15)], endCounts: counts }));
    const { times, lines } = endsByCause(history, 0);
    assert.deepEqual(
      lines.map(({ label }) => label),
      ["peer", "reset", "local", "shutdown", "2 other causes"],
    );
    assert.deepEqual(times.slice(-2), [10, 15]);
    assert.deepEqual(lines[0]?.values.slice(-2), [9, 1]);
    assert.deepEqual(lines.at(-1)?.values.slice(-2), [0, 3]);
  });
});

describe("the state of the page", () => {
  let state: PageState;
  beforeEach(() => {
    state = new PageState();
    state.greet(hello("a"));
    state.take(update({ samples: [sample(5)], ended: [ended(3)] }));
  });

  it("asks only for what it does not have", () => {
    assert.deepEqual(state.question, { type: "next", second: 5, ended: 3, sort: "queuedBytes", descending: true });
  });

  it("asks for the connection in view, and for its later frames", () => {
    state.go("#/connection/7");
    const frame = { number: 2, at: 0, direction: "in", opcode: 1, fin: true, rsv: 0, masked: true, length: 1 } as const;
    state.take(update({ connection: { row: { id: 7 }, frames: [frame] } as unknown as UpdateMessage["connection"] }));
    assert.equal(state.question.connection, 7);
    assert.equal(state.question.frame, 2);
    state.go("#/connection/8");
    assert.equal(state.question.frame, undefined);
    assert.equal(state.detail, undefined);
  });

  it("keeps the last numbers of a connection that the server does not know any more", () => {
    state.go("#/connection/7");
    const detail = { row: { id: 7 }, frames: [] } as unknown as UpdateMessage["connection"];
    state.take(update({ connection: detail }));
    state.take(update());
    assert.equal(state.detail, detail);
  });

  it("knows that there is no connection of this id", () => {
    state.go("#/connection/7");
    state.take(update());
    assert.equal(state.detail, null);
  });

  it("begins anew when the server has, and says so", () => {
    state.greet(hello("a"));
    assert.equal(state.history.newest, 5);
    assert.equal(state.notices.length, 0);
    state.greet(hello("b"));
    assert.equal(state.history.newest, undefined);
    assert.equal(state.question.ended, undefined);
    assert.match(state.notices[0]?.text ?? "", /started again/);
  });

  it("sorts by numbers from the largest, by texts from A, and in the other direction the second time", () => {
    state.sortBy("rtt");
    assert.deepEqual([state.sort, state.descending], ["rtt", true]);
    state.sortBy("rtt");
    assert.equal(state.descending, false);
    state.sortBy("path");
    assert.deepEqual([state.sort, state.descending], ["path", false]);
  });

  it("says what came of an action", () => {
    state.await(1, "ping of connection 7");
    state.result({ type: "result", request: 1, ok: true, text: "1.2 ms" });
    assert.equal(state.notices[0]?.text, "ping of connection 7: 1.2 ms");
    state.result({ type: "result", request: 9, ok: true, text: "of another page" });
    assert.equal(state.notices.length, 1);
  });

  it("shows the overview for a fragment that it does not know", () => {
    state.go("#/nothing/here");
    assert.equal(state.view.name, "overview");
  });

  it("sorts as a link says", () => {
    assert.equal(state.go("#/connections?sort=peerEnded"), true);
    assert.equal(state.sort, "peerEnded");
    assert.equal(state.view.name, "connections");
  });
});

describe("what needs attention", () => {
  const texts = (values: Partial<Record<NumberName, number>>, given: Partial<UpdateMessage> = {}): string[] => {
    const history = new FeedHistory();
    history.add(update({ samples: [sample(1, values)] }));
    return attentions(history, update(given)).map(({ text }) => text.replace(/[\u00a0\u202f]/g, " "));
  };

  it("is nothing on a quiet server", () => assert.deepEqual(texts({ serverOpen: 10 }), []));

  it("is each thing that an operator would look for", () => {
    assert.match(
      texts({ peerEnded: 1, peerEndedAge: 61_000 })[0] ?? "",
      /^1 connection whose peer has ended.*1\.02 min/,
    );
    assert.match(texts({ slow: 2 })[0] ?? "", /^2 slow connections/);
    assert.match(texts({ loopMax: 500 })[0] ?? "", /blocked for 500 ms/);
    assert.match(texts({ overflow: 3 })[0] ?? "", /^3 messages without room/);
    assert.match(texts({ memoryHeld: 90 }, { memoryLimit: 100 })[0] ?? "", /90 B of 100 B/);
    assert.match(
      texts({}, { servers: [{ url: "ws://a", connections: 9, opening: 0, limit: 10 }] })[0] ?? "",
      /9 of at most 10/,
    );
  });

  it("is no end that is in progress", () => assert.deepEqual(texts({ peerEnded: 1, peerEndedAge: 100 }), []));
});

describe("the address of the feed", () => {
  it("is below that of the page, and has no token", () => {
    assert.equal(feedAddress({ href: "http://a:1/dashboard?token=x#/ended" }), "ws://a:1/dashboard/feed");
    assert.equal(feedAddress({ href: "https://a/admin/dashboard/" }), "wss://a/admin/dashboard/feed");
  });

  it("of a token is that of the page with it", () => {
    assert.equal(tokenAddress({ href: "https://a/dashboard?x=y#/ended" }, "a&b"), "https://a/dashboard?token=a%26b");
  });
});
