/** What a viewer can do to a connection, with real clients. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ConnectionDetail } from "../../src/dashboard/feed.ts";
import type { Connection } from "../../src/index.ts";
import { Shown, type Watching } from "./viewer.ts";

/** The id that the server has for the only connection of a path. */
async function idOf(viewer: Watching, path: string): Promise<number> {
  const { connections } = await viewer.until(({ matching }) => matching === 1, { filter: path });
  return connections[0]?.id ?? 0;
}

async function detail(viewer: Watching, id: number, frame = 0): Promise<ConnectionDetail> {
  const { connection } = await viewer.next({ connection: id, frame });
  assert.ok(connection);
  return connection;
}

describe("an action of the dashboard", { timeout: 120_000 }, () => {
  it("ping measures the round trip, which the row then has", async () => {
    await using shown = await Shown.start();
    await using viewer = await shown.view();
    await using _client = await shown.client();
    const id = await idOf(viewer, "/echo");
    const { ok, rtt = -1, text } = await viewer.act("ping", id);
    assert.ok(ok && rtt >= 0, text);
    const { row, events } = await detail(viewer, id);
    assert.ok(row.rtt !== null && Math.abs(row.rtt - rtt) < 0.01);
    assert.deepEqual(
      events.map(({ type, text: what }) => `${type} ${what}`),
      ["open ", "action ping"],
    );
  });

  it("pause stops reading until resume, also beyond pauseTimeout", async () => {
    await using shown = await Shown.start({}, { pauseTimeout: 50 });
    await using viewer = await shown.view();
    await using client = await shown.client();
    const id = await idOf(viewer, "/echo");
    assert.ok((await viewer.act("pause", id)).ok);
    await client.send("later");
    await assert.rejects(client.receive({ timeout: 200 }), { limit: "timeout" });
    const { row, pausedByViewer } = await detail(viewer, id);
    assert.ok(pausedByViewer && row.paused !== null && row.state === "OPEN");
    assert.ok((await viewer.act("resume", id)).ok);
    assert.equal(await client.receive(), "later");
    assert.equal((await detail(viewer, id)).row.paused, null);
  });

  it("pause ends when its viewer leaves", async () => {
    await using shown = await Shown.start();
    await using client = await shown.client();
    {
      await using viewer = await shown.view();
      assert.ok((await viewer.act("pause", await idOf(viewer, "/echo"))).ok);
      await client.send("later");
    }
    assert.equal(await client.receive(), "later");
  });

  it("a paused connection closes in order", async () => {
    await using shown = await Shown.start();
    await using viewer = await shown.view();
    const client = await shown.client();
    const id = await idOf(viewer, "/echo");
    assert.ok((await viewer.act("pause", id)).ok);
    assert.ok((await viewer.act("close", id, { code: 4000, reason: "by hand" })).ok);
    const { code, reason, wasClean, by } = await client.closed;
    assert.deepEqual({ code, reason, wasClean, by }, { code: 4000, reason: "by hand", wasClean: true, by: "peer" });
    const { ended } = await viewer.until((update) => update.ended.length === 1);
    assert.deepEqual([ended[0]?.by, ended[0]?.cause, ended[0]?.code], ["local", "local", 4000]);
  });

  it("close refuses a code that is not allowed", async () => {
    await using shown = await Shown.start();
    await using viewer = await shown.view();
    await using client = await shown.client();
    const id = await idOf(viewer, "/echo");
    const { ok, text } = await viewer.act("close", id, { code: 1006 });
    assert.deepEqual([ok, /1006/.test(text)], [false, true]);
    await client.ping();
  });

  it("terminate ends at once", async () => {
    await using shown = await Shown.start();
    await using viewer = await shown.view();
    const client = await shown.client();
    const id = await idOf(viewer, "/echo");
    assert.ok((await viewer.act("terminate", id)).ok);
    assert.equal((await client.closed).code, 1006);
    const { ended } = await viewer.until((update) => update.ended.length === 1);
    assert.equal(ended[0]?.cause, "terminate");
    assert.deepEqual(await viewer.act("ping", id), {
      type: "result",
      request: 2,
      ok: false,
      text: "this connection has ended",
    });
  });

  it("trace records frames of both directions without their payload, until untrace", async () => {
    await using shown = await Shown.start();
    await using viewer = await shown.view();
    await using client = await shown.client();
    const id = await idOf(viewer, "/echo");
    assert.equal((await detail(viewer, id)).traced, false);
    assert.ok((await viewer.act("trace", id)).ok);
    await echo(client, "hello");
    await echo(client, "x".repeat(100_000));
    const { frames, traced } = await detail(viewer, id);
    assert.ok(traced);
    assert.deepEqual(
      frames.map(({ number, direction, opcode, fin, masked, length }) => [
        number,
        direction,
        opcode,
        fin,
        masked,
        length,
      ]),
      [
        [1, "in", 1, true, true, 5],
        [2, "out", 1, true, false, 5],
        [3, "in", 1, true, true, 100_000],
        [4, "out", 1, true, false, 100_000],
      ],
    );
    assert.deepEqual(
      (await detail(viewer, id, 3)).frames.map(({ number }) => number),
      [4],
    );
    assert.ok((await viewer.act("untrace", id)).ok);
    await echo(client, "unseen");
    const after = await detail(viewer, id);
    assert.deepEqual([after.traced, after.frames], [false, []]);
  });

  it("keeps the last 200 frames, and a trace ends with the last viewer", async () => {
    await using shown = await Shown.start();
    await using client = await shown.client();
    {
      await using viewer = await shown.view();
      const id = await idOf(viewer, "/echo");
      await viewer.act("trace", id);
      for (let sent = 0; sent < 150; sent += 1) await echo(client, "x");
      const { frames } = await detail(viewer, id);
      assert.deepEqual([frames.length, frames.at(-1)?.number], [200, 300]);
    }
    await using viewer = await shown.view();
    assert.equal((await detail(viewer, await idOf(viewer, "/echo"))).traced, false);
  });
});

async function echo(client: Connection, message: string): Promise<void> {
  await client.send(message);
  assert.equal(await client.receive(), message);
}
