/** Tests against Node's own WebSocket client, in a process of its own. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { type CloseInfo, type Connection, type ListenOptions, listen } from "../../src/index.js";

const PROGRAM = fileURLToPath(new URL("native-client.js", import.meta.url));
const PRESENT = "WebSocket" in globalThis;
// Behind a flag from 20.10 on, and for everybody from 22 on.
const FLAGGED = process.allowedNodeEnvironmentFlags.has("--experimental-websocket");
const LIMIT = {
  timeout: 240_000,
  concurrency: true,
  skip: !PRESENT && !FLAGGED && `Node ${process.versions.node} has no WebSocket: it came with 20.10`,
};

/** What the program is told by a server with these options. */
async function run(
  options: ListenOptions,
  handler: ((connection: Connection) => Promise<void>) | undefined,
  script: readonly unknown[],
  protocols: readonly string[] = [],
): Promise<{ readonly told: readonly unknown[]; readonly infos: readonly CloseInfo[] }> {
  const infos: CloseInfo[] = [];
  const close = (_: Connection, info: CloseInfo): void => void infos.push(info);
  await using server = await listen("ws://127.0.0.1:0", { ...options, close }, handler as never);
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const flags = PRESENT ? [] : ["--experimental-websocket", "--no-warnings"];
  const args = [...flags, PROGRAM, server.url, JSON.stringify(protocols), JSON.stringify(script)];
  const told = await new Promise<unknown[]>((resolve, reject) => {
    execFile(process.execPath, args, { env }, (error, stdout, stderr) => {
      if (error !== null || stderr !== "") reject(error ?? new Error(stderr));
      else
        resolve(
          stdout
            .trim()
            .split("\n")
            .map((line) => JSON.parse(line)),
        );
    });
  });
  await Promise.all([...server.connections].map(({ closed }) => closed));
  return { told, infos };
}

const echo = async (connection: Connection): Promise<void> => {
  for await (const message of connection) await connection.send(message);
};

describe("Node's own WebSocket", LIMIT, () => {
  it("has its texts and bytes sent back, of every form of length", async () => {
    const sizes = [0, 1, 125, 126, 65_535, 65_536, 1_000_000];
    const { told, infos } = await run({}, echo, [
      "é𝄞",
      "",
      "x".repeat(70_000),
      ...sizes,
      { code: 1000, reason: "done" },
    ]);
    assert.deepEqual(told, [
      { open: "", extensions: "" },
      ...["é𝄞", "", "x".repeat(70_000)].map((message) => ({ message })),
      ...sizes.map((size) => ({ message: { size, intact: true } })),
      // The code is echoed; the reason would be the server's, which has none of its own.
      { close: { code: 1000, reason: "", wasClean: true } },
    ]);
    assert.deepEqual(infos, [{ code: 1000, reason: "done", by: "peer", wasClean: true, cause: undefined }]);
  });

  it("agrees on a subprotocol", async () => {
    const { told } = await run({ subprotocols: ["b", "a"] }, echo, [{ code: 1000 }], ["a", "b"]);
    assert.deepEqual(told[0], { open: "b", extensions: "" });
  });

  for (const code of [3000, 4999]) {
    it(`tells code ${code} and is told it`, async () => {
      const theirs = await run({}, echo, [{ code, reason: "é" }]);
      assert.deepEqual(theirs.told[1], { close: { code, reason: "", wasClean: true } });
      assert.deepEqual([theirs.infos[0]?.code, theirs.infos[0]?.reason, theirs.infos[0]?.by], [code, "é", "peer"]);
      const ours = await run({}, async (connection) => void (await connection.close(code, "é")), []);
      assert.deepEqual(ours.told[1], { close: { code, reason: "é", wasClean: true } });
      assert.deepEqual([ours.infos[0]?.code, ours.infos[0]?.by, ours.infos[0]?.wasClean], [code, "local", true]);
    });
  }

  it("may close without a code", async () => {
    const { told, infos } = await run({}, echo, [{}]);
    assert.deepEqual(told[1], { close: { code: 1005, reason: "", wasClean: true } });
    assert.deepEqual([infos[0]?.code, infos[0]?.wasClean], [1005, true]);
  });

  it("is told of an end without a close", async () => {
    const { told } = await run({}, async (connection) => connection.terminate(), []);
    assert.deepEqual((told.at(-1) as { close: { code: number } }).close.code, 1006);
  });

  it("is told why its message was too large", async () => {
    const { told, infos } = await run({ maxMessageSize: 10 }, echo, ["0123456789x"]);
    assert.equal((told.at(-1) as { close: { code: number } }).close.code, 1009);
    assert.deepEqual([infos[0]?.code, infos[0]?.by], [1009, "local"]);
  });

  it("answers pings, and puts fragments together", async () => {
    const handler = async (connection: Connection): Promise<void> => {
      const writer = connection.writer("text");
      for (const part of ["one ", "two ", "three"]) {
        await writer.write(part);
        assert.ok((await connection.ping()) >= 0);
      }
      await writer.end();
      await connection.close();
    };
    const { told } = await run({}, handler, []);
    assert.deepEqual(told[1], { message: "one two three" });
  });

  it("is refused", async () => {
    const { told } = await run({ authorize: () => new Response("no", { status: 401 }) }, echo, []);
    assert.deepEqual(told[0], { error: true });
  });
});
