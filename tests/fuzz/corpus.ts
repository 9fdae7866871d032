/** The inputs that are kept in the repository: seeds with a meaning, and what once broke a promise. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Seen from where the tests are built to. */
const CORPUS = fileURLToPath(new URL("../../../tests/fuzz/corpus/", import.meta.url));

export interface Seed {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export const folders = (): string[] =>
  readdirSync(CORPUS, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));

/** The inputs of a target, in the order of their names. */
export function seedsOf(target: string): Seed[] {
  const folder = join(CORPUS, target);
  return readdirSync(folder)
    .sort()
    .map((name) => ({ name, bytes: Uint8Array.from(readFileSync(join(folder, name))) }));
}
