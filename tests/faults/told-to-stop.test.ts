/** Signals during work, and logs that cannot be written: received messages are answered, and every process ends. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, openSync } from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { type Connection, type ConnectOptions, connect } from "../../src/index.ts";
import { ServeProcess } from "../kit/serve-process.ts";
import { WIRE_PROTOCOLS } from "../kit/wire-protocols.ts";
import { EchoProcess, quietPort } from "./echo-process.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const skip = process.platform === "win32" && "signals are a matter of POSIX";
const MEMBERS = 25;

/** Clients that ask without a pause, over both protocols. */
async function crowd(client: EchoProcess, ws: string, tcp: string): Promise<void> {
  const to = { do: "count", think: 0 } as const;
  await client.tell({ do: "visit", url: ws, options: {}, count: MEMBERS, to });
  await client.tell({ do: "visit", url: tcp, options: { framing: "lines" }, count: MEMBERS, to });
  await client.until(({ clients: { least } }) => least >= 5);
}

async function assertEchoes(connection: Connection<undefined>, text: string): Promise<void> {
  await connection.send(text);
  assert.equal(await connection.receive(), text);
}

describe("holdfast serve, under load", { skip, timeout: 120_000 }, () => {
  it("that gets SIGTERM: 1001 to all, each sent answer arrives, status 0 (bound: its drain)", async () => {
    await using client = await EchoProcess.start();
    await using serving = await ServeProcess.start();
    const { ws, tcp = "" } = serving.addresses;
    await crowd(client, `${ws}/echo`, tcp);
    serving.signal("SIGTERM");
    const { status, stderr } = await serving.exit;
    assert.equal(status, 0);
    assert.match(stderr, /^(holdfast: draining \d+ connections?; [^\n]+\n)?$/);
    const { ends, clients, troubles } = await client.until(({ visiting }) => visiting === 0);
    assert.deepEqual(troubles, []);
    assert.equal(ends.length, 2 * MEMBERS);
    for (const { code, by } of ends) assert.deepEqual([[1000, 1001].includes(code), by], [true, "peer"]);
    assert.equal(ends.filter(({ code }) => code === 1001).length, MEMBERS);
    assert.ok(clients.cut <= 2 * MEMBERS, `${clients.cut}`);
  });

  it("and a server of a program that closes: every received message is answered (bound: drain)", async () => {
    await using client = await EchoProcess.start();
    await using server = await EchoProcess.start();
    const [ws, tcp] = WIRE_PROTOCOLS.map(({ url, options }) =>
      server.tell({ do: "serve", url, options: { ...options }, as: "answer" }),
    );
    await crowd(client, (await ws) ?? "", (await tcp) ?? "");
    await server.tell({ do: "close", drain: 5_000 });
    const { clients, ends } = await client.until(({ visiting }) => visiting === 0);
    const { taken, given, troubles } = await server.report();
    assert.deepEqual([troubles, ends.filter(({ code }) => code === 1006)], [[], []]);
    assert.deepEqual([given, clients.answers], [taken, taken], "taken, given and arrived");
  });

  it("whose terminal is gone (SIGHUP) ends at once, and its clients detect it (bound: none)", async () => {
    await using client = await EchoProcess.start();
    await using serving = await ServeProcess.start();
    const { ws, tcp = "" } = serving.addresses;
    await crowd(client, `${ws}/echo`, tcp);
    serving.signal("SIGHUP");
    const { signal, stderr } = await serving.exit;
    assert.deepEqual([signal, stderr], ["SIGHUP", ""]);
    const { ends } = await client.until(({ visiting }) => visiting === 0);
    assert.deepEqual(
      ends.filter(({ error }) => error === "TIMEOUT"),
      [],
    );
  });

  it("with a broken pipe (SIGPIPE) continues", async () => {
    await using serving = await ServeProcess.start();
    await using connection = await connect(`${serving.addresses.ws}/echo`);
    await assertEchoes(connection, "before");
    serving.process.stdout?.destroy();
    serving.process.stderr?.destroy();
    serving.signal("SIGPIPE");
    await assertEchoes(connection, "afterwards");
    serving.signal("SIGTERM");
    assert.equal((await connection.closed).code, 1001);
    assert.equal((await serving.exit).status, 0);
  });

  it("whose logs have no room on the disk serves, and stops when it is told to", {
    skip: !existsSync("/dev/full") && "there is no /dev/full, which is always full",
  }, async () => {
    const [port, tcpPort] = [await quietPort(), await quietPort()];
    const full = openSync("/dev/full", "w");
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const args = [MAIN, "serve", "--port", `${port}`, "--tcp-port", `${tcpPort}`];
    const child = spawn(process.execPath, args, { env, stdio: ["ignore", full, full] });
    const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
    let over = false;
    void ended.then(() => {
      over = true;
    });
    try {
      const opened = async (url: string, options: ConnectOptions<undefined>): Promise<Connection<undefined>> => {
        for (;;) {
          assert.ok(!over, "it has ended");
          const connection = await connect(url, options).catch(() => undefined);
          if (connection !== undefined) return connection;
        }
      };
      const connection = await opened(`ws://127.0.0.1:${port}/echo`, {});
      // The last file that it opens: from here on it handles signals.
      const lines = await opened(`tcp://127.0.0.1:${tcpPort}`, { framing: "lines" });
      await assertEchoes(lines, "hello");
      await assertEchoes(connection, "hello");
      await lines.close();
      child.kill("SIGTERM");
      assert.equal((await connection.closed).code, 1001);
      assert.equal(await ended, 0);
    } finally {
      child.kill("SIGKILL");
      await ended;
    }
  });
});
