/** Programs that we did not write, and that tests talk to: where they are, and what to install where they are not. */

import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import type { TestContext } from "node:test";

export interface Program {
  readonly name: string;
  /** What a person types to have it. */
  readonly install: string;
  /** Names to look for in the path, or whole paths; the first that is there is taken. */
  readonly places: readonly string[];
}

export const CURL: Program = { name: "curl", install: "apt-get install curl", places: ["curl"] };

export const CHROMIUM: Program = {
  name: "chromium",
  install: "apt-get install chromium",
  places: [process.env["CHROMIUM"] ?? "", "chromium", "chromium-browser", "google-chrome"].filter(Boolean),
};

export const CC: Program = { name: "cc", install: "apt-get install build-essential", places: ["cc"] };

/** The path of `program`. Where there is none `t` is skipped, or fails if everything is to be tested, and says what to install. */
export function needed(t: TestContext, { name, install, places }: Program): string | undefined {
  const found = places.map(located).find((path) => path !== undefined);
  if (found !== undefined) return found;
  const wanted = `needs ${name}: ${install}`;
  if (process.env["HOLDFAST_REQUIRE_ALL"] === "1") throw new Error(wanted);
  t.skip(wanted);
  return undefined;
}

function located(place: string): string | undefined {
  const folders = place.includes("/") ? [""] : (process.env["PATH"] ?? "").split(delimiter);
  return folders.map((folder) => join(folder, place)).find(executable);
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
