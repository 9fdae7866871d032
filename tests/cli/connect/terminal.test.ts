/** `holdfast connect` on a terminal: the prompt, the history, colours, and what a peer cannot do to the screen. */

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import type { Connection } from "../../../src/index.ts";
import { deferred } from "../../kit/deferred.ts";
import { needed, PYTHON } from "../../kit/foreign-programs.ts";
import { screenOf, TerminalProgram } from "../../kit/terminal.ts";
import { echoServer, MAIN, serverOf } from "./connect-process.ts";

const LIMIT = { timeout: 240_000, concurrency: 4 };

const [ENTER, CTRL_C, CTRL_D, UP] = ["\r", "\u0003", "\u0004", "\u001b[A"];

/** Runs `holdfast` on a terminal; undefined where there is no Python. */
function onTerminal(t: TestContext, args: readonly string[], env: NodeJS.ProcessEnv = {}): TerminalProgram | undefined {
  const python = needed(t, PYTHON);
  return python === undefined ? undefined : new TerminalProgram(python, MAIN, args, env);
}

/** Resolves when it is connected, and has its prompt again. */
const connected = (program: TerminalProgram): Promise<void> =>
  program.until((stdout) => {
    const screen = screenOf(stdout);
    return screen.some((line) => line.startsWith("connected")) && /^( *[\d.]+ ms )?>$/.test(screen.at(-1) ?? "");
  });

describe("holdfast connect on a terminal", LIMIT, () => {
  it("has a prompt, answers with their time, and a close at Ctrl+D", async (t) => {
    await using server = await echoServer();
    await using program = onTerminal(t, ["connect", server.url]);
    if (program === undefined) return;
    await connected(program);
    // Without spaces: with the time in the queue, which a busy machine adds, the line needs two rows, and a space at the end of a row is lost.
    const shown = program.screen.join("").replaceAll(" ", "");
    assert.match(shown, /connectedtows:\/\/127\.0\.0\.1:\d+\(.*upgrade[\d.]+ms\);Ctrl\+D/);
    program.write(`hello${ENTER}`);
    await program.until((stdout) => / < hello\r?\n/.test(`${screenOf(stdout).join("\n")}\n`));
    program.write(CTRL_D);
    const { status } = await program.exit;
    assert.equal(status, 0);
    assert.match(program.screen[0] ?? "", /^connecting to ws:/);
    const rest = program.screen.slice(program.screen.findIndex((line) => line.endsWith("> hello")));
    assert.match(rest.join("\n"), /^( *[\d.]+ ms )?> hello\n +\+[\d.]+ m?s < hello\nclosed by this side with 1000$/);
  });

  it("shows the round-trip time of the last Ping in the prompt", async (t) => {
    await using server = await echoServer();
    await using program = onTerminal(t, ["connect", server.url, "--ping", "50ms"]);
    if (program === undefined) return;
    await program.untilLast(/^ *[\d.]+ ms >$/);
  });

  it("prints a message above the line that is being typed, also where that line is on two rows", async (t) => {
    for (const typed of ["half", "h".repeat(100)]) {
      const [opened, received] = [deferred<Connection>(), deferred<unknown>()];
      await using server = await serverOf(async (connection) => {
        opened.resolve(connection);
        received.resolve(await connection.receive());
      });
      await using program = onTerminal(t, ["connect", server.url, "--ping", "0"]);
      if (program === undefined) return;
      await connected(program);
      program.write(typed);
      const shown = (output: string): string => screenOf(output).join("");
      await program.until((stdout) => shown(stdout).endsWith(`> ${typed}`));
      await (await opened.promise).send("news");
      await program.until((stdout) => / < news> h+/.test(shown(stdout)) && shown(stdout).endsWith(`< news> ${typed}`));
      assert.equal(shown(program.stdout).split("> h").length, 2, "the line is there once");
      // The cursor is elsewhere, too: readline then draws the line itself.
      program.write("\u001b[D\u001b[D");
      await (await opened.promise).send("more");
      await program.until((stdout) => shown(stdout).endsWith(`< more> ${typed}`));
      assert.match(shown(program.stdout), new RegExp(`< news *\\+[^<]*< more> ${typed}$`));
      program.write("X");
      // Node takes several characters at once as a paste, which it appends to the line.
      await program.until((stdout) => shown(stdout).includes(`${typed.slice(0, -2)}X`));
      program.write(ENTER);
      assert.equal(await received.promise, `${typed.slice(0, -2)}X${typed.slice(-2)}`);
    }
  });

  it("has the last lines at the up arrow, and with --history those of the last session", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const history = join(folder, "history");
    await using server = await echoServer();
    await using first = onTerminal(t, ["connect", server.url, "--history", history]);
    if (first === undefined) return;
    const count = (output: string): number => screenOf(output).filter((line) => / < one$/.test(line)).length;
    first.write(`one${ENTER}`);
    await first.until((stdout) => count(stdout) === 1);
    first.write(`${UP}${ENTER}`);
    await first.until((stdout) => count(stdout) === 2);
    first.write(`two${ENTER}${CTRL_D}`);
    assert.equal((await first.exit).status, 0);
    assert.equal(readFileSync(history, "utf8"), "one\ntwo\n");
    assert.equal(statSync(history).mode & 0o077, 0);
    await using second = onTerminal(t, ["connect", server.url, "--history", history]) as TerminalProgram;
    second.write(`${UP}${UP}${ENTER}`);
    await second.until((stdout) => count(stdout) === 1);
  });

  it("ends with status 130 at Ctrl+C, and while it waits to connect again", async (t) => {
    const server = await echoServer();
    await using open = onTerminal(t, ["connect", server.url]);
    if (open === undefined) return;
    await connected(open);
    open.write(CTRL_C);
    assert.equal((await open.exit).status, 130);
    assert.match(open.screen.at(-1) ?? "", /^closed by this side with 1000$/);
    await server.close();
    await using waiting = onTerminal(t, ["connect", server.url, "--reconnect"]) as TerminalProgram;
    await waiting.until((stdout) => stdout.includes("unreachable: "));
    waiting.write(CTRL_C);
    assert.equal((await waiting.exit).status, 130);
  });

  it("ends with the close of the peer, whatever is typed", async (t) => {
    await using server = await serverOf(async (connection) => {
      await connection.receive();
      await connection.close(4000, "enough");
    });
    await using program = onTerminal(t, ["connect", server.url]);
    if (program === undefined) return;
    program.write(`bye${ENTER}not sent`);
    assert.equal((await program.exit).status, 1);
    assert.match(program.screen.at(-1) ?? "", /^closed by the peer with 4000 "enough"$/);
  });

  it("#114 stays interactive after --exec, and shows what it has sent", async (t) => {
    await using server = await echoServer();
    await using program = onTerminal(t, ["connect", server.url, "-x", "first", "-x", "second"]);
    if (program === undefined) return;
    program.write(`third${ENTER}`);
    await program.until((stdout) => screenOf(stdout).some((line) => / < third$/.test(line)));
    for (const line of [/ > first$/, / < first$/, / > second$/, / < second$/])
      assert.ok(
        program.screen.some((one) => line.test(one)),
        String(line),
      );
    program.write(CTRL_D);
    assert.equal((await program.exit).status, 0);
  });

  it("says what is wrong with a line, and goes on", async (t) => {
    await using server = await echoServer();
    await using program = onTerminal(t, ["connect", server.url, "--send", "hex"]);
    if (program === undefined) return;
    program.write(`zz${ENTER}cafe${ENTER}`);
    await program.until((stdout) => screenOf(stdout).some((line) => /< 00000000 {2}ca fe .*\|\.\.\|$/.test(line)));
    assert.ok(program.screen.includes('cannot send "zz": expected hex'));
  });

  it("prints JSON on several lines, unless --plain", async (t) => {
    await using server = await echoServer();
    for (const [flags, expected] of [
      [[], ["{", '|   "a": 1', "| }"]],
      [["--plain"], ['{"a":1}']],
    ] as const) {
      await using program = onTerminal(t, ["connect", server.url, "-x", '{"a":1}', "-n", "1", ...flags]);
      if (program === undefined) return;
      await program.exit;
      const at = program.screen.findIndex((line) => / < \{/.test(line));
      const shown = program.screen.slice(at, at + expected.length).map((line) => line.replace(/^.* < /, ""));
      assert.deepEqual(shown, expected);
    }
  });

  it("escapes the control characters of a peer, and refuses --raw", async (t) => {
    await using server = await serverOf(async (connection) => {
      await connection.send("\u001b]0;owned\u0007\u001b[2J\u009b31m\nconnected to wss://bank.example");
      await connection.close(1000, "\u001b[2J");
    });
    await using program = onTerminal(t, ["connect", server.url], { NO_COLOR: "1" });
    if (program === undefined) return;
    await program.exit;
    assert.ok(program.screen.some((line) => line.endsWith("< \\x1b]0;owned\\x07\\x1b[2J\\x9b31m")));
    assert.ok(program.screen.includes("| connected to wss://bank.example"));
    assert.equal(program.screen.at(-1), 'closed by the peer with 1000 "\\x1b[2J"');
    assert.ok(!program.stdout.includes("\u001b[2J") && !program.stdout.includes("\u0007"));
    await using raw = onTerminal(t, ["connect", server.url, "--raw"]) as TerminalProgram;
    assert.equal((await raw.exit).status, 2);
  });
});

describe("colours of holdfast", LIMIT, () => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the sequences to find.
  const COLOUR = /\u001b\[[\d;]+m/;

  it("are on a terminal only, and not with NO_COLOR or on a terminal that has none", async (t) => {
    const shown = async (env: NodeJS.ProcessEnv): Promise<string> => {
      await using program = onTerminal(t, ["serve", "--help"], env);
      return program === undefined ? "" : (await program.exit).stdout;
    };
    const [coloured, ...others] = await Promise.all([
      shown({}),
      shown({ NO_COLOR: "1", FORCE_COLOR: "1" }),
      shown({ TERM: "dumb" }),
    ]);
    if (needed(t, PYTHON) === undefined) return;
    assert.match(coloured ?? "", COLOUR);
    for (const one of others) {
      assert.ok(one.includes("FLAGS"));
      assert.doesNotMatch(one, COLOUR);
    }
  });
});
