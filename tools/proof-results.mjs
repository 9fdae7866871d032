/** The results that docs/proof.md is written from: each with the commit, the date and the machine on which it was found. */

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { root } from "./ready.mjs";

export const folder = join(root, "proof/results");

/** The commit, short, with a plus if files have changed since. */
export function commit() {
  const git = (...args) => spawnSync("git", args, { cwd: root, encoding: "utf8" }).stdout.trim();
  return `${git("rev-parse", "--short=10", "HEAD")}${git("status", "--porcelain", "src", "tests") === "" ? "" : "+"}`;
}

/** True if commands that find results record them: with `--record`, or everywhere with HOLDFAST_RECORD=1. */
export const recording = process.env["HOLDFAST_RECORD"] === "1" || process.argv.includes("--record");

/** The recorded result. Undefined if there is none. */
export function recorded(name) {
  const path = join(folder, `${name}.json`);
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : undefined;
}

/** Writes one result. */
export function record(name, result) {
  mkdirSync(folder, { recursive: true });
  const where = `Node ${process.versions.node}, ${availableParallelism()} x ${cpus()[0]?.model ?? "unknown processor"}`;
  const facts = { commit: commit(), date: new Date().toISOString().slice(0, 10), where, ...result };
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(facts, undefined, 2)}\n`);
}
