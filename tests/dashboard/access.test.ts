/** Who may read the dashboard: by address, token, Host and Origin, with real requests. */

import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { networkInterfaces } from "node:os";
import { describe, it } from "node:test";
import { dashboard } from "../../src/dashboard/index.ts";
import { pageOf } from "../../src/dashboard/page.ts";
import { listen } from "../../src/index.ts";
import { Shown, Watching } from "./viewer.ts";

const TOKEN = "a-token-of-tests";

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** A request with any Host, which `fetch` does not send. */
async function get(
  url: string,
  headers: Readonly<Record<string, string>> = {},
  method: string = "GET",
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { headers, method, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    });
    request.on("error", reject).end();
  });
}

/** The status of the answer to an opening handshake. `connect` does not send any Host. */
async function statusOfFeed(shown: Shown, headers: Readonly<Record<string, string>>): Promise<number> {
  const handshake = {
    ...{ Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13" },
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
  };
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${shown.http}/dashboard/feed`, {
      headers: { ...headers, ...handshake },
      agent: false,
    });
    request.on("upgrade", (_, socket) => {
      socket.destroy();
      resolve(101);
    });
    request.on("response", (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    request.on("error", reject).end();
  });
}

describe("a dashboard without a token", () => {
  for (const [what, headers, status] of [
    ["the address of the server", {}, 200],
    ["localhost", { Host: "localhost:9000" }, 200],
    ["another address of the machine", { Host: "192.168.7.7:9000" }, 200],
    ["an IPv6 address", { Host: "[::1]:9000" }, 200],
    ["a name that resolves to this machine", { Host: "evil.example:9000" }, 421],
    ["a name that begins as an address", { Host: "127.0.0.1.evil.example" }, 421],
    ["a Host with a user", { Host: "localhost@evil.example" }, 421],
    ["a page of another origin", { Origin: "https://evil.example" }, 403],
    ["a page of another port", { Origin: "http://127.0.0.1:1" }, 403],
    ["a sandboxed page", { Origin: "null" }, 403],
    ["a proxy with X-Forwarded-For", { "X-Forwarded-For": "127.0.0.1" }, 403],
    ["a proxy with Forwarded", { Forwarded: "for=127.0.0.1" }, 403],
  ] as const) {
    it(`answers a request of ${what} with ${status}, and the feed likewise`, async () => {
      await using shown = await Shown.start();
      const table = await get(`${shown.http}/dashboard/servers.json`, headers);
      // A Host with a user is no valid one.
      if (what === "a Host with a user") assert.ok([400, 421].includes(table.status));
      else assert.equal(table.status, status);
      const feed = await statusOfFeed(shown, headers);
      if (what === "a Host with a user") assert.ok(feed >= 400);
      else assert.equal(feed, status === 200 ? 101 : status);
    });
  }

  const own = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ internal, family }) => !internal && family === "IPv4")?.address;

  it("refuses clients on other machines", { skip: own === undefined && "no other address" }, async () => {
    let panel: ReturnType<typeof dashboard> | undefined;
    const server = await listen("ws://0.0.0.0:0", {
      fetch: (request, info) => panel?.fetch(request, info) ?? new Response("elsewhere"),
    });
    panel = dashboard(server);
    server.route(panel.feedPath, panel.feed);
    const port = new URL(server.url).port;
    const refused = await get(`http://${own}:${port}/dashboard/`);
    assert.deepEqual(
      [refused.status, refused.text],
      [403, "without a token the dashboard is only for clients on its machine\n"],
    );
    await assert.rejects(Watching.open(`ws://${own}:${port}/dashboard/feed`), { status: 403 });
    assert.equal((await get(`http://127.0.0.1:${port}/dashboard/servers.json`)).status, 200);
    panel.close();
    await server.close({ drain: 0 });
  });

  it("accepts names in hosts", async () => {
    await using shown = await Shown.start({ hosts: ["Admin.example.com"] });
    assert.equal((await get(`${shown.http}/dashboard/servers.json`, { Host: "admin.example.com:80" })).status, 200);
  });
});

describe("a dashboard with a token", () => {
  it("needs it as Bearer or as the cookie that the page gets for it", async () => {
    await using shown = await Shown.start({ token: TOKEN }, { trustProxy: ["127.0.0.0/8"] });
    const url = `${shown.http}/dashboard`;
    const forwarded = { "X-Forwarded-For": "203.0.113.7" };
    const without = await get(`${url}/servers.json`);
    assert.deepEqual([without.status, without.headers["www-authenticate"]], [401, "Bearer"]);
    assert.equal((await get(`${url}/?token=wrong-token`)).status, 401);
    assert.equal((await get(`${url}/servers.json`, { Authorization: "Bearer wrong-token" })).status, 401);
    assert.equal((await get(`${url}/servers.json`, { Authorization: `Bearer ${TOKEN}`, ...forwarded })).status, 200);
    // Only the page exchanges it.
    assert.equal((await get(`${url}/servers.json?token=${TOKEN}`)).status, 401);
    const exchanged = await get(`${url}/?token=${TOKEN}`, forwarded);
    assert.deepEqual([exchanged.status, exchanged.headers["location"]], [303, "/dashboard/"]);
    const [cookie = ""] = exchanged.headers["set-cookie"] ?? [];
    assert.match(cookie, /^holdfast_dashboard=[0-9a-f]{64}; HttpOnly; SameSite=Strict; Path=\/dashboard$/);
    assert.ok(!cookie.includes(TOKEN));
    const [pair = ""] = cookie.split(";");
    assert.equal((await get(`${url}/servers.json`, { Cookie: `other=1; ${pair}`, ...forwarded })).status, 200);
    assert.equal(await statusOfFeed(shown, { Cookie: pair, ...forwarded }), 101);
    assert.equal(await statusOfFeed(shown, { Authorization: `Bearer ${TOKEN}` }), 101);
    assert.equal(await statusOfFeed(shown, {}), 401);
    assert.equal(await statusOfFeed(shown, { Cookie: "holdfast_dashboard=" }), 401);
    assert.equal(await statusOfFeed(shown, { Cookie: pair, Origin: "https://evil.example" }), 403);
    assert.equal(
      (await get(`${url}/servers.json`, { Authorization: `Bearer ${TOKEN}`, Host: "evil.example" })).status,
      421,
    );
  });

  it("keeps the cookie over a restart", async () => {
    const cookies: string[] = [];
    for (let start = 0; start < 2; start += 1) {
      await using shown = await Shown.start({ token: TOKEN });
      const { headers } = await get(`${shown.http}/dashboard?token=${TOKEN}`);
      cookies.push(...(headers["set-cookie"] ?? []));
    }
    assert.equal(cookies.length, 2);
    assert.equal(cookies[0], cookies[1]);
  });
});

it("a dashboard with authorize asks it for each request, and only true allows one", async () => {
  const asked: string[] = [];
  await using shown = await Shown.start({
    authorize: ({ path, headers, remoteAddress }) => {
      asked.push(`${path} ${remoteAddress}`);
      if (headers["x-user"] === "broken") throw new Error("no database");
      return Promise.resolve(headers["x-user"] === "admin" || ("yes" as unknown as boolean));
    },
  });
  const url = `${shown.http}/dashboard/servers.json`;
  assert.equal((await get(url)).status, 403);
  assert.equal((await get(url, { "X-User": "broken" })).status, 403);
  assert.equal((await get(url, { "X-User": "admin" })).status, 200);
  assert.equal(await statusOfFeed(shown, { "X-User": "admin" }), 101);
  assert.equal(await statusOfFeed(shown, {}), 403);
  assert.equal(asked[0], "/dashboard/servers.json 127.0.0.1");
});

describe("the page and the tables", () => {
  it("are not stored, framed, sniffed or used by other sites, and the page runs only its own scripts", async () => {
    await using shown = await Shown.start();
    for (const path of ["/", "/servers.json", "/unknown"]) {
      const { headers } = await get(`${shown.http}/dashboard${path}`);
      assert.equal(headers["cache-control"], "no-store");
      assert.equal(headers["x-content-type-options"], "nosniff");
      assert.equal(headers["referrer-policy"], "no-referrer");
      assert.equal(headers["x-frame-options"], "DENY");
      assert.equal(headers["cross-origin-resource-policy"], "same-origin");
      assert.match(String(headers["content-security-policy"]), /^default-src 'none';.*frame-ancestors 'none'/);
    }
  });

  it("have a policy with a hash for each script and style", () => {
    const { policy } = pageOf("<style>p{}</style><p>text</p><script>1</script><script>2</script>");
    assert.equal(
      policy,
      "default-src 'none'; " +
        "script-src 'sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s=' 'sha256-1HNeOiZeFu7gP1lxi5tdAwGcB9i2xR+Q2jpmbuwTqzU='; " +
        "style-src 'sha256-gG2yISYereRMiG2lMXrbiUgi0Ubw9p7QCeWcroOvy9Y='; connect-src 'self'; base-uri 'none'; " +
        "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    );
  });

  it("refuse a sort by no column with 400, and name the columns", async () => {
    await using shown = await Shown.start();
    const table = await get(`${shown.http}/dashboard/connections.csv?sort=colour`);
    assert.equal(table.status, 400);
    assert.match(table.text, /^cannot sort by "colour": expected one of .*queuedBytes/);
    assert.equal((await get(`${shown.http}/dashboard/connections.json?sort=age`)).status, 200);
  });

  it("are read only, and have no other files", async () => {
    await using shown = await Shown.start();
    assert.equal((await get(`${shown.http}/dashboard/servers.json`, {}, "POST")).status, 405);
    assert.equal((await get(`${shown.http}/dashboard/servers.json`, {}, "HEAD")).text, "");
    for (const path of ["/x", "/servers", "/servers.xml", "/constructor.json", "/servers.json.csv", "/..%2fx"])
      assert.equal((await get(`${shown.http}/dashboard${path}`)).status, 404, path);
    assert.equal((await get(`${shown.http}/dashboard/feed`)).status, 426);
    assert.equal((await get(`${shown.http}/dashboard`)).headers["location"], "/dashboard/");
    assert.equal((await get(`${shown.http}/dashboards`)).text, "elsewhere");
  });
});
