/** Tests of `holdfast serve --workers`: what single-process serving promises holds, and the signals of workers. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { METRICS } from "../../../src/base/vocabulary.ts";
import { type Connection, connect } from "../../../src/index.ts";
import { portIn, ServeProcess } from "../../kit/serve-process.ts";

const LIMIT = { timeout: 240_000, concurrency: true };
const WINDOWS = process.platform === "win32" && "signals are a matter of POSIX";
const LINUX = process.platform !== "linux" && "finds processes in /proc";

async function echoed(connection: Connection): Promise<void> {
  await connection.send("hello");
  assert.equal(await connection.receive(), "hello");
}

/** The processes that `pid` has started. */
function childrenOf(pid: number | undefined): number[] {
  return readdirSync("/proc").filter(isChild).map(Number);

  function isChild(process: string): boolean {
    try {
      // The name in it may hold anything, brackets too.
      const [, parent] = readFileSync(`/proc/${process}/stat`, "utf8")
        .replace(/^.*\) /, "")
        .split(" ");
      return Number(parent) === pid;
    } catch {
      return false;
    }
  }
}

describe("holdfast serve --workers", { ...LIMIT, skip: WINDOWS }, () => {
  it("answers /metrics with the sum of all processes, whichever gets the request", async () => {
    await using serving = await ServeProcess.start("--workers", "2", "--no-tcp");
    const clients = await Promise.all([1, 2, 3, 4].map(() => connect(`${serving.addresses.ws}/echo`)));
    for (const client of clients) await echoed(client);
    for (let scrape = 0; scrape < 4; scrape += 1) {
      // A connection of its own for each, which may reach another worker.
      const response = await fetch(`${serving.http}/metrics`, { headers: { Connection: "close" } });
      assert.equal(response.status, 200);
      assert.match(response.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
      const text = await response.text();
      assert.match(text, /^holdfast_connections_opened_total\{role="server",protocol="websocket"\} 4$/m);
      assert.match(text, /^holdfast_messages_total\{role="server",protocol="websocket",direction="in"\} 4$/m);
      assert.match(text, /^holdfast_workers 2$/m);
      assert.match(text, /^holdfast_workers_unanswered 0$/m);
      // There are no clients that reconnect, and the kernel's table is read beside the first answers.
      const absent = Object.keys(METRICS).filter((name) => !text.includes(`\n# TYPE ${name} `));
      const expected = ["holdfast_tcp_sockets", "holdfast_reconnect_attempts_total", "holdfast_in_doubt_total"];
      assert.deepEqual(
        absent.filter((name) => !expected.includes(name)),
        [],
      );
    }
    await Promise.all(clients.map((client) => client.close()));
  });

  it("serves echo, chat, lines and the page, and prints the address once", async () => {
    await using serving = await ServeProcess.start("--workers", "2");
    const { ws, tcp = "" } = serving.addresses;
    const chat = await Promise.all([1, 2, 3, 4].map(() => connect(`${ws}/chat`)));
    await using echo = await connect(`${ws}/echo`);
    await using lines = await connect(tcp, { framing: "lines" });
    await echoed(echo);
    await echoed(lines);
    assert.equal(await (await fetch(`${serving.http}/healthz`)).text(), "ok\n");
    // A new worker may have no subscription yet, so the first message is repeated until all have it.
    const heard = chat.map(async (connection) => {
      while ((await connection.receive()) !== "first");
    });
    let over = false;
    const all = Promise.all(heard).then(() => {
      over = true;
    });
    while (!over) {
      await chat[0]?.send("first");
      await new Promise(setImmediate);
    }
    await all;
    await chat[1]?.send("second");
    await chat[1]?.send("third");
    for (const connection of chat) {
      const words: unknown[] = [];
      while (words.at(-1) !== "third") words.push(await connection.receive());
      assert.deepEqual(
        words.filter((word) => word !== "first"),
        ["second", "third"],
      );
      await connection.close();
    }
    assert.equal(serving.stdout.trim().split("\n").length, 1);
    assert.equal(serving.stderr, "");
  });

  it("restarts one worker after the other on SIGHUP, and drains on SIGTERM with status 0", async () => {
    await using serving = await ServeProcess.start("--workers", "2");
    const { ws, tcp = "" } = serving.addresses;
    const before = await Promise.all([1, 2, 3, 4].map(() => connect(`${ws}/echo`)));
    serving.signal("SIGHUP");
    for (const { closed } of before) assert.equal((await closed).code, 1001);
    await using after = await connect(`${ws}/echo`);
    await using lines = await connect(tcp, { framing: "lines" });
    await echoed(after);
    await echoed(lines);
    const eof = assert.rejects(lines.receive(), { code: "CLOSED" }).finally(() => lines.close());
    serving.signal("SIGTERM");
    assert.equal((await after.closed).code, 1001);
    await eof;
    const { status, stderr } = await serving.exit;
    assert.equal(status, 0);
    // The two of each worker that were replaced, and those that the new workers had.
    const reports = stderr.split("\n").slice(0, -1);
    for (const line of reports)
      assert.match(line, /^holdfast: worker [12] is draining \d connections?; ends within 5 s$/);
    const count = reports.reduce((sum, line) => sum + Number(/(\d) connection/.exec(line)?.[1]), 0);
    assert.equal(count, 6);
  });

  it("replaces a worker that was killed, and reports it", { skip: LINUX }, async () => {
    await using serving = await ServeProcess.start("--workers", "1", "--no-tcp");
    const [pid = 0, ...others] = childrenOf(serving.process.pid);
    assert.deepEqual(others, []);
    await using connection = await connect(`${serving.addresses.ws}/echo`);
    process.kill(pid, "SIGKILL");
    await connection.closed;
    while (childrenOf(serving.process.pid).every((child) => child === pid)) await new Promise(setImmediate);
    serving.signal("SIGTERM");
    const { stderr } = await serving.exit;
    assert.equal(stderr, `holdfast: worker 1 (process ${pid}) ended by SIGKILL\n`);
  });

  it("reports a port in use in one line, and leaves no process behind", async () => {
    await using serving = await ServeProcess.start("--workers", "2");
    const port = String(portIn(serving.addresses.ws));
    await using other = new ServeProcess(["serve", "--workers", "2", "--port", port, "--tcp-port", "0"]);
    // It is over when its stdout is closed, which its workers have too.
    const { status, stdout, stderr } = await other.exit;
    assert.deepEqual([status, stdout], [1, ""]);
    assert.match(
      stderr,
      new RegExp(`^holdfast: Cannot start worker [12]: cannot listen on 127.0.0.1:${port}: .*in use.*\n$`),
    );
  });
});
