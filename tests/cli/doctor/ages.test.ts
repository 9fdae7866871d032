/** `holdfast doctor` with ss: faults are found at once, and an ss that fails does no harm. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { ChildProgram, type Exit } from "../../kit/child-process.ts";
import { needed, SS } from "../../kit/foreign-programs.ts";
import { SOCKETS_SKIP, untilSockets } from "../../kit/kernel-sockets.ts";
import { ServeProcess } from "../../kit/serve-process.ts";
import { UnreadServer } from "../../kit/unread-server.ts";

interface Told {
  readonly findings: readonly { readonly kind: string }[];
  readonly ages: { readonly known: boolean; readonly reason?: string };
}

async function doctor(flags: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Exit> {
  await using examining = new ServeProcess(["doctor", ...flags], [], env);
  return await examining.exit;
}

async function examined(port: number, ...flags: readonly string[]): Promise<string[]> {
  const { stdout } = await doctor(["--port", `${port}`, "--json", ...flags]);
  const { findings, ages } = JSON.parse(stdout) as Told;
  assert.deepEqual(ages, { known: true });
  return findings.map(({ kind }) => kind);
}

/** Examines until there is a finding: a fault counts from the bound on. */
async function untilFound(port: number): Promise<string[]> {
  for (;;) {
    const found = await examined(port, "--bound", "500");
    if (found.length > 0) return found;
  }
}

describe("holdfast doctor with ss", { skip: SOCKETS_SKIP, timeout: 240_000, concurrency: true }, () => {
  it("finds a peer that does not read", async (t: TestContext) => {
    if (needed(t, SS) === undefined) return;
    await using patient = await UnreadServer.open();
    const { far, near } = await patient.join();
    far.pause();
    near.write(Buffer.alloc(16_000_000));
    await untilSockets(patient.port, ([socket]) => socket?.timer === 4);
    assert.deepEqual(await untilFound(patient.port), ["zero-window"]);
    assert.deepEqual(await examined(patient.port, "--bound", "3600000"), [], "not for an hour");
  });

  it("finds a peer that has ended, and bytes that are not read", async (t: TestContext) => {
    if (needed(t, SS) === undefined) return;
    await using patient = await UnreadServer.open();
    const { far, near } = await patient.join();
    near.resume();
    far.end();
    await untilSockets(patient.port, ([socket]) => socket?.state === "CLOSE_WAIT");
    assert.deepEqual(await untilFound(patient.port), ["close-wait"]);
    await using other = await UnreadServer.open();
    const unread = await other.join();
    unread.far.write("unread");
    assert.deepEqual(await untilFound(other.port), ["receive-queue"]);
  });

  it("finds a process that does not accept", async (t: TestContext) => {
    if (needed(t, SS) === undefined) return;
    const listening = `require("net").createServer().listen(0, "127.0.0.1", function () { console.log(this.address().port) })`;
    await using child = new ChildProgram("-e", [listening]);
    const port = Number(await child.line());
    child.signal("SIGSTOP");
    const socket = connect(port, "127.0.0.1").on("error", () => undefined);
    await once(socket, "connect");
    assert.deepEqual(await untilFound(port), ["accept-queue"]);
    socket.destroy();
  });

  it("prints what the kernel knows of each socket", async (t: TestContext) => {
    if (needed(t, SS) === undefined) return;
    await using patient = await UnreadServer.open();
    const { far } = await patient.join();
    far.write("unread");
    await untilFound(patient.port);
    const { stdout } = await doctor(["--port", `${patient.port}`, "--bound", "500"]);
    assert.match(stdout, /6 not read, received [\d.]+ s ago, sent [\d.]+ s ago, acknowledged [\d.]+ s ago, /);
    assert.doesNotMatch(stdout, /no ages/);
  });

  const wrong: Record<string, readonly [script: string, reason: RegExp]> = {
    "that fails": ["exit 3", /ss failed \(3\)/],
    "that may not ask the kernel": ["echo 'ESTAB 0 0 127.0.0.1:1 127.0.0.1:2 ino:1'", /ss may not ask the kernel here/],
    // On a busy machine it reaches the limit of time before that of output.
    "that prints without an end": ["exec yes", /ss failed|ss took longer than 5 s/],
  };
  for (const [what, [script, reason]] of Object.entries(wrong)) {
    it(`watches the sockets with an ss ${what}, and says so`, async () => {
      const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
      writeFileSync(join(folder, "ss"), `#!/bin/sh\n${script}\n`);
      chmodSync(join(folder, "ss"), 0o755);
      await using patient = await UnreadServer.open();
      const { far } = await patient.join();
      far.write("unread");
      await untilSockets(patient.port, ([socket]) => socket?.unread === 6);
      const PATH = `${folder}${delimiter}${process.env["PATH"]}`;
      const { stdout } = await doctor(["--port", `${patient.port}`, "--bound", "500", "--json"], { PATH });
      rmSync(folder, { recursive: true });
      const { findings, ages } = JSON.parse(stdout) as Told;
      assert.deepEqual(
        findings.map(({ kind }) => kind),
        ["receive-queue"],
      );
      assert.equal(ages.known, false);
      assert.match(ages.reason ?? "", reason);
    });
  }
});
