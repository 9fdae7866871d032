/**
 * The server of a broker, and its nodes, in one process: it runs on the clock of a test or of the simulation, and suffers every fault of
 * the contract. Its log is that of the memory broker.
 */

import { after, type Clock, type Instant } from "../../src/base/time.ts";
import type { BrokerEntry, Published, Slice } from "../../src/broker/broker.ts";
import { LogStore } from "../../src/broker/log-store.ts";
import type { FaultyCall, LinkedServer } from "./faulty-link.ts";
import { FaultyNode } from "./faulty-node.ts";
import type { ServerFaults } from "./harness.ts";

/** How long a node waits for a silent server before it counts the connection as lost, in milliseconds. */
const SILENCE = 4_000;

export interface FaultyOptions {
  readonly clock: Clock;
  /** How long a message takes in one direction, in milliseconds. @default () => 1 */
  readonly delay?: () => number;
  /** Whether an entry to a node is lost without a sign. @default () => false */
  readonly loses?: (entry: BrokerEntry) => boolean;
}

/** A call in the order in which the server has executed it. With the token, the same calls make the same epochs. */
interface Executed {
  readonly call: FaultyCall;
  readonly at: Instant;
  readonly token: number;
}

export class FaultyServer implements LinkedServer {
  readonly clock: Clock;
  readonly delay: () => number;
  readonly #loses: (entry: BrokerEntry) => boolean;
  readonly #nodes = new Set<FaultyNode>();
  #executed: Executed[] = [];
  /** How many of the executed calls the replica has. Undefined: all. */
  #replicated: number | undefined;
  #tokens = 0;
  /** The call that is being executed. */
  #current: Executed | undefined;
  #store: LogStore;
  #alive = true;
  #frozen = false;
  #partitioned = false;
  /** Connections and commands, for points 18 and 22. */
  commands = 0;

  constructor({ clock, delay = () => 1, loses = () => false }: FaultyOptions) {
    this.clock = clock;
    this.delay = delay;
    this.#loses = loses;
    this.#store = this.#newStore();
  }

  /** True if messages pass in both directions. */
  get passes(): boolean {
    return this.#alive && !this.#frozen && !this.#partitioned;
  }

  get connections(): number {
    return [...this.#nodes].filter(({ connected }) => connected).length;
  }

  /** Another node, which is connected. */
  node(): FaultyNode {
    const node = new FaultyNode(this);
    this.#nodes.add(node);
    return node;
  }

  remove(node: object): void {
    this.#nodes.delete(node as FaultyNode);
  }

  /** Executes a call, and delivers the entry of a publication. */
  execute(call: FaultyCall): Published | Slice | string | boolean {
    this.commands += 1;
    this.#tokens += 1;
    const executed = { call, at: this.clock.now(), token: this.#tokens };
    const { result, entry } = this.#run(this.#store, executed);
    this.#executed.push(executed);
    if (entry !== undefined) {
      for (const node of this.#nodes) if (!this.#loses(entry)) node.deliver(call.topic, entry);
    }
    return result;
  }

  get faults(): ServerFaults {
    return {
      cut: async () => this.cut(),
      kill: async () => {
        this.#alive = false;
        this.cut();
      },
      restart: async () => this.#start(),
      restartEmpty: async () => {
        this.empty();
        this.#start();
      },
      freeze: async () => {
        this.#frozen = true;
        this.#loseSilent();
      },
      thaw: async () => {
        this.#frozen = false;
        this.#resume();
      },
      partition: async () => {
        this.#partitioned = true;
        this.#loseSilent();
      },
      heal: async () => {
        this.#partitioned = false;
        this.#resume();
      },
      overrun: async () => this.cut(),
      lag: async () => {
        this.#replicated = this.#executed.length;
      },
      failover: async () => {
        this.rollBack(this.#executed.length - (this.#replicated ?? this.#executed.length));
      },
      usage: async () => ({ connections: this.connections, commands: this.commands }),
    };
  }

  /** Ends the connection of a node, or of all nodes. */
  cut(only?: FaultyNode): void {
    for (const node of [...this.#nodes])
      if (only === undefined || node === only) node.lose(new Error("the connection was ended"));
  }

  /** A node suspects that it has missed something, and has not. */
  suspect(node: FaultyNode): void {
    node.suspect(new Error("a false alarm"));
  }

  /** Forgets everything. */
  empty(): void {
    this.#executed = [];
    this.#store = this.#newStore();
    this.cut();
  }

  /** Forgets the last calls, as a failover to a replica that lags does. */
  rollBack(calls: number): void {
    this.#executed = this.#executed.slice(0, Math.max(this.#executed.length - calls, 0));
    this.#replicated = undefined;
    this.#store = this.#newStore();
    for (const executed of this.#executed) this.#run(this.#store, executed);
    this.cut();
  }

  #start(): void {
    this.#alive = true;
    this.#resume();
  }

  #resume(): void {
    for (const node of this.#nodes) node.flush();
  }

  /** Nodes notice that the server is silent. */
  #loseSilent(): void {
    const at = after(this.clock.now(), SILENCE);
    this.clock.wakeAt(at, () => {
      if (!this.#frozen && !this.#partitioned) return;
      for (const node of this.#nodes) if (node.connected) node.lose(new Error("the server is silent"));
    });
  }

  #newStore(): LogStore {
    // Entries are removed when the log is used: no timer of an old store is left then.
    const clock: Clock = {
      now: () => this.#current?.at ?? this.clock.now(),
      wallTime: () => this.clock.wallTime(),
      wakeAt: () => ({ cancel: () => undefined }),
    };
    return new LogStore(
      clock,
      () => `epoch ${this.#current?.token}`,
      () => true,
    );
  }

  #run(
    store: LogStore,
    executed: Executed,
  ): { result: Published | Slice | string | boolean; entry?: BrokerEntry | undefined } {
    const { call } = executed;
    this.#current = executed;
    try {
      if (call.ask === "read") return { result: store.read(call.topic, call.request) };
      if (call.ask === "renew") return { result: store.renew(call.topic, call.epoch) };
      if (call.ask === "claim") return { result: store.claim(call.topic, call.producer, call.attempt) };
      const { published, entry } = store.publish(call.topic, call.message, call.options);
      return { result: published, entry };
    } finally {
      this.#current = undefined;
    }
  }
}
