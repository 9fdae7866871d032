/** The dashboard in servers of an application, and the programs of its document. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { dashboard } from "../../src/dashboard/index.ts";
import { attach, Group, Hub, listen } from "../../src/index.ts";
import { ChildProgram } from "../kit/child-process.ts";
import { Shown, Watching } from "./viewer.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

describe("a dashboard behind an application's own login", () => {
  it("works with node:http and attach", async () => {
    const panel = dashboard(process, {
      path: "/admin/connections",
      hosts: ["example.com"],
      authorize: ({ headers }) => headers["cookie"] === "user=admin",
    });
    const http = createServer((request, response) => {
      if (!panel.request(request, response)) response.end("the application\n");
    });
    const server = attach(http, { path: panel.feedPath, ...panel.feed });
    await once(http.listen(0, "127.0.0.1"), "listening");
    const { port } = http.address() as AddressInfo;
    const url = `http://127.0.0.1:${port}/admin/connections`;
    const login = { headers: { Cookie: "user=admin" } };
    assert.equal((await fetch(`${url}/servers.json`)).status, 403);
    const page = await fetch(`${url}/`, login);
    assert.match(String(page.headers.get("content-type")), /^text\/html/);
    assert.match(await page.text(), /<html/);
    assert.match(String(page.headers.get("content-security-policy")), /script-src 'sha256-/);
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/`)).text(), "the application\n");
    await assert.rejects(Watching.open(`ws://127.0.0.1:${port}/admin/connections/feed`), { status: 403 });
    const viewer = await Watching.open(`ws://127.0.0.1:${port}/admin/connections/feed`, login);
    const { servers } = await viewer.next();
    assert.ok(servers.some((one) => one.url === `ws://127.0.0.1:${port}/admin/connections/feed`));
    panel.close();
    await viewer.connection.closed;
    await server.close();
    http.close();
  });
});

it("a route of a server with other options serves the feed", async () => {
  const panel = dashboard(process);
  const server = await listen("ws://127.0.0.1:0", {
    ...{ messageType: "bytes", compression: true, origin: "any", maxMessageSize: 10, trace: true },
    ...{ observe: () => undefined, message: () => undefined, maxQueuedBytes: 1_000 },
    routes: { [panel.feedPath]: panel.feed },
  });
  const viewer = await Watching.open(`${server.url.replace(/\/$/, "")}${panel.feedPath}`);
  assert.equal((await viewer.next({ filter: "a filter of more than ten bytes" })).matching, 0);
  panel.close();
  await server.close();
});

it("a closed dashboard answers with 503, and takes no viewer", async () => {
  await using shown = await Shown.start();
  shown.panel.close();
  for (const path of ["/", "/servers.json", "/feed"])
    assert.equal((await fetch(`${shown.http}/dashboard${path}`)).status, 503, path);
  await assert.rejects(Watching.open(`${shown.server.url}/dashboard/feed`), { status: 503 });
});

it("groups and topics that have names are shown with their members", async () => {
  const [group, hub] = [new Group(), new Hub()];
  await using shown = await Shown.start({ groups: { lobby: group }, hubs: { main: hub } });
  await using viewer = await shown.view();
  await using client = await shown.client("/silent");
  await viewer.until(({ total }) => total === 2);
  for (const connection of shown.server.connections) {
    if (connection.url.includes("silent")) {
      group.join(connection);
      await hub.topic("news").join(connection);
    }
  }
  await hub.topic("news").publish("hello");
  await client.receive();
  const { groups, topics } = await viewer.next({ sort: "age" });
  assert.deepEqual(groups, [{ name: "lobby", members: 1 }]);
  assert.deepEqual(
    topics?.map(({ hub: of, name, members, behind }) => ({ of, name, members, behind })),
    [{ of: "main", name: "news", members: 1, behind: 0 }],
  );
  await hub.close();
});

it("the program of docs/dashboard.md shows itself", async () => {
  const [, text = ""] = /^```js\n([\s\S]*?)^```$/m.exec(readFileSync(join(ROOT, "docs/dashboard.md"), "utf8")) ?? [];
  const folder = join(ROOT, ".cache/dashboard-document");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, "program.mjs");
  assert.ok(text.includes(":9000"));
  writeFileSync(file, text.replace(":9000", ":0"));
  await using program = new ChildProgram(file, []);
  await program.until((written) => written.includes("\n"));
  const url = program.stdout.trim();
  assert.match(await (await fetch(url)).text(), /<html/);
  await using viewer = await Watching.open(`${url.replace("http", "ws")}feed`);
  assert.notEqual(viewer.hello.pid, process.pid);
  assert.equal((await viewer.next()).total, 1);
});

describe("dashboard()", () => {
  for (const [what, call, error] of [
    ["an object that is no server", () => dashboard({} as never), TypeError],
    ["a path without a slash", () => dashboard(process, { path: "dashboard" }), TypeError],
    ["a path that ends with a slash", () => dashboard(process, { path: "/dashboard/" }), TypeError],
    ["an empty token", () => dashboard(process, { token: "" }), RangeError],
    ["a token with a space", () => dashboard(process, { token: "with a space in it" }), RangeError],
    ["a token that can be guessed", () => dashboard(process, { token: "fifteen-letters" }), RangeError],
    [
      "both token and authorize",
      () => dashboard(process, { token: "a-token-of-tests", authorize: () => true }),
      TypeError,
    ],
    ["an unknown option", () => dashboard(process, { readonly: true } as never), TypeError],
    ["too many viewers", () => dashboard(process, { maxViewers: 101 }), RangeError],
    ["a group that is none", () => dashboard(process, { groups: { a: 1 } } as never), TypeError],
    ["a hub that is none", () => dashboard(process, { hubs: { a: {} } } as never), TypeError],
  ] as const) {
    it(`refuses ${what}`, () => assert.throws(call, error));
  }

  it("takes an explicit undefined as absent", () => {
    dashboard(process, { path: undefined, token: undefined, hosts: undefined, maxViewers: undefined }).close();
  });
});
