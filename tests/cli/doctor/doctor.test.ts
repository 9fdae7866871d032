/** Tests of `holdfast doctor` as a process, whose patients are sockets of this process and of others. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { describe, it } from "node:test";
import type { Exit } from "../../kit/child-process.ts";
import { ChildProgram } from "../../kit/child-process.ts";
import { SOCKETS_SKIP, untilSockets } from "../../kit/kernel-sockets.ts";
import { ServeProcess } from "../../kit/serve-process.ts";
import { UnreadServer } from "../../kit/unread-server.ts";

const BOUND = ["--bound", "500"];

// No program is found in it: these tests are about the doctor without ss.
const WITHOUT_SS = { PATH: "/nowhere" };

async function doctor(...flags: readonly string[]): Promise<Exit> {
  await using serving = new ServeProcess(["doctor", ...flags], [], WITHOUT_SS);
  return await serving.exit;
}

interface Told {
  readonly ok: boolean;
  readonly states: Readonly<Record<string, number>>;
  readonly findings: readonly { readonly kind: string; readonly sockets: readonly object[] }[];
  readonly processes: readonly { readonly pid: number }[];
}

/** The illnesses that were found on `port`, and the status. */
async function examined(port: number): Promise<{ readonly status: number | null; readonly found: string[] }> {
  const { status, stdout } = await doctor("--port", `${port}`, "--json", ...BOUND);
  const { findings, ok } = JSON.parse(stdout) as Told;
  assert.equal(ok, findings.length === 0);
  return { status, found: findings.map(({ kind }) => kind) };
}

describe("holdfast doctor", { skip: SOCKETS_SKIP, timeout: 240_000, concurrency: true }, () => {
  it("finds nothing wrong with those that are well, with status 0", async () => {
    await using patient = await UnreadServer.open();
    await patient.join();
    assert.deepEqual(await examined(patient.port), { status: 0, found: [] });
  });

  it("finds a peer that has ended while the application does not close, with status 1", async () => {
    await using patient = await UnreadServer.open();
    const { far, near } = await patient.join();
    near.resume();
    far.end();
    await untilSockets(patient.port, ([socket]) => socket?.state === "CLOSE_WAIT");
    assert.deepEqual(await examined(patient.port), { status: 1, found: ["close-wait"] });
  });

  it("finds an application that does not read", async () => {
    await using patient = await UnreadServer.open();
    const { far } = await patient.join();
    far.write("unread");
    await untilSockets(patient.port, ([socket]) => socket?.unread === 6);
    assert.deepEqual(await examined(patient.port), { status: 1, found: ["receive-queue"] });
  });

  it("finds a peer that does not read", async () => {
    await using patient = await UnreadServer.open();
    const { far, near } = await patient.join();
    far.pause();
    near.write(Buffer.alloc(16_000_000));
    // The kernel probes a window that was closed.
    await untilSockets(patient.port, ([socket]) => socket?.timer === 4);
    assert.deepEqual(await examined(patient.port), { status: 1, found: ["zero-window"] });
  });

  it("finds a process that does not accept", async () => {
    const listening = `require("net").createServer().listen(0, "127.0.0.1", function () { console.log(this.address().port) })`;
    await using child = new ChildProgram("-e", [listening]);
    const { pid } = child.process;
    const port = Number(await child.line());
    child.signal("SIGSTOP");
    // A signal takes its time.
    while (!/^\d+ \(.*\) T /.test(readFileSync(`/proc/${pid}/stat`, "utf8"))) await new Promise(setImmediate);
    const socket = connect(port, "127.0.0.1").on("error", () => undefined);
    await once(socket, "connect");
    const { status, stdout } = await doctor("--pid", `${pid}`, ...BOUND);
    socket.destroy();
    assert.equal(status, 1);
    assert.match(stdout, new RegExp(`^process ${pid}: 1 TCP sockets\n  LISTEN +1\n`));
    assert.match(
      stdout,
      /fault \(accept-queue\): 1 socket listening, with connections that were not accepted for 0.5 s or more/,
    );
    assert.match(stdout, new RegExp(`127.0.0.1:${port} .*LISTEN.*process ${pid}`));
    assert.match(
      stdout,
      /\nno ages: ss is not installed \(package iproute2\), so the sockets were watched for 0.5 s\n/,
    );
  });

  it("examines all processes if none is named", async () => {
    await using patient = await UnreadServer.open();
    const { far } = await patient.join();
    far.write("unread");
    const { status, stdout } = await doctor("--json", ...BOUND);
    assert.equal(status, 1);
    const { findings, states } = JSON.parse(stdout) as Told;
    assert.ok((states["LISTEN"] ?? 0) >= 1);
    const found = findings.find(({ kind }) => kind === "receive-queue");
    assert.ok(found?.sockets.some((socket) => "localPort" in socket && socket.localPort === patient.port));
  });

  it("stops watching when the reader of its output has ended", async () => {
    await using patient = await UnreadServer.open();
    const args = ["doctor", "--port", `${patient.port}`, "--json", "--watch", ...BOUND];
    await using serving = new ServeProcess(args, [], WITHOUT_SS);
    serving.process.stdout?.destroy();
    const { status, stderr } = await serving.exit;
    assert.deepEqual([status, stderr], [0, ""]);
  });

  it("watches until it is stopped, and ends with its last findings", async () => {
    await using patient = await UnreadServer.open();
    const { far, near } = await patient.join();
    await using serving = new ServeProcess(
      ["doctor", "--port", `${patient.port}`, "--json", "--watch", ...BOUND],
      [],
      WITHOUT_SS,
    );
    await serving.until((text) => text.split("\n").length > 1);
    near.resume();
    far.end();
    await serving.until((text) => text.includes("close-wait"));
    serving.signal("SIGTERM");
    const { status, signal, stdout, stderr } = await serving.exit;
    assert.deepEqual([status, signal, stderr], [1, null, ""]);
    const reports = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Told);
    assert.deepEqual([reports[0]?.ok, reports.at(-1)?.ok], [true, false]);
  });

  it("reports a process that does not exist, with status 2", async () => {
    const child = spawn(process.execPath, ["--version"], { stdio: "ignore" });
    await once(child, "exit");
    const { status, stdout, stderr } = await doctor("--pid", `${child.pid}`);
    assert.deepEqual([status, stdout, stderr], [2, "", "holdfast: the process does not exist\n"]);
  });
});

describe("the flags of holdfast doctor", { timeout: 240_000, concurrency: true }, () => {
  const wrong: Record<string, readonly [readonly string[], RegExp]> = {
    "a process that cannot be": [["--pid", "0"], /--pid "0": expected a whole number from 1/],
    "a process as a URL": [["123"], /URL "123": a process is named by --pid 123/],
    "a port that cannot be": [["--port", "http"], /--port "http": expected a whole number from 1 to 65535/],
    "both at once": [["--pid", "1", "--port", "1"], /--pid with --port/],
    "a bound too short to tell": [["--bound", "10"], /--bound "10": expected a whole number from 500/],
    "one that there is not": [["--fix"], / --fix; .*holdfast doctor --help/],
  };
  for (const [what, [flags, said]] of Object.entries(wrong)) {
    it(`are refused, with status 2: ${what}`, async () => {
      const { status, stdout, stderr } = await doctor(...flags);
      assert.deepEqual([status, stdout], [2, ""]);
      assert.match(stderr, said);
    });
  }

  it("are described by --help", async () => {
    const { status, stdout } = await doctor("--help");
    assert.equal(status, 0);
    for (const flag of ["--pid", "--port", "--bound", "--watch", "--json"]) assert.ok(stdout.includes(flag), flag);
  });
});
