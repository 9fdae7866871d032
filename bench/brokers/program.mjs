/** A server process on one core, whose output is read and whose processor time is counted. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";

const PATIENCE = 20_000;
/** The kernel's unit of processor time, in microseconds. */
const TICK = 10_000;

export class Program {
  #said = "";
  #waiting = new Set();
  #ended;

  constructor([command, ...args], { core, env = {} }) {
    const pinned = core === undefined ? [command, ...args] : ["taskset", "-c", String(core), command, ...args];
    const [program, ...rest] = pinned;
    this.child = spawn(program, rest, { env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "pipe"] });
    this.#ended = once(this.child, "close");
    this.#ended.catch(() => {});
    this.child.on("error", (error) => this.#hear(`${error.message}\n`));
    this.child.stdin.on("error", () => {});
    for (const stream of [this.child.stdout, this.child.stderr])
      stream.setEncoding("utf8").on("data", (text) => this.#hear(text));
    this.child.on("close", () => this.#hear(""));
  }

  get pid() {
    return this.child.pid;
  }

  #hear(text) {
    this.#said = (this.#said + text).slice(-65_536);
    for (const look of this.#waiting) look();
  }

  /** Resolves with the match when the program has written it. */
  says(pattern) {
    return new Promise((resolve, reject) => {
      const done = (settle, value) => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        settle(value);
      };
      const fail = (why) =>
        done(reject, new Error(`${this.child.spawnargs.join(" ")} ${why}: ${this.#said.slice(-2_000)}`));
      const timer = setTimeout(() => fail(`did not write ${pattern}`), PATIENCE);
      const look = () => {
        const match = pattern.exec(this.#said);
        if (match) done(resolve, match);
        else if (this.child.exitCode !== null) fail("ended");
      };
      this.#waiting.add(look);
      look();
    });
  }

  /** Writes a line to its stdin, and resolves with the JSON that it answers. */
  async ask(line) {
    this.#said = "";
    this.child.stdin.write(`${line}\n`);
    const [, answer] = await this.says(/^answer (.*)$/m);
    return JSON.parse(answer);
  }

  /** Microseconds of processor time so far, all threads, user and system. */
  cpu() {
    const stat = readFileSync(`/proc/${this.pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) * TICK;
  }

  /** Resident bytes. */
  resident() {
    const [, kilobytes = 0] = /VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${this.pid}/status`, "utf8")) ?? [];
    return Number(kilobytes) * 1_024;
  }

  async kill(signal = "SIGKILL") {
    this.child.kill(signal);
    await this.#ended.catch(() => {});
  }

  async stop() {
    this.child.stdin.end();
    await this.kill();
  }
}
