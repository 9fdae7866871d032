/** The harness of the benchmarks: its results are complete, and servers with wrong answers are detected. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { CC, needed } from "../kit/foreign-programs.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const FAULTY = fileURLToPath(new URL("faulty-server.js", import.meta.url));

const out = mkdtempSync(join(tmpdir(), "holdfast-"));
after(() => rmSync(out, { recursive: true }));

interface Figures {
  readonly [name: string]: number | boolean;
}

interface Result {
  readonly versions: Record<string, string>;
  readonly servers: Record<string, Figures>;
  readonly against: Record<string, Record<string, { each: number[]; median: number; least: number; most: number }>>;
  readonly goals: readonly { measure: string; peer?: string; met?: boolean }[];
  readonly pairs: Record<string, { ours: Figures; theirs: Figures }[]>;
  readonly leftOut: Record<string, string>;
  readonly failed: Record<string, string>;
  readonly machine: Record<string, unknown>;
}

interface Ran {
  readonly status: number | null;
  readonly said: string;
  readonly result: Result;
}

/** Runs the harness for a moment. */
async function bench(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  const brief = ["--seconds", "0.3", "--warmup", "0.1", "--runs", "1", "--json", "--out", out];
  const child = spawn(process.execPath, ["bench/main.mjs", ...brief, ...args], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let printed = "";
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (printed += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  const status = await new Promise<number | null>((resolve) => child.on("close", resolve));
  const [result] = (printed.startsWith("[") ? JSON.parse(printed) : []) as Result[];
  return { status, said, result: result as Result };
}

describe("the harness of the benchmarks", { skip: process.platform !== "linux" && "measures with epoll" }, () => {
  it("compares pairs of runs, and records every promised figure", async (t) => {
    if (needed(t, CC) === undefined) return;
    const { status, said, result } = await bench(["--work", "echo", "--peer", "ws", "--runs", "2"]);
    assert.equal(status, 0, said);
    assert.match(result.versions["ws"] ?? "", /^ws \d+\.\d+/);
    assert.match(result.versions["holdfast"] ?? "", /^holdfast \d/);
    for (const name of ["holdfast", "ws"]) {
      const one = result.servers[name];
      assert.ok(one !== undefined, name);
      const { rate, user, system, cpu, p50, p99, p999, resident, generatorCpu } = one as Record<string, number>;
      assert.ok(rate! > 0 && p50! > 0 && p50! <= p99! && p99! <= p999!, JSON.stringify(one));
      // The kernel counts in steps of 10 ms, and a short run may take less; no server uses less than 5 MB.
      assert.ok(user! >= 0 && system! >= 0 && cpu! >= 0 && resident! > 5e6, JSON.stringify(one));
      assert.ok(generatorCpu! >= 0 && generatorCpu! <= 1.5, JSON.stringify(one));
      assert.equal(one["saturated"], generatorCpu! > 0.95);
    }
    const pairs = result.pairs["ws"] ?? [];
    assert.equal(pairs.length, 2);
    const ratio = result.against["ws"]?.["rate"];
    const each = pairs.map(({ ours, theirs }) => Number(ours["rate"]) / Number(theirs["rate"]));
    assert.deepEqual(ratio?.each, each);
    assert.deepEqual([ratio.least, ratio.most], [Math.min(...each), Math.max(...each)]);
    assert.equal(ratio.median, (each[0]! + each[1]!) / 2);
    assert.equal(typeof result.goals.find(({ peer }) => peer === "ws")?.met, "boolean");
    assert.equal(result.goals.find(({ peer }) => peer === "limit")?.met, undefined);
    for (const fact of ["processor", "cores", "memory", "kernel", "node"]) assert.ok(result.machine[fact], fact);

    assert.deepEqual(JSON.parse(readFileSync(join(out, "echo.json"), "utf8")), result);
    const table = readFileSync(join(out, "table.md"), "utf8");
    assert.match(
      table,
      /### echo 64 B[\s\S]*\| holdfast \d[\s\S]*\| ws \d[\s\S]*\n\| ws \| [\d.]+ \([\d.]+ to [\d.]+\)/,
    );
  });

  const faults: Record<string, RegExp> = {
    changes: /^corrupt: message \d+ on connection \d+ came back changed/,
    doubles: /^corrupt: message \d+ on connection \d+ came back changed/,
    shortens: /^corrupt: message \d+ on connection \d+ has 63 bytes and not 64/,
    closes: /^lost: connection \d+: the server closed it/,
  };
  for (const [fault, as] of Object.entries(faults)) {
    it(`fails for a server that ${fault} an answer`, async (t) => {
      if (needed(t, CC) === undefined) return;
      const { status, result } = await bench(["--work", "echo", "--peer", FAULTY], { BENCH_TEST_FAULT: fault });
      assert.equal(status, 1);
      assert.match(result.failed[FAULTY] ?? "", as);
      assert.equal(result.against[FAULTY], undefined);
    });
  }

  it("accepts the same server without a fault", async (t) => {
    if (needed(t, CC) === undefined) return;
    const { status, said, result } = await bench(["--work", "echo", "--peer", FAULTY]);
    assert.equal(status, 0, said);
    assert.ok(result.against[FAULTY] !== undefined);
  });

  it("inflates compressed answers", async (t) => {
    if (needed(t, CC) === undefined) return;
    const { status, said, result } = await bench(["--work", "deflate", "--peer", "ws"]);
    assert.equal(status, 0, said);
    // Without the headers of zlib the answer shows it; with them both sides have agreed.
    const why = result.leftOut["holdfast"];
    if (why === undefined) assert.ok(Number(result.servers["ws"]?.["rate"]) > 0, said);
    else assert.match(why, /zlib/);
  });

  for (const work of ["wss", "attach", "serve"]) {
    it(`measures Holdfast as the work ${work} has it`, async (t) => {
      if (needed(t, CC) === undefined) return;
      const { status, said, result } = await bench(["--work", work, "--peer", "ws"]);
      assert.equal(status, 0, said);
      const why = result.leftOut["holdfast"];
      if (why === undefined) assert.ok(Number(result.against["ws"]?.["rate"]?.median) > 0, said);
      else assert.match(why, /OpenSSL/);
    });
  }

  it("leaves out a peer whose language is not installed, and reports it", async (t) => {
    if (needed(t, CC) === undefined) return;
    // The generator is built by now. Without a path nothing else is found.
    await bench(["--work", "echo", "--peer", FAULTY]);
    const { status, result } = await bench(["--work", "echo", "--peer", "gorilla,ws"], { PATH: "/nowhere" });
    assert.equal(status, 0);
    assert.deepEqual(result.leftOut, { gorilla: "needs go" });
    assert.ok(result.against["ws"] !== undefined);
  });

  it("refuses unknown arguments", async () => {
    for (const args of [["--work", "nonsense"], ["--peer", "nobody"], ["--runs", "0"], ["--nonsense"]]) {
      const { status, said } = await bench(args);
      assert.equal(status, 2, args.join(" "));
      assert.match(said, /^npm run bench: [\s\S]*Usage: npm run bench/);
    }
  });
});
