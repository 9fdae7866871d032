/** What the feed of the dashboard shows of a real server with real clients. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { NUMBER_NAMES, type NumberName, type Sample, type UpdateMessage } from "../../src/dashboard/feed.ts";
import { dashboard } from "../../src/dashboard/index.ts";
import { listen } from "../../src/index.ts";
import { Shown, Watching } from "./viewer.ts";

function numberIn(sample: Sample, name: NumberName): number | null {
  return sample[NUMBER_NAMES.indexOf(name) + 1] as number | null;
}

function sumOf({ samples }: UpdateMessage, name: NumberName): number {
  return samples.reduce((sum, sample) => sum + (numberIn(sample, name) ?? 0), 0);
}

describe("the feed of the dashboard", { timeout: 60_000 }, () => {
  it("begins with a hello, and answers the first question at once", async () => {
    await using shown = await Shown.start();
    await using viewer = await shown.view();
    const { instance, pid, scope, readOnly, workers } = viewer.hello;
    assert.match(instance, /^[0-9a-f]{32}$/);
    assert.deepEqual(
      { pid, scope, readOnly, workers },
      { pid: process.pid, scope: "server", readOnly: false, workers: false },
    );
    const update = await viewer.next();
    assert.equal(update.viewers, 1);
    assert.deepEqual(update.servers, [{ url: shown.server.url, connections: 1, opening: 0, limit: 10_000 }]);
    assert.deepEqual(
      update.connections.map(({ viewer: own, path }) => ({ own, path })),
      [{ own: true, path: "/dashboard/feed" }],
    );
  });

  it("shows the messages and bytes of a connection, and their rates", async () => {
    await using shown = await Shown.start();
    await using viewer = await shown.view();
    await viewer.next();
    await using client = await shown.client("/echo?secret=1");
    for (let sent = 0; sent < 10; sent += 1) {
      await client.send("hello");
      await client.receive();
    }
    const update = await viewer.until(
      ({ connections }) => connections.some(({ messagesInRate }) => messagesInRate > 0),
      {
        sort: "messagesIn",
        filter: "/ECHO",
      },
    );
    const [row, ...others] = update.connections;
    assert.deepEqual(others, []);
    assert.deepEqual([update.total, update.matching], [2, 1]);
    assert.deepEqual(
      { ...row, id: 0, remote: "", age: 0, messagesInRate: 0, messagesOutRate: 0, bytesInRate: 0, bytesOutRate: 0 },
      {
        ...{ id: 0, role: "server", kind: "websocket", remote: "", path: "/echo", subprotocol: "", secure: false },
        ...{ state: "OPEN", age: 0, messagesIn: 10, messagesOut: 10, bytesIn: 110, bytesOut: 70 },
        ...{ messagesInRate: 0, messagesOutRate: 0, bytesInRate: 0, bytesOutRate: 0 },
        ...{ queuedBytes: 0, queuedMessages: 0, largestQueue: row?.largestQueue, inboxBytes: 0, inboxMessages: 0 },
        ...{ rtt: null, paused: null, peerEnded: null, viewer: false },
      },
    );
    assert.equal(row?.remote, `127.0.0.1:${client.localPort}`);
  });

  it("has a sample for each second, from which the viewers are left out", async () => {
    await using shown = await Shown.start();
    await using viewer = await shown.view();
    await using client = await shown.client();
    await client.send("hello");
    await client.receive();
    const update = await viewer.until(({ samples }) => samples.length >= 2);
    for (const sample of update.samples) assert.equal(sample.length, NUMBER_NAMES.length + 1);
    const newest = update.samples.at(-1) as Sample;
    assert.equal(numberIn(newest, "serverOpen"), 1);
    assert.ok((numberIn(newest, "rss") ?? 0) > 1_000_000);
    assert.ok((numberIn(newest, "loopP50") ?? -1) >= 0);
    assert.equal(Math.round(sumOf(update, "opened")), 1);
    assert.equal(Math.round(sumOf(update, "messagesIn")), 1);
    assert.equal(Math.round(sumOf(update, "bytesOut")), 7);
    const second = newest[0] as number;
    const later = await viewer.next({ second });
    assert.deepEqual(
      later.samples.map(([at]) => at),
      [second + 1],
    );
  });

  it("shows how a connection ended, and what happened to it", async () => {
    await using shown = await Shown.start();
    await using viewer = await shown.view();
    const client = await shown.client();
    await client.close(4001, "enough");
    const { ended, ends, endCounts } = await viewer.until(
      (update) => update.ended.length > 0 && update.endCounts.length > 0,
    );
    const [row] = ended;
    const { by, cause, code, reason, path, number } = row as (typeof ended)[number];
    assert.deepEqual(
      { by, cause, code, reason, path, number },
      { by: "peer", cause: "peer", code: 4001, reason: "enough", path: "/echo", number: 1 },
    );
    assert.deepEqual(ends, { peer: 1 });
    assert.deepEqual(
      endCounts.map(([, ...facts]) => facts),
      [["peer", 1]],
    );
    const { connection, ended: newer } = await viewer.next({ connection: row?.id ?? 0, ended: 1 });
    assert.deepEqual(newer, []);
    assert.equal(connection?.row.state, "CLOSED");
    assert.deepEqual(
      connection.events.filter(({ type }) => type !== "peerEnded").map(({ type, text }) => `${type} ${text}`.trim()),
      ["open", "closing", "close peer 4001 enough"],
    );
  });

  it("explains a connection: its limits, and its socket in the kernel's table", async () => {
    await using shown = await Shown.start({}, { maxInboxMessages: 4, highWaterMark: 1_000 });
    await using viewer = await shown.view();
    await using client = await shown.client("/silent");
    for (let sent = 0; sent < 6; sent += 1) void client.send(`message ${sent}`);
    const { connections } = await viewer.until(({ connections: rows }) => rows.some(({ paused }) => paused !== null), {
      sort: "paused",
    });
    const id = connections[0]?.id ?? 0;
    assert.equal(connections[0]?.inboxMessages, 4);
    const linux = process.platform === "linux";
    const { connection } = await viewer.until((update) => !linux || update.connection?.kernel != null, {
      connection: id,
    });
    assert.deepEqual(
      connection?.events.map(({ type }) => type),
      ["open", "pause"],
    );
    const limits = new Map(connection.limits.map((limit) => [limit.name, limit]));
    assert.deepEqual(limits.get("maxInboxMessages"), { name: "maxInboxMessages", unit: "messages", limit: 4, used: 4 });
    assert.deepEqual(limits.get("highWaterMark"), { name: "highWaterMark", unit: "bytes", limit: 1_000, used: 0 });
    assert.ok((limits.get("pauseTimeout")?.used ?? -1) >= 0);
    assert.equal(limits.get("lifetime")?.limit, null);
    assert.equal(limits.get("writeTimeout")?.used, null);
    if (linux) assert.equal(connection.kernel?.state, "ESTABLISHED");
  });

  it("shows a peer that has ended while the application has not, on a TCP server of its own", async () => {
    const stuck = (): Promise<void> => new Promise(() => undefined);
    const server = await listen("tcp://127.0.0.1:0", { framing: "lines", lingerTimeout: 60_000 }, stuck);
    const panel = dashboard(server);
    const host = await listen("ws://127.0.0.1:0", { routes: { [panel.feedPath]: panel.feed } });
    await using viewer = await Watching.open(`${host.url.replace(/\/$/, "")}${panel.feedPath}`);
    const peer = connect(Number(new URL(server.url).port), "127.0.0.1");
    peer.end("hello\n");
    const { connections, samples, total } = await viewer.until(
      (update) =>
        update.connections.some(({ peerEnded }) => peerEnded !== null) &&
        update.samples.some((sample) => numberIn(sample, "peerEnded") === 1),
      { sort: "peerEnded" },
    );
    const [row] = connections;
    assert.deepEqual([total, row?.kind, row?.path, row?.messagesIn], [1, "tcp", "", 1]);
    assert.ok(samples.some((sample) => (numberIn(sample, "peerEndedAge") ?? -1) >= 0));
    const result = await viewer.act("ping", row?.id ?? 0);
    assert.equal(result.ok, false);
    peer.destroy();
    panel.close();
    await Promise.all([server, host].map((one) => one.close({ drain: 0 })));
  });
});
