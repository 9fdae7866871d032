/** `holdfast top URL`: the connections of a server from the feed of its dashboard, here a scripted one. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { FeedSource, feedUrl } from "../../../src/cli/top/feed-source.ts";
import type { TopView } from "../../../src/cli/top/table.ts";
import {
  type ConnectionRow,
  FEED_VERSION,
  type HelloMessage,
  type NextMessage,
  NUMBER_NAMES,
  type UpdateMessage,
} from "../../../src/dashboard/feed.ts";
import { dashboard } from "../../../src/dashboard/index.ts";
import { type Connection, connect, listen, type Server } from "../../../src/index.ts";
import { ChildProgram, type Exit } from "../../kit/child-process.ts";

const MAIN = fileURLToPath(new URL("../../../src/cli/main.js", import.meta.url));

const HELLO: HelloMessage = {
  ...{
    type: "hello",
    feed: FEED_VERSION,
    instance: "i",
    version: "1.2.3",
    node: "v22.0.0",
    pid: 42,
    host: "box\u001b[2J",
  },
  ...{ processStartedAt: 0, startedAt: 0, readOnly: true, workers: false, scope: "process", transport: "fast" },
};

const ROW: ConnectionRow = {
  ...{
    id: 1,
    role: "server",
    kind: "websocket",
    remote: "10.0.0.1:5000",
    path: "/chat",
    subprotocol: "",
    secure: false,
  },
  ...{ state: "OPEN", age: 65_000, messagesIn: 10, messagesOut: 20, bytesIn: 1, bytesOut: 2, messagesInRate: 3 },
  ...{ messagesOutRate: 1_500, bytesInRate: 5, bytesOutRate: 6, queuedBytes: 2_048, queuedMessages: 1 },
  ...{ largestQueue: 0, inboxBytes: 0, inboxMessages: 0, rtt: 1.25, paused: null, peerEnded: null, viewer: false },
};

const sample = (second: number): number[] => [
  second,
  ...NUMBER_NAMES.map((name) => (name === "messagesIn" ? 1_234 : 0)),
];

function update(rows: readonly ConnectionRow[], second = 7): UpdateMessage {
  return {
    ...{ type: "update", at: 0, samples: [sample(second)], endCounts: [], ends: {}, refusals: {}, memoryLimit: null },
    ...{ heapLimit: 1, kernel: null, servers: [], connections: rows, total: 70, matching: 60, ended: [] },
    ...{ connection: null, groups: null, topics: null, viewers: 1, took: 1 },
  };
}

interface FeedServer extends AsyncDisposable {
  readonly url: string;
  /** The questions that were asked, in order. */
  readonly asked: readonly NextMessage[];
  readonly authorization: readonly (string | undefined)[];
}

async function feedServer(
  answer: (question: NextMessage, connection: Connection) => unknown,
  hello: unknown = HELLO,
): Promise<FeedServer> {
  const asked: NextMessage[] = [];
  const authorization: (string | undefined)[] = [];
  const server: Server & AsyncDisposable = await listen(
    "ws://127.0.0.1:0/dashboard/feed",
    {
      open: (_, request) => void authorization.push(request?.headers["authorization"]),
    },
    async (connection) => {
      await connection.send(JSON.stringify(hello));
      for await (const text of connection) {
        const question = JSON.parse(String(text)) as NextMessage;
        asked.push(question);
        const given = answer(question, connection);
        if (given !== undefined) await connection.send(JSON.stringify(given));
      }
    },
  );
  const url = new URL(server.url);
  return { url: `ws://${url.host}`, asked, authorization, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

const top = (...args: readonly string[]): Promise<Exit> => ChildProgram.run(MAIN, ["top", ...args], { stderr: "kept" });

const VIEW: TopView = { sort: "queuedBytes", reverse: false, filter: "" };

async function opened(t: TestContext, url: string): Promise<FeedSource> {
  const source = await FeedSource.open(url, { token: undefined, insecure: false, ca: undefined });
  t.after(() => source.close());
  return source;
}

describe("holdfast top URL", { timeout: 120_000, concurrency: 2 }, () => {
  it("prints the connections of the server in its order, with the token", async () => {
    await using server = await feedServer(() =>
      update([
        { ...ROW, path: "/\u001b[2J" },
        { ...ROW, id: 2 },
      ]),
    );
    const { status, stdout, stderr } = await top(server.url, "--token", "a-token-of-tests", "--interval", "100ms");
    assert.equal(stderr, "");
    assert.equal(status, 0);
    const [first = "", second = "", , heading = "", ...rows] = stdout.split("\n");
    assert.match(
      first,
      /^process 42 on box\\x1b\[2J: 70 connections, 60 with this filter; holdfast 1\.2\.3, Node v22\.0\.0$/,
    );
    assert.match(second, /^in 1\.2k\/s /);
    assert.match(heading, /^ +ID REMOTE +PATH +QUEUEv +IN\/S +OUT\/S +RTT +AGE /);
    assert.match(rows[0] ?? "", /^ +1 10\.0\.0\.1:5000 +\/\\x1b\[2J +2\.0k +3 +1\.5k +1\.3ms +1m05s /);
    assert.deepEqual(server.authorization, ["Bearer a-token-of-tests"]);
    assert.deepEqual(
      server.asked.map(({ type, sort, descending, second: seen }) => [type, sort, descending, seen]),
      [
        ["next", "queuedBytes", true, undefined],
        ["next", "queuedBytes", true, 7],
      ],
    );
  });

  it("asks for the order and the filter, and prints JSON", async () => {
    await using server = await feedServer(() => update([ROW]));
    const flags = ["--sort", "remote", "--filter", "chat", "--json", "--interval", "100ms"];
    const { stdout } = await top(`${server.url.replace("ws", "http")}/dashboard/`, ...flags);
    const { rows, total } = JSON.parse(stdout) as { readonly rows: readonly unknown[]; readonly total: number };
    assert.equal(total, 70);
    assert.equal(rows.length, 1);
    const { sort, descending, filter } = server.asked[0] ?? {};
    assert.deepEqual({ sort, descending, filter }, { sort: "remote", descending: false, filter: "chat" });
  });

  it("says why there is no table, with status 1 or 2", async () => {
    await using other = await feedServer(() => undefined, { type: "hello", feed: FEED_VERSION + 1 });
    await using none = await listen("ws://127.0.0.1:0/other", ({ closed }) => void closed);
    await using closing = await feedServer((_, connection) => void connection.close(1013, "full\u001b[2J"));
    const cases: readonly [readonly string[], number, RegExp][] = [
      [
        [other.url],
        1,
        /^holdfast: the server has no feed that this version can read: use the version of the server\n$/,
      ],
      [[new URL("/", none.url).href], 1, /^holdfast: .*404/],
      [[closing.url], 1, /^holdfast: .*1013.*full\\x1b\[2J/],
      [["ftp://127.0.0.1"], 2, /^holdfast: Cannot use address "ftp:\/\/127\.0\.0\.1\/dashboard\/feed"/],
    ];
    for (const [args, expected, text] of cases) {
      const { status, stderr } = await top(...args);
      assert.match(stderr, text);
      assert.equal(status, expected);
    }
  });

  it("has the answer to a changed view at once, and the next one is not out of date", async (t) => {
    await using server = await feedServer(({ filter = "", second }) =>
      // As the feed does: the first question is answered at once, a repeated one at the next second.
      second === undefined || filter !== "" ? update([{ ...ROW, path: `/${filter}` }]) : undefined,
    );
    const source = await opened(t, server.url);
    assert.equal((await source.read(VIEW)).rows[0]?.["path"], "/");
    const reading = source.read(VIEW);
    source.changed({ ...VIEW, filter: "chat" });
    assert.equal((await reading).rows[0]?.["path"], "/chat");
    assert.equal((await source.read({ ...VIEW, filter: "news" })).rows[0]?.["path"], "/news");
  });

  it("keeps the numbers of the last second where an answer has none", async (t) => {
    await using server = await feedServer(({ second }) =>
      second === undefined ? update([]) : { ...update([]), samples: [] },
    );
    const source = await opened(t, server.url);
    const [first, second] = [await source.read(VIEW), await source.read(VIEW)];
    assert.match(first.summary[1] ?? "", /^in 1\.2k\/s /);
    assert.deepEqual(second.summary, first.summary);
    assert.equal(server.asked[1]?.second, 7);
  });

  it("asks once for many changes: the feed ends a viewer that asks too often", async (t) => {
    await using server = await feedServer(({ filter = "" }) =>
      filter === "" ? undefined : update([{ ...ROW, path: `/${filter}` }]),
    );
    const source = await opened(t, server.url);
    const reading = source.read(VIEW);
    for (let count = 1; count <= 300; count += 1) source.changed({ ...VIEW, filter: "x".repeat(count % 60) + count });
    assert.equal((await reading).rows[0]?.["path"], "/300");
    assert.equal(server.asked.length, 2);
  });

  it("ignores values of a wrong type", async (t) => {
    const wrong = { ...ROW, queuedBytes: "many", rtt: {}, path: 7 };
    await using server = await feedServer(() => update([wrong as unknown as ConnectionRow]));
    const { rows } = await (await opened(t, server.url)).read(VIEW);
    assert.equal(rows[0]?.["queuedBytes"], undefined);
    assert.equal(rows[0]?.["rtt"], undefined);
    assert.equal(rows[0]?.["path"], "7");
  });
});

describe("holdfast top URL with a dashboard of this library", { timeout: 120_000 }, () => {
  it("shows its connections, with the token only", async () => {
    const panel = dashboard(process, { token: "a-token-of-tests" });
    await using server = await listen("ws://127.0.0.1:0", {
      open: () => undefined,
      message: (connection, message) => void connection.trySend(message),
      routes: { [panel.feedPath]: panel.feed },
      fetch: (request, info) => panel.fetch(request, info) ?? new Response("", { status: 404 }),
    });
    const url = new URL(server.url);
    const client = await connect(`ws://${url.host}/`);
    const { status, stdout, stderr } = await top(
      `http://${url.host}`,
      "--token",
      "a-token-of-tests",
      "--interval",
      "100ms",
    );
    assert.equal(stderr, "");
    assert.equal(status, 0);
    assert.match(stdout, new RegExp(`^process ${process.pid} on .*: \\d+ connections; holdfast .*, Node v`));
    assert.match(stdout, new RegExp(`^ +\\d+ ${client.localAddress}:${client.localPort} +/ `, "m"));
    const refused = await top(`http://${url.host}`, "--token", "wrong");
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /^holdfast: .*40[13]/);
    await client.close();
    panel.close();
  });
});

describe("the address of a feed", () => {
  it("is that of the server, of the dashboard or of the feed", () => {
    for (const [given, expected] of [
      ["ws://box:9000", "ws://box:9000/dashboard/feed"],
      ["http://box:9000/", "ws://box:9000/dashboard/feed"],
      ["https://box/ops/dashboard/", "wss://box/ops/dashboard/feed"],
      ["wss://box/dashboard/feed", "wss://box/dashboard/feed"],
      ["ws://box/?token=x", "ws://box/dashboard/feed?token=x"],
    ] as const)
      assert.equal(feedUrl(given), expected);
  });
});
