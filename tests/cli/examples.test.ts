/** Every command line of docs/cli.md, run by a shell as a reader would run it, on a server of its own. */

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { ChildProgram } from "../kit/child-process.ts";
import { portIn, ServeProcess } from "../kit/serve-process.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const PAGE = fileURLToPath(new URL("../../../docs/cli.md", import.meta.url));

/** The command lines of each section. */
const SECTIONS = readFileSync(PAGE, "utf8")
  .split(/^## /m)
  .map((section) => ({
    title: section.split("\n", 1)[0] ?? "",
    lines: Array.from(section.matchAll(/^```sh\n(.*?)\n```$/gms), ([, block = ""]) => block.split("\n")).flat(),
  }));

/** They run until a signal. */
const KEEPS_RUNNING = [/^holdfast (serve|chaos)\b/, / --watch\b/];

/** Their status says what was found or measured on this machine. */
const JUDGES = [/^holdfast doctor\b/, /^holdfast bench\b.* --(expect|compare)\b/];

// The sections run at the same time, the examples of one after each other: one records what the next replays.
describe("docs/cli.md", { timeout: 240_000, concurrency: true }, () => {
  // The examples before may have left files for those that follow.
  const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
  before(() => {
    writeFileSync(join(folder, "holdfast"), `#!/bin/sh\nexec "${process.execPath}" "${MAIN}" "$@"\n`, { mode: 0o755 });
  });
  after(() => rmSync(folder, { recursive: true }));

  for (const { title, lines } of SECTIONS) {
    describe(title, { concurrency: 1 }, () => {
      // A server of its own: the chat of one section would disturb the measurement of another.
      let serving: ServeProcess;
      before(async () => {
        // An example opens its inspector: on a free port, because the usual one may be taken on this machine.
        const flags = ["--port", "0", "--tcp-port", "0", "--json"];
        serving = new ServeProcess(["serve", ...flags], ["--inspect-port=0"]);
        await serving.until((text) => text.includes("\n"));
      });
      after(() => serving[Symbol.asyncDispose]());
      for (const line of lines) it(line, () => assertRuns(line, serving));
    });
  }

  async function assertRuns(line: string, serving: ServeProcess): Promise<void> {
    const keepsRunning = KEEPS_RUNNING.some((form) => form.test(line)) && !line.includes("--help");
    // `exec`, so that the signal reaches the command.
    const command = `cd "${folder}" && ${keepsRunning ? "exec " : ""}${placed(line, serving)}`;
    const env = { PATH: `${folder}${delimiter}${process.env["PATH"]}`, PID: String(serving.process.pid) };
    await using program = new ChildProgram("-c", [command], { runtime: ["bash"], env, stderr: "kept" });
    if (keepsRunning) {
      await program.until((stdout) => stdout.includes("\n"));
      program.signal("SIGTERM");
    }
    const { status, stdout, stderr } = await program.exit;
    const most = JUDGES.some((form) => form.test(line)) ? 1 : 0;
    assert.ok(status !== null && status <= most, `${status}: ${stdout}${stderr}`);
    if (!/ > |^eval /.test(line)) assert.notEqual(stdout + stderr, "");
  }

  it("has examples of each command", () => {
    const commands = SECTIONS.filter(({ title }) => title.startsWith("holdfast "));
    assert.ok(commands.length >= 4);
    for (const { title, lines } of commands)
      assert.ok(
        lines.some((line) => line.includes(title)),
        title,
      );
  });
});

/** The line for the ports of this test. A measurement and a search are short, and leaves the processors to the other tests. */
function placed(line: string, { addresses: { ws, tcp } }: ServeProcess): string {
  const here = line
    .replaceAll("127.0.0.1:9000", `127.0.0.1:${portIn(ws)}`)
    .replaceAll("127.0.0.1:9001", `127.0.0.1:${portIn(tcp)}`)
    .replaceAll("--port 9000", `--port ${portIn(ws)}`);
  if (line.startsWith("holdfast bench")) {
    return here
      .replace(/ --duration \S+/, "")
      .replace(/^holdfast bench \S+/, "$& --duration 1s --warmup 100ms --pace timer");
  }
  if (line.startsWith("holdfast doctor ws")) return `${here.replace(/ --idle \S+/, "")} --idle 500ms`;
  if (!line.startsWith("holdfast serve") || line.includes("--port 0")) return here;
  return `${here} --port 0${line.includes("--no-tcp") ? "" : " --tcp-port 0"}`;
}
