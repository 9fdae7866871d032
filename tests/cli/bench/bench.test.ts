/** Tests of `holdfast bench` as a process. */

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { BenchResult } from "../../../src/cli/bench/result.ts";
import type { Exit } from "../../kit/child-process.ts";
import { ServeProcess } from "../../kit/serve-process.ts";
import { echo, serving } from "./loads.ts";

const LIMIT = { timeout: 120_000, concurrency: 2 };

const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
after(() => rmSync(folder, { recursive: true }));

/** Short, and without a core of its own. */
const BRIEF = ["--duration", "400ms", "--warmup", "0s", "--pace", "timer"];

async function bench(url: string, ...flags: readonly string[]): Promise<Exit> {
  await using process = new ServeProcess(["bench", url, ...BRIEF, ...flags]);
  return await process.exit;
}

describe("holdfast bench", LIMIT, () => {
  it("prints a text, files on request, and a comparison with an earlier result", async () => {
    await using server = await serving(echo);
    const base = join(folder, "base.json");
    const hgrm = join(folder, "result.hgrm");
    const first = await bench(server.url, "--rate", "500", "-c", "4", "-p", "2", "--json", "--hgrm", hgrm);
    assert.deepEqual([first.status, first.stderr], [0, ""]);
    writeFileSync(base, first.stdout);
    const { format, processes, latency } = JSON.parse(first.stdout) as BenchResult;
    assert.deepEqual([format, processes, latency.count], ["holdfast-bench-1", 2, 200]);
    assert.match(readFileSync(hgrm, "utf8"), /^ +Value +Percentile/);
    const { status, stdout } = await bench(server.url, "--rate", "500", "-c", "4", "--compare", base);
    assert.equal(status, 0);
    assert.match(stdout, /^echo {2}ws:/);
    assert.match(stdout, /compared .*\n +p50 +\S+ \S+ -> +\S+ \S+ +x \S+ +(noise|better|worse)\n/);
    assert.equal(stdout.includes("\u001b"), false, "no colours and no status line without a terminal");
  });

  it("says which condition is not met, with status 1, and prints the figures all the same", async () => {
    await using server = await serving(echo);
    const { status, stdout } = await bench(server.url, "--rate", "500", "-e", "p50<10s", "-e", "p50<0.001us");
    assert.equal(status, 1);
    assert.match(stdout, /p50<10s: met \(/);
    assert.match(stdout, /p50<0\.001us: not met \(/);
  });

  it("has status 1 if a message is lost, unless a condition allows it", async () => {
    let number = 0;
    await using server = await serving(
      (connection, message) => void (++number % 20 !== 0 && echo(connection, message)),
    );
    const flags = ["--rate", "100", "--drain", "500ms", "--json"];
    const lossy = await bench(server.url, ...flags);
    assert.deepEqual([lossy.status, lossy.stderr], [1, "holdfast: not met: lost=0\n"]);
    const allowed = await bench(server.url, ...flags, "--expect", "lost<=4");
    assert.deepEqual([allowed.status, allowed.stderr], [0, ""]);
  });

  it("reports in one line that no connection can be opened, with status 1", async () => {
    const server = await serving(echo);
    await server.close();
    const { status, stdout, stderr } = await bench(server.url, "-p", "2");
    assert.deepEqual([status, stdout], [1, ""]);
    assert.match(stderr, /^holdfast: cannot open more than 0 of 10 connections to ws:\S+: .*ECONNREFUSED.*\n$/);
  });

  it("reads the memory of the server, with all connections open", async () => {
    let open = 0;
    let most = 0;
    await using server = await serving(echo, {
      open: () => {
        open += 1;
        most = Math.max(most, open);
      },
      close: () => void open--,
    });
    const pid = String(process.pid);
    const { status, stdout, stderr } = await bench(server.url, "--work", "idle", "-c", "30", "--pid", pid, "--json");
    assert.deepEqual([status, stderr], [0, ""]);
    assert.equal(most, 30);
    if (process.platform !== "linux") return;
    const { memory } = JSON.parse(stdout) as BenchResult;
    assert.deepEqual(memory?.pids, [process.pid]);
    assert.equal(memory.perConnection, (memory.after - memory.before) / 27);
  });

  it("finds the process of a server on this machine by its port", { skip: process.platform !== "linux" }, async () => {
    await using server = await ServeProcess.start("--no-tcp");
    const { stdout } = await bench(`${server.addresses.ws}/echo`, "--work", "idle", "-c", "10");
    assert.match(stdout, new RegExp(`memory .* for each connection\\n +resident in process ${server.process.pid}:`));
  });

  it("ends with what was measured at the first SIGINT, with its verdicts", async () => {
    let received = 0;
    let enough: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => {
      enough = resolve;
    });
    await using server = await serving((connection, message) => {
      echo(connection, message);
      received += 1;
      if (received === 100) enough();
    });
    const flags = ["--rate", "200", "--json", "--warmup", "0s", "--duration", "10m", "--pace", "timer"];
    await using process = new ServeProcess(["bench", server.url, ...flags]);
    await begun;
    process.signal("SIGINT");
    const { status, stdout, stderr } = await process.exit;
    assert.deepEqual([status, stderr], [0, ""]);
    const { latency, duration } = JSON.parse(stdout) as BenchResult;
    assert.ok(latency.count >= 90 && duration < 600_000);
  });

  it("reports wrong use in one line, with status 2, before anything is opened", async () => {
    const { status, stdout, stderr } = await bench("ws://127.0.0.1:1/", "--compare", "/none");
    assert.deepEqual([status, stdout, stderr], [2, "", "holdfast: cannot read /none: ENOENT\n"]);
  });
});
