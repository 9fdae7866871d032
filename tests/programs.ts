/** Programs that we did not write, and that tests talk to: where they are, and what to install where they are not. */

import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

export interface Program {
  readonly name: string;
  /** What a person types to have it. */
  readonly install: string;
  /** Names to look for in the path, or whole paths; the first that is there is taken. */
  readonly places: readonly string[];
  /** Arguments with which it must succeed, where being there is not enough. */
  readonly check?: readonly string[];
}

export const CURL: Program = { name: "curl", install: "apt-get install curl", places: ["curl"] };

export const CHROMIUM: Program = {
  name: "chromium",
  install: "apt-get install chromium",
  places: [process.env["CHROMIUM"] ?? "", "chromium", "chromium-browser", "google-chrome"].filter(Boolean),
};

export const OPENSSL: Program = {
  name: "openssl",
  install: "apt-get install openssl",
  places: ["openssl"],
  check: ["s_server", "-help"],
};

export const CC: Program = { name: "cc", install: "apt-get install build-essential", places: ["cc"] };

/** A Python that has `module`, of the system before any other: packages of the system are there only. */
const python = (module: string, name: string): Program => {
  const places = [process.env["PYTHON"] ?? "", "/usr/bin/python3", "python3"].filter(Boolean);
  return { name, install: `apt-get install ${name}`, places, check: ["-B", "-c", `import ${module}`] };
};
export const PYTHON: Program = python("fcntl", "python3");
export const AUTOBAHN: Program = python("autobahn.asyncio.websocket", "python3-autobahn");
export const WEBSOCKETS: Program = python("websockets.legacy", "python3-websockets");
export const WSPROTO: Program = python("wsproto", "python3-wsproto");

/** Runtimes that come as packages of npm. They are too large for everybody who installs what this package needs. */
const runtime = (name: string, path: string): Program => {
  const fetched = fileURLToPath(new URL(`../../.cache/peers/node_modules/${path}`, import.meta.url));
  return { name, install: "npm run peers", places: [fetched, name] };
};
const { platform, arch } = process;
export const BUN: Program = runtime("bun", `@oven/bun-${platform}-${arch === "arm64" ? "aarch64" : arch}/bin/bun`);
export const DENO: Program = runtime("deno", `@deno/${platform}-${arch}${platform === "linux" ? "-glibc" : ""}/deno`);

/** The path of `program`; undefined if there is none. */
export function found({ places, check }: Program): string | undefined {
  const works = (path: string | undefined): path is string =>
    path !== undefined && (check === undefined || spawnSync(path, check, { stdio: "ignore" }).status === 0);
  return places.map(located).find(works);
}

/** Why a test without `program` is skipped. */
export function wanting({ name, install }: Program): string {
  return `needs ${name}: ${install}`;
}

/** The path of `program`. Where there is none `t` is skipped, or fails if everything is to be tested, and says what to install. */
export function needed(t: TestContext, program: Program): string | undefined {
  const path = found(program);
  if (path !== undefined) return path;
  const wanted = wanting(program);
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
