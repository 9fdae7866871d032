/** The harness of the contract for the NATS broker: a server for each test, behind a proxy. */

import { it } from "node:test";
import type { Broker, BrokerListener, BrokerPublishOptions } from "../../src/broker/broker.ts";
import { type NatsBrokerOptions, natsBroker } from "../../src/broker/nats/index.ts";
import { brokerContract } from "./contract.ts";
import type { BrokerServer } from "./harness.ts";
import { NatsServer, unable } from "./nats-server.ts";

export const SILENT: BrokerListener = { entry() {}, interrupted() {}, restored() {}, invalid() {} };
const NO_QUORUM = "a cluster of JetStream promotes no replica that has not what was acknowledged";

/** Resolves when the broker can be used. */
export async function connected(broker: Broker): Promise<Broker> {
  const subscription = broker.subscribe("ready", SILENT);
  await subscription.ready;
  subscription.close();
  return broker;
}

/** Defines the tests of the contract. */
export function natsContract(name: string, options: NatsBrokerOptions, topics: number): void {
  const reason = unable();
  if (reason !== false) {
    it(name, { skip: reason }, () => undefined);
    return;
  }
  const sample = natsBroker("127.0.0.1:1", options);
  void sample.close();
  brokerContract({
    // 100,000 topics take 10 s, and six times that on a machine that does much else.
    ...{ name, topics, honours: sample.honours, timeout: 180_000 },
    excuses: { lag: NO_QUORUM, failover: NO_QUORUM },
    start: async () => new Site(await NatsServer.start(), options),
  });
}

class Site implements BrokerServer {
  readonly #server: NatsServer;
  readonly #options: NatsBrokerOptions;
  readonly #brokers: Broker[] = [];
  readonly faults: BrokerServer["faults"];

  constructor(server: NatsServer, options: NatsBrokerOptions) {
    this.#server = server;
    this.#options = options;
    this.faults = {
      cut: async () => server.proxy.reset(),
      kill: () => server.kill(),
      restart: () => server.restart(),
      restartEmpty: () => server.restartEmpty(),
      freeze: () => server.freeze(),
      thaw: async () => server.thaw(),
      partition: () => server.proxy.set({ blackhole: true }),
      heal: () => server.proxy.heal(),
      usage: () => server.usage(),
      overrun: (topic) => this.#overrun(topic),
    };
  }

  async broker(): Promise<Broker> {
    const broker = natsBroker(this.#server.faultyUrl, this.#options);
    this.#brokers.push(broker);
    return connected(broker);
  }

  wait(length: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, length));
  }

  /** Publishes more than the server stores for a connection that does not read: it ends this connection. */
  async #overrun(topic: string): Promise<void> {
    await this.#server.proxy.set({ bandwidth: 0, direction: "to-client" });
    await using publisher = natsBroker(this.#server.url, { log: false });
    await connected(publisher);
    const options: BrokerPublishOptions = {
      ...{ history: undefined, id: undefined, fence: undefined, timeout: 5_000, signal: undefined },
    };
    const message = new Uint8Array(1024 * 1024);
    for (let number = 0; number < 30; number += 1) await publisher.publish(topic, message, options);
    await this.#server.proxy.heal();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.thaw();
    await Promise.all(this.#brokers.map((broker) => broker.close()));
    await this.#server[Symbol.asyncDispose]();
  }
}
