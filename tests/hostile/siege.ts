/** An attack on a server in another process, which must stay within its ceilings and come out alive. */

import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Answer, End, Orders, Report, Request } from "./victim.js";

const VICTIM = fileURLToPath(new URL("./victim.js", import.meta.url));

/** A small heap, so that what grows without bound ends the process, and a collector to tell garbage from what is held. */
const NODE_FLAGS = ["--max-old-space-size=128", "--expose-gc"];

/** How much larger than by default the floods are to be. */
export const SCALE: number = Number(process.env["HOLDFAST_SCALE"] ?? 1);

export const MIB: number = 2 ** 20;

/**
 * Most that any attack may have held that was not garbage, beyond what the limits allow. What V8 keeps of code that runs for
 * the first time is a part of it: up to half a MiB on Node 20, and more than one on Node 26.
 */
const SLACK = 2 * MIB;

/** No attack takes so long. A test that waits for what never comes is to fail while it can still clean up. */
const PATIENCE = 120_000;

export class Siege implements AsyncDisposable {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #left: Promise<string>;
  #before: Report | undefined;
  #meanwhile = 0;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
    this.#left = once(child, "exit").then((how) => how.join(" "));
  }

  /** Starts a server that does as it is told. */
  static async lay(orders: Orders): Promise<Siege> {
    const text = JSON.stringify(orders, (_, value: unknown) => (value === Infinity ? "Infinity" : value));
    const child = fork(VICTIM, [text], { execArgv: [...process.execArgv, ...NODE_FLAGS] });
    const answer = await Promise.race([once(child, "message"), once(child, "exit")]);
    const [said] = answer as [Answer | number | null];
    if (said === null || typeof said === "number" || !("port" in said)) {
      child.kill();
      throw new Error(`the server did not start: ${JSON.stringify(said)}`);
    }
    return new Siege(child, said.port);
  }

  /** What the server says of itself. `collect` takes away the garbage first. */
  report({ collect = false }: { readonly collect?: boolean } = {}): Promise<Report> {
    return this.#ask({ ask: "report", collect });
  }

  /** Asks again and again until the server says so; with pauses, since whoever is asked all the time does little else. */
  async until(condition: (report: Report) => boolean): Promise<Report> {
    for (const since = performance.now(); ; ) {
      const report = await this.report();
      if (condition(report)) return report;
      if (performance.now() - since > PATIENCE) throw new Error(`it never came to that: ${JSON.stringify(report)}`);
      await pause(10);
    }
  }

  /** Waits until every connection has ended, and tells how. */
  async ended(): Promise<readonly End[]> {
    const { ends } = await this.until(({ connections, handled, ends }) => connections === 0 && ends.length === handled);
    return ends;
  }

  /** Takes what is held now for what is held without an attack. */
  async begin(): Promise<Report> {
    this.#meanwhile = 0;
    this.#before = await this.#ask({ ask: "begin" });
    return this.#before;
  }

  /**
   * Proves that no more than `limit` bytes, and a constant, are held beside what was held at `begin`; and that none of the
   * moments since then at which the server looked found more than `meanwhile`, or than was allowed before.
   */
  async within(limit: number, meanwhile: number = limit): Promise<Report> {
    this.#meanwhile = Math.max(this.#meanwhile, meanwhile);
    const before = this.#before ?? (await this.begin());
    let report = await this.report({ collect: true });
    // The collector hands memory back when it likes: arrays are freed on threads beside the program, which have to get a turn.
    for (let round = 0; round < 50 && report.live - before.live > limit; round += 1) {
      await pause(10);
      report = await this.report({ collect: true });
    }
    const live = report.live - before.live;
    const most = report.most - before.live;
    if (process.env["HOLDFAST_SIEGE"]) console.log(`limit ${limit} live ${live} most ${most} (${before.live})`);
    assert.ok(live <= limit + SLACK, `${live} bytes are held, where the limits allow ${limit} and ${SLACK}`);
    const ceiling = this.#meanwhile;
    assert.ok(most <= ceiling + SLACK, `${most} bytes were held, where the limits allow ${ceiling} and ${SLACK}`);
    return report;
  }

  async #ask(request: Request): Promise<Report> {
    const answered = once(this.#child, "message") as Promise<[Answer]>;
    this.#child.send(request);
    const answer = await Promise.race([answered, this.#left]);
    if (typeof answer === "string") throw new Error(`the server is gone: ${answer}`);
    const [said] = answer;
    assert.ok("report" in said);
    assert.deepEqual(said.report.troubles, []);
    return said.report;
  }

  /** Closes the server, whose process has to end by itself. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (this.#child.connected) {
        const { complaints } = await this.report();
        assert.deepEqual(complaints, [], "nothing that a peer does is an error of the server's");
        this.#child.send({ ask: "close" } satisfies Request);
      }
      assert.equal(await this.#left, "0 ");
    } finally {
      this.#child.kill("SIGKILL");
    }
  }
}
