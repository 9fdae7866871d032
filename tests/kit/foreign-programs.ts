/** Programs of other projects that tests use: where they are, and what to install if one is missing. */

import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
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

export const TINYPROXY: Program = {
  name: "tinyproxy",
  install: "apt-get install tinyproxy-bin",
  places: ["tinyproxy"],
};
export const MICROSOCKS: Program = {
  name: "microsocks",
  install: "apt-get install microsocks",
  places: ["microsocks"],
};
export const SSH: Program = { name: "ssh", install: "apt-get install openssh-client", places: ["ssh"] };
// sshd must be started by its whole path.
export const SSHD: Program = {
  name: "sshd",
  install: "apt-get install openssh-server",
  places: ["/usr/sbin/sshd", "/usr/local/sbin/sshd"],
};

export const BASH: Program = { name: "bash", install: "apt-get install bash", places: ["bash"] };
export const ZSH: Program = { name: "zsh", install: "apt-get install zsh", places: ["zsh"] };
export const FISH: Program = { name: "fish", install: "apt-get install fish", places: ["fish"] };
export const PROMETHEUS: Program = {
  name: "prometheus",
  install: "apt-get install prometheus",
  places: ["prometheus"],
};
export const PROMTOOL: Program = { name: "promtool", install: "apt-get install prometheus", places: ["promtool"] };

export const SS: Program = { name: "ss", install: "apt-get install iproute2", places: ["ss"] };

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

/** Runtimes that are npm packages. They are too large to be dependencies. */
const runtime = (name: string, path: string): Program => {
  const fetched = fileURLToPath(new URL(`../../../.cache/peers/node_modules/${path}`, import.meta.url));
  return { name, install: "npm run peers", places: [fetched, name] };
};
const { platform, arch } = process;
export const BUN: Program = runtime("bun", `@oven/bun-${platform}-${arch === "arm64" ? "aarch64" : arch}/bin/bun`);
export const DENO: Program = runtime("deno", `@deno/${platform}-${arch}${platform === "linux" ? "-glibc" : ""}/deno`);

/** Test frameworks, as scripts for Node. */
const framework = (name: string, path: string): Program => {
  const fetched = fileURLToPath(new URL(`../../../.cache/peers/node_modules/${path}`, import.meta.url));
  return { name, install: "npm run peers", places: [fetched] };
};
export const VITEST: Program = framework("vitest", "vitest/vitest.mjs");
export const JEST: Program = framework("jest", "jest/bin/jest.js");

/** True if these packages were fetched. Otherwise `t` is skipped, or fails if everything is to be tested. */
export function needsPackages(t: TestContext, packages: readonly string[]): boolean {
  const folder = fileURLToPath(new URL("../../../.cache/peers/node_modules/", import.meta.url));
  const missing = packages.filter((name) => !existsSync(join(folder, name, "package.json")));
  if (missing.length === 0) return true;
  const wanted = wanting({ name: missing.join(", "), install: "npm run peers" });
  if (process.env["HOLDFAST_REQUIRE_ALL"] === "1") throw new Error(wanted);
  t.skip(wanted);
  return false;
}

/** The path of `program`; undefined if there is none. */
export function found({ places, check }: Program): string | undefined {
  const works = (path: string | undefined): path is string =>
    path !== undefined && (check === undefined || spawnSync(path, check, { stdio: "ignore" }).status === 0);
  return places.map(located).find(works);
}

/** Why a test without `program` is skipped. */
export function wanting({ name, install }: Pick<Program, "name" | "install">): string {
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
