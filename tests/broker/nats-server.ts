/** A nats-server of a test: started on a free port, with the faults that a server can have. */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ChaosProxy, chaosProxy } from "../../src/testing/index.ts";

/** Why there is no nats-server here; false if there is one. If everything is required, tests fail with this text. */
export function unable(): false | string {
  const found = spawnSync("nats-server", ["--version"]).error === undefined;
  if (!found && process.env["HOLDFAST_REQUIRE_ALL"] === "1") throw new Error("needs nats-server");
  return found ? false : "needs nats-server: apt-get install nats-server";
}

/** Different free ports. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => new Promise((resolve) => server.once("listening", resolve))));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

export interface NatsServerOptions {
  readonly jetstream?: boolean;
  readonly host?: string;
  readonly by?: readonly string[];
}

export class NatsServer implements AsyncDisposable {
  /** Where the server is, and its HTTP interface for monitoring. */
  readonly port: number;
  readonly monitor: number;
  /** The way to the server, which can be cut. */
  readonly proxy: ChaosProxy;
  readonly #host: string;
  readonly #by: readonly string[];
  readonly #folder: string;
  #process: ChildProcess | undefined;
  readonly #remove = (): void => {
    this.#process?.kill("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
  };

  private constructor(
    parts: Pick<NatsServer, "port" | "monitor" | "proxy"> & Required<Omit<NatsServerOptions, "jetstream">>,
  ) {
    this.port = parts.port;
    this.monitor = parts.monitor;
    this.proxy = parts.proxy;
    this.#host = parts.host;
    this.#by = parts.by;
    this.#folder = mkdtempSync(join(tmpdir(), "holdfast-nats-"));
    process.once("exit", this.#remove);
  }

  /** `config` is added to the configuration. `by` is a command that starts the server at the address `host`. */
  static async start(config: string = "", options: NatsServerOptions = {}): Promise<NatsServer> {
    const { jetstream = true, host = "127.0.0.1", by = [] } = options;
    const [port = 0, monitor = 0] = await freePorts(2);
    const proxy = await chaosProxy({ to: `127.0.0.1:${port}` });
    const server = new NatsServer({ port, monitor, proxy, host, by });
    writeFileSync(
      join(server.#folder, "server.conf"),
      `listen: "${host}:${port}"
http: "${host}:${server.monitor}"
max_payload: 2MB
max_pending: 4MB
${jetstream ? `jetstream { store_dir: "${server.#folder}/store", max_file_store: 1GB }` : ""}
${config}
`,
    );
    await server.restart();
    return server;
  }

  get url(): string {
    return `nats://${this.#host}:${this.port}`;
  }

  /** The address of the proxy. */
  get faultyUrl(): string {
    return `nats://127.0.0.1:${this.proxy.port}`;
  }

  /** Starts the server again with the data that it has stored. Resolves when it accepts connections. */
  async restart(): Promise<void> {
    const { NATS_SERVER: command = "nats-server" } = process.env;
    const [program = "", ...args] = [...this.#by, command, "-c", join(this.#folder, "server.conf")];
    const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
    this.#process = child;
    let said = "";
    await new Promise<void>((resolve, reject) => {
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        said = (said + text).slice(-10_000);
        if (said.includes("Server is ready")) resolve();
      });
      child.once("error", reject).once("exit", () => reject(new Error(`nats-server has ended:\n${said}`)));
    });
  }

  async restartEmpty(): Promise<void> {
    rmSync(join(this.#folder, "store"), { recursive: true, force: true });
    await this.restart();
  }

  async kill(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }

  /** Resolves when all threads have stopped: the signal reaches them one after the other. */
  async freeze(): Promise<void> {
    const child = this.#process;
    child?.kill("SIGSTOP");
    const tasks = `/proc/${child?.pid}/task`;
    const stopped = (): boolean =>
      readdirSync(tasks).every((task) =>
        / T /.test(readFileSync(join(tasks, task, "stat"), "utf8").replace(/\(.*\)/, "")),
      );
    while (existsSync(tasks) && !stopped()) await new Promise((resolve) => setTimeout(resolve, 1));
  }

  thaw(): void {
    this.#process?.kill("SIGCONT");
  }

  /** What the HTTP interface says at this path. */
  async ask(path: string): Promise<Record<string, unknown>> {
    const response = await fetch(`http://127.0.0.1:${this.monitor}/${path}`);
    return (await response.json()) as Record<string, unknown>;
  }

  /** The number of connections, and of commands: messages and subscriptions. */
  async usage(): Promise<{ readonly connections: number; readonly commands: number }> {
    const { connections, in_msgs: messages } = (await this.ask("varz")) as { connections: number; in_msgs: number };
    return { connections, commands: messages };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await this.proxy.close();
    process.off("exit", this.#remove);
    this.#remove();
  }
}
