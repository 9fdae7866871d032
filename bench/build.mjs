/** Makes what is not there yet: the load generator, the limit, and the peers in other languages. All into .cache/bench. */

import { execFile, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { root } from "../tools/ready.mjs";

const run = promisify(execFile);
const here = join(root, "bench");
const cache = join(root, ".cache", "bench");

/** What is needed and not there; whoever needs it is left out, and this says why. */
export class Missing extends Error {}

/** One build of each, however many ask. */
const made = new Map();
const once = (name, make) => () => {
  if (!made.has(name)) made.set(name, make());
  return made.get(name);
};

const ZLIB = { flags: ["-DWITH_ZLIB"], libraries: ["-lz"] };
const TLS = { flags: ["-DWITH_TLS"], libraries: ["-lssl", "-lcrypto"] };

/** The generator, with zlib and OpenSSL if their headers are there. */
export const load = once("load", async () => {
  let failure;
  for (const parts of [[ZLIB, TLS], [ZLIB], [TLS], []]) {
    try {
      return await compiled(
        "load",
        parts.flatMap(({ flags }) => flags),
        parts.flatMap(({ libraries }) => libraries),
      );
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
});

/** The epoll loop that does nothing else. */
export const limit = once("limit", () => compiled("peers/c", [], []));

/** The program of the peers in Go. */
export const go = once("go", () =>
  told("go", async () => {
    const output = join(cache, "go-peers");
    // The toolchain that is there: another one would be fetched, and the versions would not be what was meant.
    const env = { ...process.env, GOTOOLCHAIN: "local" };
    await run("go", ["build", "-o", output, "."], { cwd: join(here, "peers/go"), env });
    return output;
  }),
);

/** The server of Centrifugo. */
export const centrifugo = once("centrifugo", () =>
  told("go", async () => {
    const output = join(cache, "centrifugo");
    const env = { ...process.env, GOTOOLCHAIN: "local" };
    const command = ["build", "-o", output, "github.com/centrifugal/centrifugo/v6"];
    await run("go", command, { cwd: join(here, "peers/centrifugo"), env });
    return output;
  }),
);

/** The program of the peer in Rust. */
export const rust = once("cargo", () =>
  told("cargo", async () => {
    const target = join(cache, "rust");
    await run("cargo", ["build", "--release", "--locked", "--target-dir", target], { cwd: join(here, "peers/rust") });
    return join(target, "release", "holdfast-bench-peers");
  }),
);

/** The npm packages that only the benchmarks need, in a folder of their own. */
export const packages = once("npm", () =>
  told("npm", async () => {
    const folder = join(here, "peers/node");
    const lock = join(folder, "node_modules/.package-lock.json");
    if (!existsSync(lock)) await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: folder });
    return folder;
  }),
);

/** The binary that the package `bun` brings for this machine. */
export async function bun() {
  const folder = join(await packages(), "node_modules/@oven");
  const [name] = existsSync(folder) ? readdirSync(folder) : [];
  if (name === undefined) throw new Missing("the package bun has no binary for this machine");
  return join(folder, name, "bin", "bun");
}

/** All C files of a folder, by name of what went into it: another source is another program. */
async function compiled(folder, flags, libraries) {
  const path = join(here, folder);
  const sources = readdirSync(path).filter((file) => /\.[ch]$/.test(file));
  const all = ["-std=gnu11", "-O2", "-Wall", "-Wextra", ...flags];
  const hash = createHash("sha256").update(all.join(" "));
  for (const source of sources) hash.update(source).update(readFileSync(join(path, source)));
  const output = join(cache, `${folder.replace("peers/", "")}-${hash.digest("hex").slice(0, 16)}`);
  if (existsSync(output)) return output;
  if (spawnSync("cc", ["--version"]).error !== undefined)
    throw new Missing("needs cc: apt-get install build-essential");
  mkdirSync(cache, { recursive: true });
  // Under a name of our own first: another run may be building the same.
  const own = `${output}.${process.pid}`;
  const files = sources.filter((file) => file.endsWith(".c")).map((file) => join(path, file));
  await run("cc", [...all, "-o", own, ...files, ...libraries]);
  renameSync(own, output);
  return output;
}

/** A tool that is not there, or that failed, is a reason to leave a peer out. */
async function told(tool, build) {
  if (spawnSync(tool, ["--help"]).error !== undefined) throw new Missing(`needs ${tool}`);
  mkdirSync(cache, { recursive: true });
  try {
    return await build();
  } catch (error) {
    const said = String(error.stderr || error.message).trim();
    throw new Missing(`${tool} failed: ${said.split("\n").at(-1)}`);
  }
}
