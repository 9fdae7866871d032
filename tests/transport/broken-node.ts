/** Runs a program of this folder in a process of its own, in which something of Node's may be broken. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** What `program` prints, as JSON, when it is told what is `broken`. */
export function toldBy<Told>(
  program: "choosing" | "keeping",
  broken: string,
  flags: readonly string[] = [],
  env: Record<string, string> = {},
): Told {
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
