/** The processes of a run and what the library is configured with: a server that restarts, clients, and the ends of connections. */

import {
  type Connection,
  type ConnectionOptions,
  connect,
  type Exchange,
  type ExchangeReceiver,
  Group,
  HandshakeError,
  isConnectionError,
  LimitError,
  type Overflow,
  type Server,
  TimeoutError,
} from "../../src/index.ts";
import { type MemoryNetwork, network } from "../../src/testing/index.ts";
import { WorkerExchange } from "../../src/workers/exchange.ts";
import type { Mail } from "../../src/workers/messages.ts";
import { MessageRouter, type RoutedWorker } from "../../src/workers/router.ts";
import { End, type Limits, type Process } from "./end.ts";
import { type Entropy, numbers } from "./entropy.ts";
import type { VirtualLoop } from "./loop.ts";
import type { Oracle } from "./oracle.ts";

export type Host = ReturnType<MemoryNetwork["host"]>;

export interface Machine extends Process {
  host: Host;
  /** How many processes this machine has had before. */
  readonly restarts: number;
  /** The number of sessions of `reconnect` so far. */
  sessions: number;
}

const POLICIES: readonly Overflow[] = ["wait", "reject", "drop-newest", "drop-oldest", "coalesce", "close"];

const LIMITS: Limits = {
  openTimeout: 2_100,
  writeTimeout: 2_700,
  closeTimeout: 1_300,
  lingerTimeout: 700,
  messageTimeout: 1_700,
  pauseTimeout: 2_300,
  idleTimeout: Infinity,
  lifetime: Infinity,
  heartbeat: { interval: 1_900, timeout: 1_100 },
  maxQueuedBytes: 160_000,
  maxInFlightBytes: Infinity,
  maxInboxBytes: 32_768,
  maxMessageSize: 131_072,
  overflow: "wait",
};

/** The hooks whose errors end the connection. */
const ENDING_PLACES: ReadonlySet<string> = new Set(["open", "message", "ping", "pong", "highWater", "lowWater"]);

/** A call of `connect` that is not settled. */
export interface Opening {
  readonly since: number;
  readonly process: Machine;
  /** Number of openings of this process that were in progress before this one. */
  readonly ahead: number;
}

export class World {
  readonly loop: VirtualLoop;
  readonly oracle: Oracle;
  readonly entropy: Entropy;
  readonly net: MemoryNetwork<VirtualLoop>;
  readonly noise: () => number;
  readonly limits: Limits;
  /** The links carry less than the limits need. */
  readonly slow: boolean;
  readonly latency: number;
  readonly machines: Map<string, Machine> = new Map();
  readonly openings: Set<Opening> = new Set();
  readonly exchange: Relay;
  server: Server | undefined;
  hookServer: Server | undefined;
  /** The process whose listeners are all open. */
  listening: Machine | undefined;
  lineServer: Server | undefined;
  /** Servers that only send. */
  feeds: readonly Promise<Server>[] = [];
  group: Group<Connection> = new Group<Connection>();
  group2: Group<Connection> | undefined;
  /** There are no more faults. */
  healed = false;
  /** The run is at its end: the servers close. */
  ending = false;
  /** When the link or a connection of a client last had a fault, by its name. */
  readonly disturbed: Map<string, number> = new Map();
  /** The server is closing: it takes no new connections. */
  draining = false;
  /** The servers whose hooks throw accept connections. */
  faultyServes = false;
  /** Since when they do. */
  faultySince = 0;
  faultyServers: readonly Promise<Server>[] = [];
  /** The reasons of refusals that those servers have reported, by the address of the client. */
  readonly refusals: Map<string, string> = new Map();
  /** Longest wait for the turn of a WebSocket that a client opens. */
  readonly queueTimeout: number;
  /** Servers of lines have a last message. */
  readonly farewells: boolean;
  readonly #ends = new WeakMap<Connection, End>();
  #count = 0;

  constructor(loop: VirtualLoop, oracle: Oracle, entropy: Entropy) {
    this.loop = loop;
    this.oracle = oracle;
    this.entropy = entropy;
    this.noise = numbers(entropy.pick(10_000));
    // The last factor is of features that were added later: 0 has none of them.
    const choice = entropy.pick(6 * 5 * 4 * 3 * 4);
    const profile = choice % 360;
    const later = Math.floor(choice / 360);
    this.queueTimeout = later % 2 === 1 ? 900 : Infinity;
    this.farewells = later >= 2;
    const overflow = POLICIES[profile % 6] as Overflow;
    const latency = [0, 2, 15, 60, 200][Math.floor(profile / 6) % 5] as number;
    const capacity = [65_536, 16_384, 2_048, 300][Math.floor(profile / 30) % 4] as number;
    // Each round trip carries the capacity. A large message must take less than the shortest limit.
    this.latency = latency;
    this.slow = (70_000 / capacity) * 2 * latency > 500;
    const variant = Math.floor(profile / 120);
    this.limits = {
      ...LIMITS,
      overflow,
      ...(profile % 5 === 3 && { maxInFlightBytes: 3_000 }),
      ...(variant === 1 && { heartbeat: false, idleTimeout: 2_600, lifetime: 5_300 }),
      ...(variant === 2 && { maxQueuedBytes: 6_000, maxInboxBytes: 4_000, maxMessageSize: 6_000 }),
    };
    oracle.largestChunk = capacity;
    this.net = network({ clock: loop, latency, jitter: latency / 2, capacity, random: this.noise });
    this.exchange = new Relay(this);
    this.#machine("server");
    this.#machine("server2");
  }

  /** The running process on the machine. */
  machine(name: string): Machine {
    return this.machines.get(name) ?? this.#machine(name);
  }

  #machine(name: string): Machine {
    const restarts = (this.machines.get(name)?.restarts ?? -1) + 1;
    const machine = { name, restarts, sessions: 0, host: this.net.host(name), alive: true, frozen: false, thawedAt: 0 };
    this.machines.set(name, machine);
    return machine;
  }

  /** Starts the next process on the machine. */
  restart(name: string): Machine {
    this.oracle.note(name, "starts again");
    return this.#machine(name);
  }

  /** The text of a new message. No two are the same. */
  text(size: number): string {
    this.#count += 1;
    const head = `m${this.#count}:`;
    return head + "x".repeat(Math.max(0, size - head.length));
  }

  endOf(connection: Connection, role: "client" | "server", process: Process): End {
    const known = this.#ends.get(connection);
    if (known !== undefined) return known;
    const end = new End(this.oracle, connection, role, process, this.limits);
    this.#ends.set(connection, end);
    this.oracle.ends.push(end);
    end.note(`open as ${role}`);
    return end;
  }

  /** The options of a connection: the limits, and hooks that tell the oracle. */
  options(role: "client" | "server", process: Machine): ConnectionOptions {
    return {
      ...this.limits,
      closing: (connection, error) => this.endOf(connection, role, process).closing(error),
      close: (connection, info) => this.endOf(connection, role, process).close(info),
      highWater: () => this.oracle.reach.saw("highWater"),
      lowWater: () => this.oracle.reach.saw("lowWater"),
      onError: (error, { place, connection }) => {
        this.oracle.reach.saw(`onError ${place}`);
        if (error instanceof Planned) {
          if (connection !== undefined && ENDING_PLACES.has(place)) this.#expectEnd(process, connection, place);
          return;
        }
        if (place === "send" && error instanceof LimitError) return;
        if (isConnectionError(error)) {
          this.oracle.reach.saw(`onError ${place} ${error.code}`);
          return;
        }
        this.oracle.wrong(
          "I8 onError",
          `${process.name}: ${place}: ${error instanceof Error ? error.stack : String(error)}`,
        );
      },
    };
  }

  /** A hook has thrown: its connection must end. */
  #expectEnd(process: Machine, connection: Connection, place: string): void {
    this.loop.after(1, () => {
      if (process.alive && connection.state === "OPEN")
        this.oracle.wrong("I8 a hook that throws ends nothing", `${process.name}: ${place}`);
    });
  }

  /** Opens a connection. Undefined if that fails: the error must be one of those that are documented. */
  async open(from: string, url: string): Promise<End | undefined> {
    const machine = this.machine(from);
    if (!machine.alive || machine.frozen) return undefined;
    const ahead = [...this.openings].filter(({ process }) => process === machine).length;
    const opening = { since: this.loop.time, process: machine, ahead };
    this.openings.add(opening);
    const tcp = url.startsWith("tcp:");
    try {
      const connection = await connect(url, {
        ...this.options("client", machine),
        network: machine.host,
        ...(tcp ? { framing: "lines" as const } : { queueTimeout: this.queueTimeout }),
      });
      return this.endOf(connection, "client", machine);
    } catch (error) {
      this.#judgeRefusal(error, opening);
      return undefined;
    } finally {
      this.openings.delete(opening);
    }
  }

  #judgeRefusal(error: unknown, { since, process }: Opening): void {
    this.oracle.note(process.name, `connect failed: ${String(error)}`);
    if (error instanceof HandshakeError) {
      this.oracle.reach.saw(`HANDSHAKE ${error.phase}${error.status === undefined ? "" : ` ${error.status}`}`);
      if (error.message.includes("TLS")) this.oracle.reach.saw("HANDSHAKE upgrade TLS");
    } else if (error instanceof TimeoutError) {
      this.oracle.reach.saw(`${error.limit} ${error.operation}`);
      // The server has a connection that ends at once.
      this.oracle.faulty = true;
      const length = error.limit === "queueTimeout" ? this.queueTimeout : this.limits.openTimeout;
      if (this.loop.time - since < length - 1) this.oracle.wrong(`I5 ${error.limit} too early`, String(error));
    } else if (isConnectionError(error)) this.oracle.reach.saw(`connect ${error.code}`);
    else this.oracle.wrong("I8 connect", String(error));
  }

  /** Judges everything that is still going on. */
  sweep(): void {
    const now = this.loop.time;
    this.oracle.sweep();
    for (const { since, process, ahead } of this.openings) {
      if (!process.alive || process.frozen) continue;
      // openTimeout begins with the turn. Each opening before this one may have the turn for openTimeout, and so may one of each
      // reconnecting client of this process.
      const waited = now - Math.max(since, process.thawedAt);
      if (waited > (2 + ahead + process.sessions) * this.limits.openTimeout + 100)
        this.oracle.wrong("I4 openTimeout too late", `${process.name}: ${now - since} ms`);
      if (waited > this.queueTimeout + this.limits.openTimeout + 100)
        this.oracle.wrong("I4 queueTimeout too late", `${process.name}: ${now - since} ms`);
    }
  }
}

/** The error of a handler that fails on purpose. */
export class Planned extends Error {}

/** The exchange of workers between the servers of a run: each message takes 3 ms to the first process, and 3 ms to a worker. */
class Relay {
  readonly #world: World;
  readonly #router: MessageRouter;
  readonly #workers = new Map<string, RoutedWorker>();
  /** The published messages by their bytes: the text, and the process that has sent it. */
  readonly #published = new Map<string, { readonly text: string; readonly machine: Machine }>();
  readonly #ready = new Set<ReadySubscription>();
  /** The text of the message that a group is sending. */
  text = "";

  constructor(world: World) {
    this.#world = world;
    // No run has topics yet.
    this.#router = new MessageRouter({ ...RELAY_LIMITS, maxLogBytes: 1e6, maxLogTopics: 100 }, world.loop);
  }

  /** The exchange, as one process sees it. */
  of(machine: Machine): Exchange {
    const world = this.#world;
    this.#workers.get(machine.name)?.remove();
    const wrong = (error: unknown): void => world.oracle.wrong("I8 exchange", String(error));
    const exchange = new WorkerExchange(
      this.#pipe<Parameters<RoutedWorker["handle"]>[0]>((message) => worker.handle(message)),
      RELAY_LIMITS,
      wrong,
    );
    const worker: RoutedWorker = this.#router.add(
      this.#pipe<Parameters<WorkerExchange["handle"]>[0]>((message) => machine.alive && exchange.handle(message)),
      () => world.oracle.reach.saw("exchange missed"),
    );
    this.#workers.set(machine.name, worker);
    const receivers = new Map<ExchangeReceiver, ExchangeReceiver>();
    return {
      publish: (channel, message, except) => {
        const { text } = this;
        this.#published.set(keyOf(message), { text, machine });
        for (const other of this.#ready)
          if (other.machine !== machine && other.machine.alive) this.#expect(other, text, machine);
        return exchange.publish(channel, message, except && receivers.get(except));
      },
      subscribe: (channel, receive) => {
        const ready: ReadySubscription = { machine, got: new Set() };
        const noted = (bytes: Uint8Array): void => {
          const published = this.#published.get(keyOf(bytes));
          if (published === undefined) {
            wrong("a message that no process has published");
            return;
          }
          world.oracle.note(machine.name, `exchange delivers ${published.text.slice(0, 20)}`);
          world.oracle.reach.saw("exchange delivers");
          if (ready.got.has(published.text))
            world.oracle.wrong("I12 delivered twice by the exchange", published.text.slice(0, 20));
          ready.got.add(published.text);
          // The sender's own members have the message already.
          if (published.machine !== machine) expectInGroup(world, machine, published.text);
          receive(bytes);
        };
        receivers.set(receive, noted);
        const subscription = exchange.subscribe(channel, noted);
        let closed = false;
        void subscription.ready.then(() => closed || this.#ready.add(ready));
        return {
          ready: subscription.ready,
          close: () => {
            closed = true;
            this.#ready.delete(ready);
            subscription.close();
          },
        };
      },
    };
  }

  /** The subscription must get the message soon, unless a process ends. */
  #expect(subscription: ReadySubscription, text: string, from: Machine): void {
    this.#world.loop.after(100, () => {
      const { machine, got } = subscription;
      if (machine.alive && from.alive && this.#ready.has(subscription) && !got.has(text))
        this.#world.oracle.wrong("I12 lost by the exchange", `${machine.name}: ${text.slice(0, 20)}`);
    });
  }

  /** Takes messages from one process to another. */
  #pipe<M>(deliver: (message: M) => unknown): (message: unknown, posted: () => void) => void {
    return (message, posted) => {
      const copy = copyOf(message as { readonly mail?: readonly Mail[] });
      this.#world.loop.after(3, () => {
        posted();
        deliver(copy as M);
      });
    };
  }
}

/** A subscription that the first process has confirmed, and the texts that it got. */
interface ReadySubscription {
  readonly machine: Machine;
  readonly got: Set<string>;
}

const RELAY_LIMITS = { maxQueuedBytes: 4_000_000, maxQueuedMessages: 10_000 };

const copyOf = (message: { readonly mail?: readonly Mail[] }): object =>
  message.mail === undefined
    ? message
    : { ...message, mail: message.mail.map(([channel, bytes]) => [channel, Uint8Array.from(bytes)]) };

/** Each message has its number at its beginning. */
const keyOf = (bytes: Uint8Array): string =>
  `${bytes.length} ${Buffer.from(bytes.subarray(0, 100)).toString("latin1")}`;

/** The group's message is passed to all members of a process: each must get it. */
export function expectInGroup(world: World, machine: Machine, text: string, lossy = true): void {
  const group = machine.name === "server" ? world.group : world.group2;
  for (const member of group ?? []) {
    const end = world.endOf(member, "server", machine);
    if (member.state !== "OPEN") {
      world.oracle.reach.saw("a member of a group ends");
      continue;
    }
    const sent = end.sending(text, lossy);
    sent.state = "accepted";
  }
}
