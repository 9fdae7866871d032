/** A Prometheus as a process, with its data in a folder of its own. */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface PrometheusOptions {
  /** By the names of jobs, the addresses that are scraped, as `host:port`. */
  readonly jobs: Readonly<Record<string, string>>;
  /** Between two scrapes, and two evaluations of the rules. */
  readonly interval: string;
  /** The text of a file of rules. */
  readonly rules?: string;
}

/** A series and its value now. */
export interface PrometheusSample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export class Prometheus implements AsyncDisposable {
  readonly #url: string;
  readonly #folder: string;
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown>;

  private constructor(program: string, port: number, { jobs, interval, rules = "groups: []\n" }: PrometheusOptions) {
    this.#url = `http://127.0.0.1:${port}/api/v1`;
    this.#folder = mkdtempSync(join(tmpdir(), "holdfast-prometheus-"));
    const config = {
      global: { scrape_interval: interval, scrape_timeout: interval, evaluation_interval: interval },
      rule_files: ["rules.yml"],
      scrape_configs: Object.entries(jobs).map(([job_name, target]) => ({
        job_name,
        static_configs: [{ targets: [target] }],
      })),
    };
    writeFileSync(join(this.#folder, "rules.yml"), rules);
    // JSON is YAML.
    writeFileSync(join(this.#folder, "prometheus.yml"), JSON.stringify(config));
    const flags = {
      "config.file": join(this.#folder, "prometheus.yml"),
      "storage.tsdb.path": join(this.#folder, "data"),
      "web.listen-address": `127.0.0.1:${port}`,
    };
    const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    this.#process = spawn(program, args, { stdio: "ignore" });
    this.#ended = new Promise((resolve) => this.#process.once("exit", resolve).once("error", resolve));
  }

  /** Starts `program`. It answers some time later: the functions below wait for it. */
  static async start(program: string, options: PrometheusOptions): Promise<Prometheus> {
    return new Prometheus(program, await freePort(), options);
  }

  /** The result of an instant query, or of one over the last moments. Waits until the program answers. */
  async query(query: string): Promise<readonly PrometheusSample[]> {
    const { result } = await this.#get<{ result: { metric: Record<string, string>; value: [number, string] }[] }>(
      `query?query=${encodeURIComponent(query)}`,
    );
    return result.map(({ metric, value: [, value] }) => ({ labels: metric, value: numberOf(value) }));
  }

  /** The jobs for which an alert fires. */
  async firing(alert: string): Promise<readonly string[]> {
    const { alerts } = await this.#get<{ alerts: { state: string; labels: Record<string, string> }[] }>("alerts");
    return alerts
      .filter(({ state, labels }) => state === "firing" && labels["alertname"] === alert)
      .map(({ labels }) => labels["job"] ?? "");
  }

  /** The state of the targets, and their last error. */
  async targets(): Promise<readonly (readonly [health: string, error: string])[]> {
    const { activeTargets } = await this.#get<{ activeTargets: { health: string; lastError: string }[] }>("targets");
    return activeTargets.map(({ health, lastError }) => [health, lastError] as const);
  }

  /** Asks again until `look` returns a value: there is no event for what a Prometheus has learned. */
  async until<Found>(look: () => Promise<Found | undefined>): Promise<Found> {
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
      await pause();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill();
    await this.#ended;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #get<Data>(path: string): Promise<Data> {
    for (;;) {
      const response = await fetch(`${this.#url}/${path}`).catch(() => undefined);
      if (response?.status === 400 || response?.status === 422) throw new Error(await response.text());
      if (response?.ok) return ((await response.json()) as { data: Data }).data;
      if (this.#process.exitCode !== null) throw new Error(`prometheus ended with status ${this.#process.exitCode}`);
      await pause();
    }
  }
}

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 200));

// As Prometheus writes values: also +Inf and NaN.
const numberOf = (text: string): number =>
  text.endsWith("Inf") ? Number(text.replace("Inf", "Infinity")) : Number(text);

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
