/** `holdfast serve` as a process of its own. */

import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

/** How the process ended. */
export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Serving implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
  /** What it has printed so far. */
  stdout = "";
  stderr = "";
  #changed: () => void = () => undefined;
  #over = false;

  /** Runs `holdfast` with `args`; `node` are arguments for Node itself. */
  constructor(args: readonly string[], node: readonly string[] = []) {
    // It is no test of the runner that runs us.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const child = spawn(process.execPath, [...node, MAIN, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
    this.process = child;
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
      this.#changed();
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    this.ended = new Promise((resolve) => {
      child.once("close", (status, signal) => {
        this.#over = true;
        this.#changed();
        resolve({ status, signal, stdout: this.stdout, stderr: this.stderr });
      });
    });
  }

  /** Serves on free ports with `flags`, and resolves when it does. */
  static async start(...flags: readonly string[]): Promise<Serving> {
    const serving = new Serving(["serve", "--port", "0", "--tcp-port", "0", "--json", ...flags]);
    await serving.until((text) => text.includes("\n"));
    return serving;
  }

  /** Resolves once what it has printed is as `condition` wants it; fails if it ends before. */
  async until(condition: (stdout: string) => boolean): Promise<void> {
    while (!condition(this.stdout)) {
      if (this.#over) throw new Error(`holdfast ended before it was to: ${this.stderr}`);
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  /** The addresses of the line of JSON. */
  get addresses(): { readonly ws: string; readonly tcp?: string } {
    return JSON.parse(this.stdout.split("\n")[0] ?? "");
  }

  get http(): string {
    return this.addresses.ws.replace("ws:", "http:");
  }

  kill(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill("SIGKILL");
    await this.ended;
  }
}

/** The port in an address. */
export function portIn(url = ""): number {
  return Number(new URL(url).port);
}
