/** Control groups of Linux, of the first kind: to freeze a process, to take its processor away, or to bound its memory. */

import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

const ROOT = "/sys/fs/cgroup";
let made = 0;

export class ControlGroup implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Undefined where there is no such controller, or it may not be used. */
  static of(controller: "freezer" | "cpu" | "memory"): ControlGroup | undefined {
    made += 1;
    const folder = `${ROOT}/${controller}/hf${process.pid}x${made}`;
    try {
      mkdirSync(folder);
    } catch {
      return undefined;
    }
    try {
      // A folder where no controller is mounted stays empty.
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

  /** For when the processes in it are gone: the kernel may take a moment to believe it. */
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
