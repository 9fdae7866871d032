/** Control groups of Linux, version 1: freeze a process, limit its processor time, limit its memory. */

import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

const ROOT = "/sys/fs/cgroup";
let made = 0;

export class ControlGroup implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Undefined if this controller does not exist or may not be used. */
  static of(controller: "freezer" | "cpu" | "memory"): ControlGroup | undefined {
    made += 1;
    const folder = `${ROOT}/${controller}/hf${process.pid}x${made}`;
    try {
      mkdirSync(folder);
    } catch {
      return undefined;
    }
    try {
      // A folder without a mounted controller stays empty.
      readFileSync(`${folder}/cgroup.procs`);
      return new ControlGroup(folder);
    } catch {
      rmdirSync(folder);
      return undefined;
    }
  }

  read(file: string): string {
    return readFileSync(`${this.#folder}/${file}`, "utf8").trim();
  }

  write(file: string, value: number | string): void {
    writeFileSync(`${this.#folder}/${file}`, `${value}`);
  }

  add(pid: number): void {
    this.write("cgroup.procs", pid);
  }

  /** Removes the group after its processes have ended. The kernel may need a moment to notice that. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (let attempt = 0; attempt < 100; attempt += 1) {
      try {
        rmdirSync(this.#folder);
        return;
      } catch {
        await pause(20);
      }
    }
  }
}
