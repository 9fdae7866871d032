/** The HTTP servers of frameworks, started for real: their pages, and WebSockets of clients that we did not write. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, rmSync, symlinkSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { chromium } from "playwright-core";
import { WebSocket } from "ws";
import { LOCALHOST } from "../fixtures/certificates.ts";
import { ChildProgram } from "../kit/child-process.ts";
import { CHROMIUM, needed, needsPackages, WEBSOCKETS } from "../kit/foreign-programs.ts";
import { QUIET } from "./page.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const PEERS = join(ROOT, ".cache/peers");

/** The packages of each application, beside those that this project installs anyway. */
const FRAMEWORKS: Readonly<Record<string, readonly string[]>> = {
  "node:http": [],
  "node:https": [],
  "Express 5": [],
  "Fastify 5": ["fastify"],
  Hono: ["hono", "@hono/node-server"],
  Koa: ["koa"],
  NestJS: ["@nestjs/core", "@nestjs/common", "@nestjs/platform-express", "reflect-metadata", "rxjs"],
};

const BESIDE = "Socket.IO, ws and Vite";

const PYTHON = `
import asyncio, ssl, sys
import websockets
async def main(url):
    insecure = ssl._create_unverified_context() if url.startswith("wss:") else None
    async with websockets.connect(url, ssl=insecure) as socket:
        for message in ["hello", bytes(100_000)]:
            await socket.send(message)
            assert await socket.recv() == message
        await (await socket.ping())
asyncio.run(main(sys.argv[1]))
`;

/** Which server listens: that of the framework, or that of this library, with the framework behind it. */
type Way = "attach" | "listen";

/** Runs a program to its end. Rejects, with its output, unless its status is 0. */
const run = promisify(execFile);

/** An application in a process of its own. */
class App implements AsyncDisposable {
  readonly #child: ChildProgram;
  readonly port: number;
  readonly secure: boolean;

  private constructor(child: ChildProgram, port: number, secure: boolean) {
    this.#child = child;
    this.port = port;
    this.secure = secure;
  }

  static async start(t: TestContext, way: Way, name: string, packages: readonly string[]): Promise<App | undefined> {
    if (!needsPackages(t, packages)) return undefined;
    // Where the packages are, as an application has them.
    const program = join(PEERS, "frameworks.mjs");
    copyFileSync(join(ROOT, "tests/interop/apps/frameworks.mjs"), program);
    const link = join(PEERS, "node_modules/holdfast");
    if (!existsSync(link)) {
      rmSync(link, { force: true });
      symlinkSync(ROOT, link);
    }
    const child = new ChildProgram(program, [name, way], { env: { KEY: LOCALHOST.key, CERT: LOCALHOST.cert } });
    const port = Number(await child.line());
    return new App(child, port, name === "node:https");
  }

  url(path: string): string {
    return `${this.secure ? "wss" : "ws"}://127.0.0.1:${this.port}${path}`;
  }

  async page(): Promise<string> {
    if (!this.secure) return await (await fetch(`http://127.0.0.1:${this.port}/`)).text();
    const asked = request({ port: this.port, host: "127.0.0.1", rejectUnauthorized: false }).end();
    const [response] = await once(asked, "response");
    return Buffer.concat(await response.toArray()).toString();
  }

  client(path: string, protocols: string[] = []): WebSocket {
    return new WebSocket(this.url(path), protocols, { rejectUnauthorized: false });
  }

  /** Ends it as a service manager does. Resolves with its exit status. */
  async stop(): Promise<number | null> {
    this.#child.process.kill("SIGTERM");
    return (await this.#child.exit).status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
  }
}

async function exchange(client: WebSocket): Promise<void> {
  await once(client, "open");
  for (const message of ["hello", Buffer.alloc(100_000, 7)]) {
    client.send(message);
    const [data, binary] = await once(client, "message");
    assert.deepEqual(binary ? data : String(data), message);
  }
  client.ping();
  await once(client, "pong");
  client.close(1000);
  const [code] = await once(client, "close");
  assert.equal(code, 1000);
}

/** Both clients on both paths, and the page before, between and after. */
async function served(t: TestContext, way: Way, name: string, packages: readonly string[]): Promise<void> {
  const python = needed(t, WEBSOCKETS);
  if (python === undefined) return;
  await using app = await App.start(t, way, name, packages);
  if (app === undefined) return;
  assert.equal(await app.page(), "page");
  for (const path of ["/live", "/routed"]) await exchange(app.client(path));
  await run(python, ["-B", "-c", PYTHON, app.url("/live")]);
  const left = app.client("/live");
  await once(left, "open");
  assert.equal(await app.page(), "page");
  const closed = once(left, "close");
  assert.equal(await app.stop(), 0);
  assert.equal((await closed)[0], 1001);
}

describe("the HTTP server of a framework:", { timeout: 240_000 }, () => {
  for (const [name, packages] of Object.entries(FRAMEWORKS)) {
    it(`${name} serves its page, and WebSockets by attach and by accept`, (t) => served(t, "attach", name, packages));

    if (!name.startsWith("node:"))
      it(`this library serves the page of ${name}, and WebSockets`, (t) => served(t, "listen", name, packages));
  }

  it("Express 5 serves a browser, whose page opens a WebSocket of its own origin", async (t) => {
    const executablePath = needed(t, CHROMIUM);
    if (executablePath === undefined) return;
    await using app = await App.start(t, "attach", "Express 5", []);
    if (app === undefined) return;
    const browser = await chromium.launch({ executablePath, args: [...QUIET] });
    try {
      const page = await browser.newPage();
      await page.goto(`http://127.0.0.1:${app.port}/`);
      const answer = await page.evaluate(`new Promise((resolve, reject) => {
        const socket = new WebSocket("/live".replace(/^/, "ws://" + location.host));
        socket.onopen = () => socket.send("from a page");
        socket.onmessage = ({ data }) => resolve(data);
        socket.onerror = () => reject(new Error("refused"));
      })`);
      assert.equal(answer, "from a page");
    } finally {
      await browser.close();
    }
  });

  it(`an application with ${BESIDE} serves all of them and this library`, async (t) => {
    await using app = await App.start(t, "attach", BESIDE, ["socket.io", "socket.io-client", "vite"]);
    if (app === undefined) return;
    for (const path of ["/live", "/routed", "/ws"]) await exchange(app.client(path));

    const { port } = app;
    const script = `
      import { io } from "socket.io-client";
      for (const transports of [["websocket"], ["polling", "websocket"]]) {
        const socket = io("http://127.0.0.1:${port}", { transports, forceNew: true });
        console.log(await socket.timeout(20_000).emitWithAck("say", "hello"));
        if (transports.length > 1 && socket.io.engine.transport.name !== "websocket")
          await new Promise((resolve) => socket.io.engine.once("upgrade", resolve));
        socket.close();
      }`;
    const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script], { cwd: PEERS });
    assert.equal(stdout, "hello\nhello\n");

    const vite = await (await fetch(`http://127.0.0.1:${port}/@vite/client`)).text();
    const token = /wsToken = "([^"]*)"/.exec(vite)?.[1];
    assert.ok(token !== undefined, vite.slice(0, 2_000));
    const reload = app.client(`/?token=${token}`, ["vite-hmr"]);
    const [data] = await once(reload, "message");
    assert.deepEqual(JSON.parse(String(data)), { type: "connected" });
    reload.terminate();
    await exchange(app.client("/live"));
    assert.equal(await app.page(), "page");
  });
});
