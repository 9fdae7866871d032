/** The processes of a run: the server under test on one core, the generator on another, both heard line by line. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { root } from "../tools/ready.mjs";
import { load } from "./build.mjs";

const PATIENCE = 30_000;
// Longest time that a server may take to end by itself.
const FAREWELL = 5_000;

/** A run that cannot stand: an answer was wrong or did not come. */
export class Failed extends Error {
  constructor(kind, what) {
    super(what);
    this.kind = kind;
  }
}

/** The first two cores that we may use: one for the server, one for the generator; or none if there is but one. */
export const CORES = allowed();

function allowed() {
  const [, list = ""] = /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  const cores = list.split(",").flatMap((range) => {
    const [from, to = from] = range.split("-").map(Number);
    return Array.from({ length: to - from + 1 }, (_, index) => from + index);
  });
  return cores.length < 2 ? undefined : { server: cores[0], generator: cores[1] };
}

/** A child whose lines are JSON, answered one by one. */
class Child {
  #lines;
  #said = "";
  #ended;

  constructor(command, env) {
    const [program, ...args] = command;
    this.process = spawn(program, args, { cwd: root, env: { ...process.env, ...env }, stdio: "pipe" });
    this.#ended = once(this.process, "close");
    this.#ended.catch(() => {});
    this.process.stdin.on("error", () => {});
    this.process.stderr.setEncoding("utf8").on("data", (text) => {
      this.#said = (this.#said + text).slice(-2000);
    });
    this.#lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  /** The next line, as an object. */
  async next(patience = PATIENCE) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Failed("silent", `said nothing for ${patience / 1000} s`)), patience);
    });
    try {
      const { value, done } = await Promise.race([this.#lines.next(), late]);
      if (done) throw new Failed("ended", `ended by itself: ${this.#said.trim() || "without a word"}`);
      return JSON.parse(value);
    } finally {
      clearTimeout(timer);
    }
  }

  /** The answer to a line. */
  async ask(line) {
    this.process.stdin.write(`${line}\n`);
    return await this.next();
  }

  async stop() {
    this.process.stdin.end();
    const timer = setTimeout(() => this.process.kill("SIGKILL"), FAREWELL);
    await this.#ended.catch(() => {});
    clearTimeout(timer);
  }
}

/** A server on its core. Resolves with `lacks` if it has no such role. */
export async function startServer(peer, role, { env = {}, flags = [] } = {}) {
  const command = await peer.command(flags);
  const pinned = CORES === undefined ? command : [await load(), "pin", String(CORES.server), ...command];
  const child = new Child([...pinned, role], { ...env, ...peer.env });
  try {
    const { port, version, lacks } = await child.next();
    const { pid } = child.process;
    return {
      pid,
      port,
      version,
      lacks,
      /** Resident bytes, and live ones where the runtime can tell, after it has collected its garbage. */
      async memory() {
        const { live } = await child.ask("memory");
        return { live, resident: residentOf(pid) };
      },
      ask: (what) => child.ask(what),
      stop: () => child.stop(),
    };
  } catch (error) {
    await child.stop();
    throw error;
  }
}

/** Bytes of a process that are in memory. */
export function residentOf(pid) {
  const [, kilobytes = 0] = /VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) * 1024;
}

/** Runs a program to its end, and returns the one line that it prints. */
export async function told(command) {
  const child = new Child(command, {});
  try {
    return await child.next(120_000);
  } finally {
    await child.stop();
  }
}

const PAYLOADS = { json: join(root, "bench/load/quotes.txt") };

/**
 * Runs the generator to its end and returns its figures. `whileHeld` is called before its connections are closed.
 */
export async function generate(kind, peer, server, flags, whileHeld) {
  const given = { path: peer.path, ...flags, port: server.port, pid: server.pid, protocol: peer.protocol };
  if (CORES !== undefined) given.cpu = CORES.generator;
  if (given.payload !== undefined) given.payload = PAYLOADS[given.payload];
  if (whileHeld !== undefined) given.hold = true;
  const args = Object.entries(given).flatMap(([name, value]) =>
    value === true ? [`--${name}`] : [`--${name}`, String(value)],
  );
  const child = new Child([await load(), kind, ...args], {});
  try {
    const opened = judged(await child.next(120_000));
    const figures = judged(await child.next(((flags.warmup ?? 0) + flags.seconds) * 1000 + 120_000));
    const held = await whileHeld?.();
    return { ...figures, opened, held };
  } finally {
    await child.stop();
  }
}

function judged(line) {
  if (line.error !== undefined) throw new Failed(line.error, line.what);
  return line;
}
