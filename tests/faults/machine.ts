/** A machine of the network: a process in its namespace, which is told what to do and reports. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Network, Side } from "./network.js";

export interface Order {
  readonly id: number;
  readonly kind: "listen" | "connect";
  readonly url: string;
  /** `null` for `Infinity`. */
  readonly options: object;
  readonly does: "nothing" | "echo" | "flood" | "count";
}

/** What is known of an error: its fields. */
export type Facts = Readonly<Record<string, unknown>>;

export type Report =
  | { readonly what: "ready" | "open" }
  | { readonly what: "listening"; readonly url: string }
  | { readonly what: "counted"; readonly number: number }
  | ({ readonly what: "closed" | "failed" } & Facts);

const PROGRAM = fileURLToPath(new URL("./machine-program.js", import.meta.url));

export class Machine implements AsyncDisposable {
  readonly side: Side;
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #parts: Map<number, Part> = new Map();

  private constructor(side: Side, child: ChildProcess) {
    this.side = side;
    this.pid = child.pid ?? 0;
    this.#child = child;
    this.#exited = once(child, "exit");
    child.on("message", ({ id, ...report }: { readonly id: number } & Report) => this.#parts.get(id)?.tell(report));
  }

  static async start(network: Network, side: Side): Promise<Machine> {
    const [command, ...args] = network.on(side);
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const child = spawn(command, [...args, process.execPath, PROGRAM], {
      env,
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    await once(child, "message");
    return new Machine(side, child);
  }

  /** Has one thing done. */
  do(order: Omit<Order, "id">): Part {
    const id = this.#parts.size + 1;
    const part = new Part();
    this.#parts.set(id, part);
    this.#child.send({ id, ...order });
    return part;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exited;
  }
}

/** One thing that a machine does, and what it reports of it. */
export class Part {
  readonly #reports: Report[] = [];
  #waiting: (() => void)[] = [];

  tell(report: Report): void {
    this.#reports.push(report);
    for (const look of this.#waiting.splice(0)) look();
  }

  /** The latest report of this kind; undefined while there is none. */
  latest<What extends Report["what"]>(what: What): Extract<Report, { what: What }> | undefined {
    return this.#reports.findLast((report): report is Extract<Report, { what: What }> => report.what === what);
  }

  /** Resolves with a report of this kind that is as it should be; fails when it could not even begin. */
  async until<What extends Report["what"]>(
    what: What,
    condition: (report: Extract<Report, { what: What }>) => boolean = () => true,
  ): Promise<Extract<Report, { what: What }>> {
    for (;;) {
      const report = this.latest(what);
      if (report !== undefined && condition(report)) return report;
      const failed = this.latest("failed");
      if (failed !== undefined) throw new Error(`there is no ${what}: ${JSON.stringify(failed)}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}
