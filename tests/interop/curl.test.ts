/** The HTTP side, with curl: plain requests, upgrades, and refusals. */

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { type Connection, type ListenOptions, listen, type Server } from "../../src/index.ts";
import { LOCALHOST } from "../fixtures/certificates.ts";
import { CURL, needed } from "../kit/foreign-programs.ts";
import { type Answer, answerOf } from "../kit/raw-peer.ts";
import { ServeProcess } from "../kit/serve-process.ts";

const LIMIT = { timeout: 240_000 };
const CERTIFICATE = fileURLToPath(new URL("../../../tests/fixtures/localhost.cert.pem", import.meta.url));
const UPGRADE = {
  Connection: "Upgrade",
  Upgrade: "websocket",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
};

const echo = async (connection: Connection): Promise<void> => {
  for await (const message of connection) await connection.send(message);
};

/** The arguments for these fields. An empty one removes a field that curl would send by itself. */
const fields = (given: Readonly<Record<string, string>>): string[] =>
  Object.entries(given).flatMap(([name, value]) => ["-H", value === "" ? `${name}:` : `${name}: ${value}`]);

/** The response that curl gets. It must end by itself. */
function asked(curl: string, ...args: readonly string[]): Promise<Answer> {
  return new Promise((resolve, reject) => {
    execFile(curl, ["-sS", "-i", "--http1.1", ...args], { encoding: "latin1" }, (error, stdout) => {
      if (error === null) resolve(answerOf(stdout));
      else reject(error);
    });
  });
}

const served = (options: ListenOptions = {}): Promise<Server> => listen("ws://127.0.0.1:0/live", options, echo);
const httpOf = ({ url }: Server): string => url.replace(/^ws/, "http");

describe("curl", LIMIT, () => {
  it("is told to upgrade when it asks for a page", async (t) => {
    const curl = needed(t, CURL);
    if (curl === undefined) return;
    await using server = await served();
    const { status, headers, body } = await asked(curl, httpOf(server));
    assert.equal(status, 426);
    assert.equal(headers["upgrade"], "websocket");
    assert.equal(headers["sec-websocket-version"], "13");
    assert.notEqual(body, "");
    assert.equal((await asked(curl, `${httpOf(server)}/other`)).status, 404);
    assert.equal((await asked(curl, "-X", "POST", "-d", "body", httpOf(server))).status, 405);
    assert.equal((await asked(curl, "-I", httpOf(server))).status, 405);
  });

  it("upgrades with the fields that it takes, and reads a frame", async (t) => {
    const curl = needed(t, CURL);
    if (curl === undefined) return;
    const open = (connection: Connection): void => void connection.trySend("hello");
    await using server = await served({ open, subprotocols: ["v1"] });
    const args = [...fields({ ...UPGRADE, "Sec-WebSocket-Protocol": "v2, v1" }), httpOf(server)];
    const child = spawn(curl, ["-sS", "-i", "-N", "--http1.1", ...args], { stdio: ["ignore", "pipe", "inherit"] });
    let text = "";
    for await (const chunk of child.stdout.setEncoding("latin1")) {
      text += chunk;
      if (text.endsWith("hello")) break;
    }
    child.kill();
    await once(child, "close");
    const { status, headers, body } = answerOf(text);
    assert.equal(status, 101);
    assert.equal(headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert.equal(headers["sec-websocket-protocol"], "v1");
    assert.equal(body, "\x81\x05hello");
  });

  const refusals: Record<string, [number, readonly string[]]> = {
    "a bad key": [400, fields({ ...UPGRADE, "Sec-WebSocket-Key": "short" })],
    "no Host": [400, fields({ ...UPGRADE, Host: "" })],
    "a body": [400, ["-X", "GET", "-d", "body", ...fields(UPGRADE)]],
    "a body in chunks": [400, ["-X", "GET", "-d", "body", ...fields({ ...UPGRADE, "Transfer-Encoding": "chunked" })]],
    "a foreign origin": [403, fields({ ...UPGRADE, Origin: "http://evil.example" })],
    "another method": [405, ["-X", "PUT", ...fields(UPGRADE)]],
    "another version": [426, fields({ ...UPGRADE, "Sec-WebSocket-Version": "12" })],
    "HTTP/1.0": [426, ["--http1.0", ...fields(UPGRADE)]],
    "20 KB of fields": [431, fields({ ...UPGRADE, "X-Long": "x".repeat(20_480) })],
  };
  for (const [what, [status, args]] of Object.entries(refusals)) {
    it(`is refused with ${status}, and let go: ${what}`, async (t) => {
      const curl = needed(t, CURL);
      if (curl === undefined) return;
      await using server = await served();
      assert.equal((await asked(curl, ...args, httpOf(server))).status, status);
    });
  }

  it("is refused another path, a stranger, and one too many", async (t) => {
    const curl = needed(t, CURL);
    if (curl === undefined) return;
    const authorize = (): Response => new Response("who are you?\n", { status: 401 });
    await using server = await served({ authorize });
    assert.equal((await asked(curl, ...fields(UPGRADE), httpOf(server).replace("live", "other"))).status, 404);
    const { status, body } = await asked(curl, ...fields(UPGRADE), httpOf(server));
    assert.deepEqual([status, body], [401, "who are you?\n"]);
  });

  it("sends a body larger than any buffer, and still reads why it was refused", async (t) => {
    const curl = needed(t, CURL);
    if (curl === undefined) return;
    await using server = await served();
    const args = ["-sS", "-i", "-X", "GET", "-T", "-", ...fields({ ...UPGRADE, Expect: "" }), httpOf(server)];
    const child = spawn(curl, args, { stdio: ["pipe", "pipe", "ignore"] });
    child.stdin.on("error", () => undefined);
    child.stdin.end(Buffer.alloc(2 ** 23));
    let text = "";
    child.stdout.setEncoding("latin1").on("data", (chunk: string) => {
      text += chunk;
    });
    await once(child, "close");
    assert.equal(answerOf(text).status, 400);
  });

  it("is served over TLS and over a unix socket", async (t) => {
    const curl = needed(t, CURL);
    if (curl === undefined) return;
    await using secure = await listen("wss://localhost:0", { tls: LOCALHOST }, echo);
    assert.equal((await asked(curl, "--cacert", CERTIFICATE, secure.url.replace("wss", "https"))).status, 426);
    const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
    try {
      await using _server = await listen(`ws+unix://${join(folder, "s")}`, echo);
      assert.equal((await asked(curl, "--unix-socket", join(folder, "s"), "http://localhost/")).status, 426);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("finds holdfast serve well", async (t) => {
    const curl = needed(t, CURL);
    if (curl === undefined) return;
    await using serving = await ServeProcess.start();
    const healthy = await asked(curl, `${serving.http}/healthz`);
    assert.deepEqual([healthy.status, healthy.body.includes("ok\n")], [200, true]);
    assert.match((await asked(curl, `${serving.http}/`)).headers["content-type"] ?? "", /^text\/html/);
    assert.equal((await asked(curl, `${serving.http}/nothing`)).status, 404);
    assert.equal((await asked(curl, `${serving.http}/echo`)).status, 426);
  });
});
