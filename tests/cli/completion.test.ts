/** The completion scripts, in the shells for which they are. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { manuals } from "../../src/cli/commands.ts";
import { completionScript } from "../../src/cli/completion.ts";
import { BASH, FISH, needed, type Program, ZSH } from "../kit/foreign-programs.ts";

const LIMIT = { timeout: 120_000 };

/** Runs lines in a shell after the script. The lines get its path in $SCRIPT. Undefined where there is no such shell. */
async function inShell(t: TestContext, shell: "bash" | "zsh" | "fish", lines: string): Promise<string | undefined> {
  const programs: Readonly<Record<string, Program>> = { bash: BASH, zsh: ZSH, fish: FISH };
  const path = needed(t, programs[shell] as Program);
  if (path === undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const script = join(folder, "script");
  writeFileSync(script, completionScript(shell, await manuals()));
  const env = { ...process.env, SCRIPT: script, HOME: folder, TERM: "dumb" };
  const { stdout, stderr, status } = spawnSync(path, ["-c", lines], {
    env,
    encoding: "utf8",
    timeout: 60_000,
    cwd: folder,
  });
  assert.equal(status, 0, stdout + stderr);
  return stdout;
}

const CASES: readonly (readonly [line: string, expected: string])[] = [
  ["holdfast con", "connect"],
  ["holdfast connect --write", "--write-out"],
  ["holdfast connect --send b", "base64"],
  ["holdfast serve --work", "--workers"],
  ["holdfast completion z", "zsh"],
  ["holdfast help doc", "doctor"],
];

describe("the completion script", LIMIT, () => {
  it("of bash completes commands, flags, choices and files", async (t) => {
    const lines = CASES.map(([line]) => {
      const words = line.split(" ");
      const quoted = words.map((word) => `"${word}"`).join(" ");
      return `COMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _holdfast holdfast "${words.at(-1)}" "${words.at(-2)}"; echo "\${COMPREPLY[*]}"`;
    });
    const file =
      'touch a-file.pem; COMP_WORDS=(holdfast connect --ca a-f); COMP_CWORD=3; _holdfast holdfast a-f --ca; echo "${COMPREPLY[*]}"';
    const stdout = await inShell(t, "bash", ['. "$SCRIPT"', ...lines, file].join("\n"));
    if (stdout === undefined) return;
    assert.deepEqual(stdout.trim().split("\n"), [...CASES.map(([, expected]) => expected), "a-file.pem"]);
  });

  it("of fish completes commands, flags, choices and files", async (t) => {
    const lines = [...CASES.map(([line]) => line), "holdfast connect --ca a-f"].map(
      (line) => `complete -C '${line}' | string split -f 1 \\t`,
    );
    const stdout = await inShell(t, "fish", ['source "$SCRIPT"; touch a-file.pem', ...lines, "true"].join("\n"));
    if (stdout === undefined) return;
    assert.deepEqual(stdout.trim().split("\n"), [...CASES.map(([, expected]) => expected), "a-file.pem"]);
  });

  const SOURCED = "autoload -U compinit; compinit -u -D; source $SCRIPT";
  const IN_FPATH = "cp $SCRIPT ~/_holdfast; fpath=(~ $fpath); autoload -U compinit; compinit -u -D";
  const ways = [
    ...CASES.map((one) => [...one, SOURCED] as const),
    ...CASES.slice(0, 2).map((one) => [...one, IN_FPATH] as const),
  ];
  for (const [line, expected, way] of ways) {
    it(`of zsh completes ${JSON.stringify(line)}${way === SOURCED ? "" : " from $fpath"}`, async (t) => {
      // A shell of its own on a pseudo-terminal, as a person has it. The command that it would run prints its arguments.
      const lines = [
        "zmodload zsh/zpty",
        "zpty shell zsh -f -i",
        `zpty -w shell 'PROMPT= ; ${way}; holdfast() { print -r -- "got <$*>" }; print -r -- rea""dy'`,
        "zpty -r shell output '*ready*'",
        `zpty -n -w shell $'${line}\\t\\n'`,
        "zpty -r shell output '*got <*>*'",
        'print -r -- "$output"',
        "zpty -d shell",
      ];
      const stdout = await inShell(t, "zsh", lines.join("\n"));
      if (stdout === undefined) return;
      const words = line.split(" ").slice(1, -1);
      assert.equal(/got <(.*?) *>/.exec(stdout)?.[1], [...words, expected].join(" "), stdout);
    });
  }

  it("has every command and flag", async () => {
    const all = await manuals();
    for (const shell of ["bash", "zsh", "fish"] as const) {
      const script = completionScript(shell, all);
      for (const [name, { manual }] of Object.entries(all)) {
        assert.ok(script.includes(name));
        for (const flag of Object.keys(manual.flags)) assert.ok(script.includes(flag), `${shell}: ${name} ${flag}`);
      }
    }
  });
});
