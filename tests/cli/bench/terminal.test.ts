/** `holdfast bench` on a terminal. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { needed, PYTHON } from "../../kit/foreign-programs.ts";
import { TerminalProgram } from "../../kit/terminal.ts";
import { echo, serving } from "./loads.ts";

const MAIN = fileURLToPath(new URL("../../../src/cli/main.js", import.meta.url));

function onTerminal(t: TestContext, ...args: readonly string[]): TerminalProgram | undefined {
  const python = needed(t, PYTHON);
  const line = ["bench", ...args, "--rate", "200", "--warmup", "0s", "--pace", "timer"];
  return python === undefined ? undefined : new TerminalProgram(python, MAIN, line);
}

const STATUS = /^\d of 2 s: \d+\/s, p50 \S+ \S+, p99 \S+ \S+; Ctrl\+C ends the measurement$/;

describe("holdfast bench on a terminal", { timeout: 120_000, concurrency: true }, () => {
  it("shows how far it is in one line, which is gone when the result is printed, in colours", async (t) => {
    await using server = await serving(echo);
    await using program = onTerminal(t, server.url, "--duration", "2s");
    if (program === undefined) return;
    await program.untilLast(STATUS);
    const { status, stdout } = await program.exit;
    assert.equal(status, 0);
    const { screen } = program;
    assert.match(screen[0] ?? "", /^echo {2}ws:/);
    assert.equal(screen.filter((line) => line.includes("Ctrl+C")).length, 0);
    assert.match(screen.at(-1) ?? "", /^ {13}0 connections ended$/);
    assert.ok(stdout.includes("\u001b[1mecho\u001b[22m"));
  });

  it("ends the measurement at Ctrl+C, with the result until then", async (t) => {
    await using server = await serving(echo);
    await using program = onTerminal(t, server.url, "--duration", "10m");
    if (program === undefined) return;
    await program.untilLast(/^\d of 600 s: \d+\/s, p50/);
    program.write("\u0003");
    const { status } = await program.exit;
    assert.equal(status, 0);
    assert.match(program.screen[0] ?? "", /^echo {2}ws:|^\^C/);
    assert.match(program.screen.at(-1) ?? "", /^ {13}0 connections ended$/);
  });
});
