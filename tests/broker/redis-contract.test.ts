/** The contract of the broker on Redis, with one server and its replica. */

import type { Broker } from "../../src/broker/broker.ts";
import { redisBroker } from "../../src/broker/redis/index.ts";
import { type ChaosProxy, chaosProxy } from "../../src/testing/index.ts";
import { brokerContract } from "./contract.ts";
import type { BrokerHarness, BrokerServer, ServerFaults } from "./harness.ts";
import { RedisProcess, unable } from "./redis-server.ts";

const SMALL_BUFFERS = ["--client-output-buffer-limit", "pubsub 4mb 4mb 1"];
const SILENT = { entry() {}, interrupted() {}, restored() {}, invalid() {} };
const sleep = (length: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, length));

/** Brokers that all reach the server through one address, which another server can take. */
class Site implements BrokerServer {
  readonly faults: Partial<ServerFaults>;
  #master: RedisProcess;
  #replica: RedisProcess | undefined;
  #proxy: ChaosProxy;
  readonly #brokers: Broker[] = [];

  private constructor(master: RedisProcess, proxy: ChaosProxy) {
    this.#master = master;
    this.#proxy = proxy;
    this.faults = {
      cut: async () => {
        await this.#master.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
        await this.#master.command("CLIENT", "KILL", "TYPE", "pubsub");
      },
      kill: () => this.#master.kill(),
      restart: () => this.#master.restart(),
      restartEmpty: () => this.#master.restartEmpty(),
      freeze: async () => this.#master.freeze(),
      thaw: async () => this.#master.thaw(),
      partition: () => this.#proxy.set({ blackhole: true }),
      heal: () => this.#proxy.heal(),
      overrun: async (topic) => {
        // More than a subscriber may have in the server's memory, at once.
        await this.#master.command("PUBLISH", `holdfast:c:${topic}`, "x".repeat(5 * 1024 * 1024));
      },
      lag: async () => {
        const replica = await this.#replicated();
        // Nothing listens there: it keeps what it has, and gets nothing more.
        await replica.command("REPLICAOF", "127.0.0.1", "1");
      },
      failover: async () => {
        await this.#master.kill();
        const replica = await this.#replicated();
        await replica.command("REPLICAOF", "NO", "ONE");
        const { port } = this.#proxy;
        await this.#proxy.close();
        this.#proxy = await chaosProxy({ to: `127.0.0.1:${replica.port}`, listen: `127.0.0.1:${port}` });
      },
      usage: async () => ({
        connections: (await this.#master.info("connected_clients")) - 1,
        commands: await this.#master.info("total_commands_processed"),
      }),
    };
  }

  static async start(args: readonly string[]): Promise<Site> {
    const master = await RedisProcess.start([...SMALL_BUFFERS, ...args]);
    return new Site(master, await chaosProxy({ to: `127.0.0.1:${master.port}` }));
  }

  /** The replica. It is started when it is needed, because that takes a while. */
  async #replicated(): Promise<RedisProcess> {
    if (this.#replica !== undefined) return this.#replica;
    this.#replica = await RedisProcess.start(["--replicaof", `127.0.0.1 ${this.#master.port}`]);
    while (!(await this.#linked())) await sleep(20);
    return this.#replica;
  }

  async #linked(): Promise<boolean> {
    return String(await this.#replica?.command("INFO", "replication")).includes("master_link_status:up");
  }

  async broker(): Promise<Broker> {
    const broker = redisBroker(`redis://127.0.0.1:${this.#proxy.port}`);
    this.#brokers.push(broker);
    await broker.subscribe("ready", SILENT).ready;
    return broker;
  }

  wait(length: number): Promise<void> {
    return sleep(length);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#master.thaw();
    for (const broker of this.#brokers) await broker.close();
    await this.#proxy.close();
    await this.#master[Symbol.asyncDispose]();
    await this.#replica?.[Symbol.asyncDispose]();
  }
}

const sample = redisBroker("redis://127.0.0.1:1");
const { honours } = sample;
void sample.close();

const one: BrokerHarness = {
  name: "redisBroker",
  honours,
  excuses: {},
  // redis-faults.test.ts has 100,000: the test runner follows each promise, and takes most of the time.
  topics: 10_000,
  start: () => Site.start([]),
};

if (unable() === false) brokerContract(one);
