/** A server in another process under attack: its memory and processor time must stay within bounds, and it must end normally. */

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { ChildProgram } from "../kit/child-process.ts";
import type { Answer, End, Orders, Report, Request } from "./attacked-server-program.ts";

const PROGRAM = fileURLToPath(new URL("./attacked-server-program.js", import.meta.url));

/** A small heap, so that unbounded growth ends the process, and access to the collector. */
const NODE_FLAGS = ["--max-old-space-size=128", "--expose-gc"];

/** The factor by which floods are larger than by default. */
export const SCALE: number = Number(process.env["HOLDFAST_SCALE"] ?? 1);

export const MIB: number = 2 ** 20;

/**
 * The most bytes that an attack may hold beyond the limits. It includes what V8 keeps for code that runs for the first time: up
 * to half a MiB on Node 20, and more than one on Node 26.
 */
const SLACK = 2 * MIB;

/** Milliseconds after which memory that is not freed yet counts as held. Shorter than the time limit of each test. */
const TIME_TO_FREE = 20_000;

/** Longer than any attack. A test that waits in vain fails while it can still clean up. */
const PATIENCE = 120_000;

export class AttackedServer implements AsyncDisposable {
  readonly port: number;
  readonly #child: ChildProgram;
  #before: Report | undefined;
  #meanwhile = 0;

  private constructor(child: ChildProgram, port: number) {
    this.#child = child;
    this.port = port;
  }

  /** Starts a server with these orders. */
  static async start(orders: Orders): Promise<AttackedServer> {
    const text = JSON.stringify(orders, (_, value: unknown) => (value === Infinity ? "Infinity" : value));
    const child = new ChildProgram(PROGRAM, [text], { node: [...process.execArgv, ...NODE_FLAGS], channel: true });
    const answer = await child.message<Answer>();
    if (!("port" in answer)) {
      await child[Symbol.asyncDispose]();
      throw new Error(`the server did not start: ${JSON.stringify(answer)}`);
    }
    return new AttackedServer(child, answer.port);
  }

  /** The report of the server. `collect` collects garbage first. */
  report({ collect = false }: { readonly collect?: boolean } = {}): Promise<Report> {
    return this.#ask({ ask: "report", collect });
  }

  /** Asks repeatedly until the report satisfies `condition`, with pauses: continuous requests would use most of the server's time. */
  async until(condition: (report: Report) => boolean): Promise<Report> {
    for (const since = performance.now(); ; ) {
      const report = await this.report();
      if (condition(report)) return report;
      if (performance.now() - since > PATIENCE) throw new Error(`it never came to that: ${JSON.stringify(report)}`);
      await pause(10);
    }
  }

  /** Waits until every connection has ended, and returns how. */
  async ended(): Promise<readonly End[]> {
    const { ends } = await this.until(({ connections, handled, ends }) => connections === 0 && ends.length === handled);
    return ends;
  }

  /** Records the bytes in use now as the state without an attack. */
  async begin(): Promise<Report> {
    this.#meanwhile = 0;
    this.#before = await this.#ask({ ask: "begin" });
    return this.#before;
  }

  /**
   * Asserts that no more than `limit` bytes and a constant are in use beyond the state of `begin`, and that no sample since then
   * found more than `meanwhile`, or than an earlier call allowed.
   */
  async within(limit: number, meanwhile: number = limit): Promise<Report> {
    this.#meanwhile = Math.max(this.#meanwhile, meanwhile);
    const before = this.#before ?? (await this.begin());
    let report = await this.report({ collect: true });
    // V8 frees array memory on other threads. On a busy machine they may not run for a long time, so only `TIME_TO_FREE` bounds this.
    for (
      const since = performance.now();
      report.live - before.live > limit + SLACK && performance.now() - since < TIME_TO_FREE;
    ) {
      await pause(10);
      report = await this.report({ collect: true });
    }
    const live = report.live - before.live;
    const most = report.most - before.live;
    if (process.env["HOLDFAST_FIGURES"]) console.log(`limit ${limit} live ${live} most ${most} (${before.live})`);
    assert.ok(live <= limit + SLACK, `${live} bytes are held, where the limits allow ${limit} and ${SLACK}`);
    const ceiling = this.#meanwhile;
    assert.ok(most <= ceiling + SLACK, `${most} bytes were held, where the limits allow ${ceiling} and ${SLACK}`);
    return report;
  }

  async #ask(request: Request): Promise<Report> {
    const answer = await this.#child.ask<Answer>(request);
    assert.ok("report" in answer);
    assert.deepEqual(answer.report.troubles, []);
    return answer.report;
  }

  /** Closes the server. Its process must end by itself. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (this.#child.process.connected) {
        const { complaints } = await this.report();
        assert.deepEqual(complaints, [], "nothing that a peer does is an error of the server's");
        this.#child.process.send({ ask: "close" } satisfies Request);
      }
      const { status, signal } = await this.#child.exit;
      assert.deepEqual([status, signal], [0, null]);
    } finally {
      this.#child.signal("SIGKILL");
    }
  }
}
