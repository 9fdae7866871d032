/** Runs a program of this folder in another process, in which a part of Node may be broken. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The JSON that `program` prints with the argument `broken`. */
export function outputOf<Output>(
  program: "fast/select-program" | "zlib/reusable-program",
  broken: string,
  flags: readonly string[] = [],
  env: Record<string, string> = {},
): Output {
  const path = fileURLToPath(new URL(`./${program}.js`, import.meta.url));
  const { HOLDFAST_TRANSPORT: _, ...inherited } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [...flags, path, broken], {
    env: { ...inherited, ...env },
    encoding: "utf8",
    timeout: 60_000,
  });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}
