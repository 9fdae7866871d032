/** Servers of Redis for tests: started on free ports of loopback, in a folder of their own, and ended with the test. */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "redis";

/** Why there is no redis-server here; false if there is one. If everything is required, tests fail with this text. */
export function unable(): false | string {
  const found = spawnSync("redis-server", ["--version"]).error === undefined;
  const wanted = "needs redis-server: apt-get install redis-server";
  if (!found && process.env["HOLDFAST_REQUIRE_ALL"] === "1") throw new Error(wanted);
  return found ? false : wanted;
}

/** A port that nothing listens on. For a node of a cluster the port 10,000 above must be one too. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port > 55_000 ? freePort() : port;
}

/** Durable as tier 3 asks for: an answer comes after the fsync. */
export const DURABLE: readonly string[] = ["--appendonly", "yes", "--appendfsync", "always"];

export class RedisProcess implements AsyncDisposable {
  readonly port: number;
  readonly #folder: string;
  readonly #args: readonly string[];
  readonly #by: readonly string[];
  readonly #host: string;
  #process: ChildProcess | undefined;
  #exited: Promise<unknown> = Promise.resolve();
  readonly #remove: () => void;

  private constructor(port: number, args: readonly string[], { by = [], host = "127.0.0.1" }: Placement) {
    this.port = port;
    this.#args = args;
    this.#by = by;
    this.#host = host;
    this.#folder = mkdtempSync(join(tmpdir(), "holdfast-redis-"));
    this.#remove = () => {
      this.#process?.kill("SIGKILL");
      rmSync(this.#folder, { recursive: true, force: true });
    };
    process.once("exit", this.#remove);
  }

  /** `args` are added to the command line. */
  static async start(args: readonly string[] = [], placement: Placement = {}): Promise<RedisProcess> {
    const server = new RedisProcess(placement.port ?? (await freePort()), args, placement);
    await server.restart();
    return server;
  }

  /** A sentinel that watches one master: `name host port quorum`. */
  static async sentinel(watched: string, rules: readonly string[]): Promise<RedisProcess> {
    const server = new RedisProcess(await freePort(), [], {});
    const file = join(server.#folder, "sentinel.conf");
    writeFileSync(file, [`monitor ${watched}`, ...rules].map((rule) => `sentinel ${rule}\n`).join(""));
    await server.restart([file, "--sentinel"], "+monitor");
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts the server with the data that it has stored. Resolves when it accepts connections. */
  async restart(
    first: readonly string[] = ["--save", ""],
    readiness: string = "Ready to accept connections",
  ): Promise<void> {
    const own = ["--port", String(this.port), "--bind", this.#host, "--dir", this.#folder];
    // By default a master waits 5 s for more replicas before it sends its data.
    if (first[0] === "--save") own.push("--repl-diskless-sync-delay", "0");
    const [command = "", ...rest] = [...this.#by, "redis-server", ...first, ...this.#args, ...own];
    const child = spawn(command, rest, { stdio: ["ignore", "pipe", "inherit"] });
    this.#process = child;
    this.#exited = new Promise((resolve) => child.once("exit", resolve));
    let said = "";
    await new Promise<void>((resolve, reject) => {
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        said = (said + text).slice(-10_000);
        if (said.includes(readiness)) resolve();
      });
      child.once("error", reject).once("exit", () => reject(new Error(`redis-server has ended:\n${said}`)));
    });
  }

  async restartEmpty(): Promise<void> {
    rmSync(this.#folder, { recursive: true, force: true });
    mkdirSync(this.#folder);
    await this.restart();
  }

  async kill(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#exited;
  }

  freeze(): void {
    this.#process?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#process?.kill("SIGCONT");
  }

  /** Runs a command over a connection of its own. */
  async command(...args: string[]): Promise<unknown> {
    const client = createClient({ socket: { host: this.#host, port: this.port, reconnectStrategy: false } });
    client.on("error", () => undefined);
    await client.connect();
    try {
      return await client.sendCommand(args);
    } finally {
      client.destroy();
    }
  }

  /** A number of `INFO`. */
  async info(name: string): Promise<number> {
    return Number(new RegExp(`^${name}:(\\d+)`, "m").exec(String(await this.command("INFO", "everything")))?.[1]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    process.off("exit", this.#remove);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Where a server runs. */
export interface Placement {
  /** A command that starts it, with its arguments, such as `ip netns exec`. */
  readonly by?: readonly string[];
  readonly host?: string;
  /** @default a free one */
  readonly port?: number;
}

/** A cluster of masters. Resolves when all nodes agree about the slots. */
export async function startCluster(count: number): Promise<RedisProcess[]> {
  const args = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no"];
  const nodes = await Promise.all(Array.from({ length: count }, () => RedisProcess.start(args)));
  const size = Math.ceil(16_384 / count);
  for (const [index, node] of nodes.entries()) {
    await node.command("CLUSTER", "SET-CONFIG-EPOCH", String(index + 1));
    const last = Math.min((index + 1) * size, 16_384) - 1;
    await node.command("CLUSTER", "ADDSLOTSRANGE", String(index * size), String(last));
    await node.command("CLUSTER", "MEET", "127.0.0.1", String(nodes[0]?.port));
  }
  const agreed = async (node: RedisProcess): Promise<boolean> => {
    const info = String(await node.command("CLUSTER", "INFO"));
    return info.includes("cluster_state:ok") && info.includes("cluster_slots_ok:16384");
  };
  for (const node of nodes) {
    while (!(await agreed(node))) await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return nodes;
}
