/** What the dashboard keeps at most, and what hostile peers and viewers can do to it. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { describe, it } from "node:test";
import { MAX_TEXT } from "../../src/dashboard/feed.ts";
import { History } from "../../src/dashboard/history.ts";
import { dashboard } from "../../src/dashboard/index.ts";
import { connect, isConnectionError, listen } from "../../src/index.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { Shown, Watching } from "./viewer.ts";

describe("the dashboard keeps", { timeout: 120_000 }, () => {
  it("the numbers of 600 seconds, whatever happens", () => {
    const history = new History();
    for (let second = 0; second < 10_000; second += 1) history.add(second, { opened: second });
    const samples = history.after(-1);
    assert.deepEqual([samples.length, samples[0]?.[0], samples.at(-1)?.[0]], [600, 9_400, 9_999]);
    assert.deepEqual(
      history.after(9_998).map(([second]) => second),
      [9_999],
    );
    assert.deepEqual(history.after(10_000), []);
  });

  it("no sample for seconds in which the process was blocked", () => {
    const history = new History();
    for (const second of [0, 1, 5, 6, 700]) history.add(second, { opened: 1 });
    assert.deepEqual(
      history.after(-1).map(([second]) => second),
      [700],
    );
  });

  it("one sample for each second of its clock", async () => {
    const clock = new ManualClock();
    await using shown = await Shown.start({ clock });
    for (let second = 0; second < 605; second += 1) await clock.advance(1_000);
    await using viewer = await shown.view();
    const { samples } = await viewer.next();
    assert.deepEqual(
      samples.map(([second]) => second),
      Array.from({ length: 600 }, (_, index) => index + 5),
    );
  });

  it("the last 500 ended connections", async () => {
    await using shown = await Shown.start();
    await using viewer = await shown.view();
    const answer = "HTTP/1.1 101";
    const request =
      "GET /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    const visit = async (): Promise<void> => {
      const socket = connectTcp(Number(new URL(shown.http).port), "127.0.0.1");
      socket.write(request);
      const [data] = (await once(socket, "data")) as [Buffer];
      assert.ok(data.toString().startsWith(answer));
      socket.resetAndDestroy();
    };
    for (let round = 0; round < 26; round += 1) await Promise.all(Array.from({ length: 20 }, visit));
    const update = await viewer.until(({ ends }) => (ends.reset ?? 0) + (ends["no-close-frame"] ?? 0) === 520);
    assert.equal(update.ended.length, 500);
    assert.deepEqual([update.ended[0]?.number, update.ended.at(-1)?.number], [21, 520]);
  });

  it("32 events of a connection, equal ones as one", async () => {
    await using shown = await Shown.start({}, { maxInboxMessages: 1 });
    await using viewer = await shown.view();
    await using client = await shown.client("/echo");
    const { connections } = await viewer.until(({ matching }) => matching === 1, { filter: "/echo" });
    const id = connections[0]?.id ?? 0;
    for (let round = 0; round < 20; round += 1) {
      await viewer.act("pause", id);
      await viewer.act("resume", id);
    }
    await viewer.act("ping", id);
    await viewer.act("ping", id);
    const { connection } = await viewer.next({ connection: id });
    assert.equal(connection?.events.length, 33);
    assert.deepEqual(connection.events.at(-1)?.count, 2);
    await client.ping();
  });
});

describe("a hostile peer", () => {
  it("appears with its texts as data, and shortened", async () => {
    await using shown = await Shown.start();
    await using viewer = await shown.view();
    const evil = `</script><img src=x onerror=alert(1)>"'\u202e${"y".repeat(2_000)}`;
    const client = await connect(`${shown.ws}/echo`, { headers: { "X-Evil": "<b>" } });
    await client.close(4000, `=cmd|' /c calc'!A1,"</script>\u0000`);
    const route = shown.server.route("/any/*", { message: () => undefined });
    await using _long = await connect(`${shown.ws}/any/${encodeURIComponent(evil)}`);
    const { connections, ended } = await viewer.until((update) => update.ended.length === 1 && update.matching === 1, {
      filter: "/any",
    });
    assert.equal(connections[0]?.path.length, MAX_TEXT);
    assert.equal(ended[0]?.reason, `=cmd|' /c calc'!A1,"</script>\u0000`);
    const csv = await (await fetch(`${shown.http}/dashboard/ended.csv`)).text();
    assert.ok(csv.includes(`,"'=cmd|' /c calc'!A1,""</script>\u0000"\r\n`), csv);
    const json = await fetch(`${shown.http}/dashboard/ended.json`);
    assert.equal(json.headers.get("content-type"), "application/json");
    assert.equal(((await json.json()) as { reason: string }[])[0]?.reason, ended[0]?.reason);
    route.remove();
  });
});

describe("a hostile viewer", { timeout: 60_000 }, () => {
  for (const [what, message] of [
    ["no JSON", "{"],
    ["bytes", Uint8Array.of(1, 2, 3)],
    ["a list", "[]"],
    ["an unknown type", '{"type":"dance"}'],
    ["an unknown column", '{"type":"next","sort":"__proto__"}'],
    ["a filter that is too long", JSON.stringify({ type: "next", filter: "x".repeat(300) })],
    ["an id that is none", '{"type":"next","connection":"1"}'],
    ["an unknown action", '{"type":"action","action":"explode","request":1,"connection":1}'],
  ] as const) {
    it(`is closed with 1008 for ${what}`, async () => {
      await using shown = await Shown.start();
      const viewer = await shown.view();
      await viewer.connection.send(message);
      const { code, reason } = await viewer.connection.closed;
      assert.deepEqual([code, reason], [1008, "not a message of the feed"]);
    });
  }

  it("is closed with 1009 for a large message", async () => {
    await using shown = await Shown.start();
    const viewer = await shown.view();
    await viewer.connection.send("x".repeat(5_000));
    assert.equal((await viewer.connection.closed).code, 1009);
  });

  it("is closed with 1008 for a flood, and its questions have one answer in 250 ms", async () => {
    const clock = new ManualClock();
    await using shown = await Shown.start({ clock });
    const viewer = await shown.view();
    for (let asked = 0; asked < 60; asked += 1)
      void viewer.connection.trySend(JSON.stringify({ type: "next", filter: String(asked) }));
    let updates = 0;
    const read = async (): Promise<void> => {
      for await (const text of viewer.connection) updates += JSON.parse(String(text)).type === "update" ? 1 : 0;
    };
    await assert.rejects(read(), { closeCode: 1008, reason: "too many messages" });
    assert.equal(updates, 1);
  });

  it("gets no place beyond maxViewers", async () => {
    await using shown = await Shown.start({ maxViewers: 2 });
    await using _one = await shown.view();
    await using _two = await shown.view();
    await assert.rejects(
      shown.view(),
      (error) => isConnectionError(error) && "status" in error && error.status === 503,
    );
  });
});

it("a second dashboard of the process counts for itself, and its end leaves the other", async () => {
  const server = await listen("ws://127.0.0.1:0", {
    routes: { "/echo": { message: (connection, message) => void connection.trySend(message) } },
  });
  const panels = ["/one", "/two"].map((path) => dashboard(process, { path }));
  for (const panel of panels) server.route(panel.feedPath, panel.feed);
  const url = server.url.replace(/\/$/, "");
  panels[0]?.close();
  await using viewer = await Watching.open(`${url}/two/feed`);
  await using client = await connect(`${url}/echo`);
  await client.send("x");
  await client.receive();
  const { connections } = await viewer.next({ filter: "/echo", sort: "messagesIn" });
  assert.equal(connections.find(({ role }) => role === "server")?.messagesIn, 1);
  panels[1]?.close();
  await server.close({ drain: 100 });
});
