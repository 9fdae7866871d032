/** The dashboard of `holdfast serve`, as a process. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connect } from "../../src/index.ts";
import { ServeProcess } from "../kit/serve-process.ts";
import { Watching } from "./viewer.ts";

const feedOf = ({ addresses }: ServeProcess): string => `${addresses.ws}/dashboard/feed`;

describe("the dashboard of holdfast serve", { concurrency: true, timeout: 240_000 }, () => {
  it("shows the connections of both protocols, and a new instance after a restart", async () => {
    const instances = [];
    for (let start = 0; start < 2; start += 1) {
      await using serving = await ServeProcess.start();
      const page = await fetch(`${serving.http}/dashboard/`);
      assert.equal(page.status, 200);
      assert.match(await page.text(), /<html/);
      await using viewer = await Watching.open(feedOf(serving));
      await using _chat = await connect(`${serving.addresses.ws}/chat`);
      await using _lines = await connect(serving.addresses.tcp ?? "", { framing: "lines" });
      const { connections, servers } = await viewer.until(({ total }) => total === 3, {
        sort: "kind",
        descending: false,
      });
      assert.deepEqual(
        connections.map(({ kind, path }) => `${kind} ${path}`),
        ["tcp ", "websocket /dashboard/feed", "websocket /chat"],
      );
      assert.deepEqual(
        servers.map(({ connections: count }) => count),
        [2, 1],
      );
      assert.deepEqual([viewer.hello.readOnly, viewer.hello.workers, viewer.hello.scope], [false, false, "process"]);
      instances.push(viewer.hello.instance);
    }
    assert.notEqual(instances[0], instances[1]);
  });

  it("says which transport the process uses, as the metrics do", async () => {
    await using serving = await ServeProcess.start("--no-tcp");
    await using viewer = await Watching.open(feedOf(serving));
    const metrics = await (await fetch(`${serving.http}/metrics`)).text();
    assert.match(metrics, new RegExp(`^holdfast_build_info\\{.*transport="${viewer.hello.transport}"\\} 1$`, "m"));
  });

  it("shows the topic of the chat", async () => {
    await using serving = await ServeProcess.start("--no-tcp");
    await using _chat = await connect(`${serving.addresses.ws}/chat`);
    await using viewer = await Watching.open(feedOf(serving));
    const { topics } = await viewer.until(({ topics: all }) => all?.[0]?.members === 1);
    assert.deepEqual(
      topics?.map(({ hub, name }) => `${hub} ${name}`),
      ["chat chat"],
    );
  });

  it("is printed with the other addresses", async () => {
    await using serving = new ServeProcess(["serve", "--port", "0", "--no-tcp"]);
    await serving.until((text) => /dashboard +http:\/\/127\.0\.0\.1:\d+\/dashboard\/\n/.test(text));
  });

  it("needs the token of --token", async () => {
    await using serving = await ServeProcess.start("--no-tcp", "--token", "a-token-of-tests");
    assert.equal((await fetch(`${serving.http}/dashboard/`)).status, 401);
    const exchanged = await fetch(`${serving.http}/dashboard/?token=a-token-of-tests`, { redirect: "manual" });
    const [cookie = ""] = exchanged.headers.getSetCookie();
    const page = await fetch(`${serving.http}/dashboard/`, { headers: { Cookie: cookie.split(";")[0] ?? "" } });
    assert.equal(page.status, 200);
    await assert.rejects(Watching.open(feedOf(serving)), { status: 401 });
    await using viewer = await Watching.open(feedOf(serving), {
      headers: { Authorization: "Bearer a-token-of-tests" },
    });
    assert.equal((await viewer.next()).total, 1);
  });

  it("refuses actions with --read-only, and says so", async () => {
    await using serving = await ServeProcess.start("--no-tcp", "--read-only");
    await using viewer = await Watching.open(feedOf(serving));
    assert.equal(viewer.hello.readOnly, true);
    await using echo = await connect(`${serving.addresses.ws}/echo`);
    const { connections } = await viewer.until(({ total }) => total === 2, { filter: "/echo" });
    const result = await viewer.act("terminate", connections[0]?.id ?? 0);
    assert.deepEqual([result.ok, result.text], [false, "read-only"]);
    await echo.ping();
  });

  it("is not there with --no-dashboard", async () => {
    await using serving = await ServeProcess.start("--no-tcp", "--no-dashboard");
    assert.equal((await fetch(`${serving.http}/dashboard/`)).status, 404);
    await assert.rejects(Watching.open(feedOf(serving)), { status: 404 });
  });

  it("shows one process with --workers, and says so", async () => {
    await using serving = await ServeProcess.start("--no-tcp", "--workers", "2");
    await using viewer = await Watching.open(feedOf(serving));
    assert.equal(viewer.hello.workers, true);
    assert.equal((await viewer.next()).total, 1);
  });
});
