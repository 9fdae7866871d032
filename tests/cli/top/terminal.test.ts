/** `holdfast top` on a terminal: the keys, another size, colours, and the terminal as it was at the end. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { dashboard } from "../../../src/dashboard/index.ts";
import { listen, type Server } from "../../../src/index.ts";
import { needed, PYTHON } from "../../kit/foreign-programs.ts";
import { portOf, RawPeer } from "../../kit/raw-peer.ts";
import { screenOf, TerminalProgram } from "../../kit/terminal.ts";
import { silentServer } from "./silent-server.ts";

const MAIN = fileURLToPath(new URL("../../../src/cli/main.js", import.meta.url));

const [ENTER, ESCAPE, CTRL_C, LEFT, RIGHT] = ["\r", "\u001b", "\u0003", "\u001b[D", "\u001b[C"];

// What gives the terminal back: wrapping, the cursor, the screen of before.
const RESTORED = "\u001b[?7h\u001b[?25h\u001b[?1049l";

const heading = (output: string): string => screenOf(output).find((line) => /^(REMOTE|ID) /.test(line)) ?? "";

function onTerminal(t: TestContext, args: readonly string[], env: NodeJS.ProcessEnv = {}): TerminalProgram | undefined {
  const python = needed(t, PYTHON);
  return python === undefined ? undefined : new TerminalProgram(python, MAIN, ["top", ...args], env);
}

const LIMIT = { timeout: 240_000, concurrency: 2, skip: process.platform !== "linux" && "needs Linux" };

describe("holdfast top on a terminal", LIMIT, () => {
  it("shows the sockets, and other ones at the next reading", async (t) => {
    await using server = await silentServer();
    const port = portOf(server);
    await using program = onTerminal(t, [String(process.pid), "--interval", "100ms"]);
    if (program === undefined) return;
    await program.until((stdout) => screenOf(stdout).some((line) => line.includes(`${port} LISTEN`)));
    assert.match(program.screen[0] ?? "", new RegExp(`^process ${process.pid} \\(`));
    assert.match(program.screen.at(-1) ?? "", /q: quit$/);
    const peer = await RawPeer.to(port);
    await program.until((stdout) => screenOf(stdout).some((line) => line.includes(`${port} ESTABLISHED`)));
    await peer[Symbol.asyncDispose]();
    await program.until((stdout) => !screenOf(stdout).some((line) => line.includes(`${port} ESTABLISHED`)));
    program.write("q");
    assert.equal((await program.exit).status, 0);
    assert.ok(program.stdout.endsWith(RESTORED));
  });

  it("obeys its keys: column, order, filter", async (t) => {
    await using server = await silentServer();
    const port = portOf(server);
    await using program = onTerminal(t, [String(process.pid), "--interval", "1h"]);
    if (program === undefined) return;
    const headed = (form: RegExp): Promise<void> => program.until((stdout) => form.test(heading(stdout)));
    await headed(/ SEND-Qv /);
    await program.until((stdout) => screenOf(stdout).some((line) => line.includes(`${port} LISTEN`)));
    program.write(RIGHT);
    await headed(/ RECV-Qv /);
    program.write(`${LEFT}${LEFT}`);
    await headed(/ STATEv /);
    program.write("r");
    await headed(/ STATE\^ /);
    program.write("/qqq");
    await program.until((stdout) => {
      const screen = screenOf(stdout);
      return screen.includes("filter: qqq_") && !screen.some((line) => line.includes(`${port} LISTEN`));
    });
    program.write(ENTER);
    await program.until((stdout) => screenOf(stdout).some((line) => /^filter: qqq \(0 of \d+; Esc/.test(line)));
    program.write(ESCAPE);
    await program.until((stdout) => screenOf(stdout).some((line) => line.includes(`${port} LISTEN`)));
    program.write(CTRL_C);
    assert.equal((await program.exit).status, 0);
    assert.ok(program.stdout.endsWith(RESTORED));
  });

  it("ends at once, also while it reads", async (t) => {
    await using program = onTerminal(t, ["--interval", "1h"]);
    if (program === undefined) return;
    program.write("q");
    assert.equal((await program.exit).status, 0);
    assert.ok(program.stdout.endsWith(RESTORED));
  });

  it("connects again when the server of a URL has been started again", async (t) => {
    const start = async (port: number): Promise<Server & AsyncDisposable> => {
      const { feedPath, feed } = dashboard(process);
      return await listen(`ws://127.0.0.1:${port}/`, { open: () => undefined, routes: { [feedPath]: feed } });
    };
    const first = await start(0);
    const port = portOf(first);
    await using program = onTerminal(t, [`http://127.0.0.1:${port}`, "--interval", "100ms"]);
    if (program === undefined) {
      await first.close();
      return;
    }
    const shows = (form: RegExp): Promise<void> => program.until((stdout) => form.test(screenOf(stdout)[0] ?? ""));
    await shows(/^process \d+ on .*: 1 connections/);
    await first.close();
    await shows(/^not connected, trying again: .*ECONNREFUSED/);
    await using _second = await start(port);
    await shows(/^process \d+ on .*: 1 connections/);
    program.write("q");
    assert.equal((await program.exit).status, 0);
  });

  it("fits another size of the terminal at once", async (t) => {
    await using program = onTerminal(t, [String(process.pid), "--interval", "1h"]);
    if (program === undefined) return;
    await program.until((stdout) => / OUT\/S/.test(heading(stdout)));
    program.resize(10, 60);
    await program.until((stdout) => {
      const screen = screenOf(stdout);
      return screen.length === 10 && screen.every(({ length }) => length <= 60) && /scroll$/.test(screen.at(-1) ?? "");
    });
    program.write("q");
    assert.equal((await program.exit).status, 0);
  });

  it("has colours, but not with NO_COLOR", async (t) => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the sequences to find.
    const colour = /\u001b\[[\d;]+m/;
    for (const [env, expected] of [
      [{}, true],
      [{ NO_COLOR: "1" }, false],
    ] as const) {
      await using program = onTerminal(t, [String(process.pid)], env);
      if (program === undefined) return;
      await program.until((stdout) => heading(stdout) !== "");
      program.write("q");
      assert.equal(colour.test((await program.exit).stdout), expected);
    }
  });

  it("draws few frames for many keys: a key that comes before the last frame is taken gets none of its own", async (t) => {
    await using program = onTerminal(t, [String(process.pid), "--interval", "1h"]);
    if (program === undefined) return;
    const frames = (): number => program.stdout.split("\u001b[H").length;
    await program.until((stdout) => heading(stdout) !== "");
    program.write(`${RIGHT.repeat(300)}r`);
    await program.until((stdout) => /\^/.test(heading(stdout)));
    assert.ok(frames() < 100, String(frames()));
    program.write("q");
    assert.equal((await program.exit).status, 0);
  });
});
