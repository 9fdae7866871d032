/** What the contract suite needs of a broker: its server, the ways to break it, and a record of what a subscription got. */

import assert from "node:assert/strict";
import { it } from "node:test";
import type { Clock } from "../../src/base/time.ts";
import type {
  Broker,
  BrokerEntry,
  BrokerHonours,
  BrokerListener,
  BrokerPublishOptions,
  BrokerSubscription,
  HistoryLimits,
  Published,
  ReadRequest,
} from "../../src/broker/broker.ts";

/** One broker, as the suite uses it. */
export interface BrokerHarness {
  readonly name: string;
  readonly honours: BrokerHonours;
  /** The faults that the server cannot suffer, each with the reason. */
  readonly excuses: Partial<Record<keyof ServerFaults, string>>;
  /** Why a frozen server, a partition, or both lose no entry, so that no `interrupted` is due. Absent: they may lose entries. */
  readonly lossless?: string;
  /** How many topics one node subscribes to in point 17. @default 100_000 */
  readonly topics?: number;
  /** The longest time of one test, in milliseconds. @default 60_000 */
  readonly timeout?: number;
  /** Starts a server of its own for one test, without any data. */
  start(): Promise<BrokerServer>;
}

/** A server of a broker, which its test ends. */
export interface BrokerServer extends AsyncDisposable {
  /** Another node: a broker that is connected to this server. The server closes it, if the test has not. */
  broker(): Promise<Broker>;
  /** Resolves when this time has passed on the clocks of the brokers and of the server, in milliseconds. */
  wait(length: number): Promise<void>;
  readonly faults: Partial<ServerFaults>;
  /** The clock of hubs on this broker. @default the system's */
  readonly clock?: Clock;
}

/** The ways to break a server. */
export interface ServerFaults {
  /** Ends all connections of the nodes. New ones are accepted. For Redis also those of the subscriptions. */
  cut(): Promise<void>;
  /** Ends the server without notice, as kill -9 does. */
  kill(): Promise<void>;
  /** Starts the server again after `kill`, at the same address, with the data that it has stored. */
  restart(): Promise<void>;
  /** The same, without any data. */
  restartEmpty(): Promise<void>;
  /** Stops the server as SIGSTOP does: connections stay, and nothing is answered. */
  freeze(): Promise<void>;
  /** Ends `freeze`. */
  thaw(): Promise<void>;
  /** From now on no packet passes between the nodes and the server, and no connection ends by it. */
  partition(): Promise<void>;
  /** Ends `partition`. */
  heal(): Promise<void>;
  /** Makes the server drop messages for the subscriptions of the topic, or their connection: too many wait for them. */
  overrun(topic: string): Promise<void>;
  /** The replica of the server gets nothing more. */
  lag(): Promise<void>;
  /** Kills the server and puts its replica in its place, at the same address. */
  failover(): Promise<void>;
  /** The number of connections that the server has, and of commands that it has executed. */
  usage(): Promise<{ readonly connections: number; readonly commands: number }>;
}

/** Returns a fault of the server. */
export function fault<Name extends keyof ServerFaults>(server: BrokerServer, name: Name): ServerFaults[Name] {
  const found = server.faults[name];
  assert.ok(found !== undefined, `the harness has neither ${name} nor an excuse for it`);
  return found as ServerFaults[Name];
}

/** Limits that no test reaches. */
export const AMPLE: HistoryLimits = { messages: 10_000, bytes: 64 * 1024 * 1024, age: 3_600_000 };

const NO_OPTIONS = { id: undefined, fence: undefined, timeout: 5_000, signal: undefined };
/** Options of a message that the log keeps. */
export const KEPT: BrokerPublishOptions = { ...NO_OPTIONS, history: AMPLE };
/** Options of a message that is delivered only. */
export const UNKEPT: BrokerPublishOptions = { ...NO_OPTIONS, history: undefined };
/** Reads the whole log. */
export const ALL: ReadRequest = { messages: 10_000, bytes: Infinity, history: AMPLE, timeout: 5_000 };

export const bytesOf = (text: string): Uint8Array => Buffer.from(text);
export const textOf = ({ message }: { readonly message: Uint8Array }): string => Buffer.from(message).toString();

/** The whole numbers from `first` to `last`, as texts behind `prefix`. */
export function numbered(prefix: string, first: number, last: number): string[] {
  return Array.from({ length: last - first + 1 }, (_, index) => `${prefix}${first + index}`);
}

/** What a subscription got. */
export class Recorder implements BrokerListener {
  readonly entries: BrokerEntry[] = [];
  /** All calls in their order: the text of an entry, `interrupted` and `restored`. */
  readonly calls: string[] = [];
  readonly invalidOffsets: (number | undefined)[] = [];
  subscription: BrokerSubscription | undefined;

  /** A subscription that is ready. */
  static async on(broker: Broker, topic: string): Promise<Recorder> {
    const recorder = new Recorder();
    recorder.subscription = broker.subscribe(topic, recorder);
    await recorder.subscription.ready;
    return recorder;
  }

  get texts(): string[] {
    return this.entries.map(textOf);
  }

  /** How often the function was called. */
  count(name: "interrupted" | "restored"): number {
    return this.calls.filter((call) => call === name).length;
  }

  entry(entry: BrokerEntry): void {
    this.entries.push(entry);
    this.calls.push(entry.message.length > 100 ? `${entry.message.length} bytes` : textOf(entry));
  }

  interrupted(): void {
    this.calls.push("interrupted");
  }

  restored(): void {
    this.calls.push("restored");
  }

  invalid(_: Error, offset: number | undefined): void {
    this.invalidOffsets.push(offset);
  }
}

/** Waits until the condition is true. Fails after `within` milliseconds. */
export async function until(
  server: BrokerServer,
  condition: () => boolean,
  what: string,
  within = 10_000,
): Promise<void> {
  const step = 20;
  for (let passed = 0; !condition(); passed += step) {
    assert.ok(passed < within, `not within ${within} ms: ${what}`);
    await server.wait(step);
  }
}

/** Waits until the subscription has reported that entries arrive again. */
export function untilRestored(server: BrokerServer, recorder: Recorder, times = 1): Promise<void> {
  return until(
    server,
    () => recorder.count("restored") >= times,
    `restored (calls: ${recorder.calls.slice(-5)})`,
    20_000,
  );
}

/** Waits until the recorder has this number of entries, and a little longer, for entries that should not be there. */
export async function untilEntries(
  server: BrokerServer,
  recorder: Recorder,
  count: number,
  within?: number,
): Promise<void> {
  const has = (): boolean => recorder.entries.length >= count;
  await until(server, has, `${count} entries, there are ${recorder.entries.length}`, within);
  await server.wait(100);
  assert.equal(recorder.entries.length, count);
}

/** Publishes the texts without waiting between them. */
export function publishAll(
  broker: Broker,
  topic: string,
  texts: readonly string[],
  options: BrokerPublishOptions = KEPT,
): Promise<Published[]> {
  return Promise.all(texts.map((text) => broker.publish(topic, bytesOf(text), options)));
}

/** How a call has ended: with its value, or the code of its error. */
export interface Outcome<Value> {
  readonly value?: Value;
  readonly error?: { readonly code?: string };
}

/** Resolves with the outcome of a call that may reject. */
export async function outcomeOf<Value>(call: Promise<Value>): Promise<Outcome<Value>> {
  try {
    return { value: await call };
  } catch (error) {
    return { error: error as { readonly code?: string } };
  }
}

/** Codes of errors after which nothing was sent. */
export const REFUSED: readonly (string | undefined)[] = ["LIMIT", "CLOSED"];

/** The tests of one harness. Each name begins with the number of the point. */
export class Contract {
  readonly harness: BrokerHarness;

  constructor(harness: BrokerHarness) {
    this.harness = harness;
  }

  /**
   * A test of the contract. It is excused if `honoured` is false, or if the server cannot suffer one of the `faults`: then its
   * reason is in the name of an empty test.
   */
  test(
    name: string,
    needs: {
      readonly honoured?: boolean;
      readonly faults?: readonly (keyof ServerFaults)[];
      readonly excuse?: string | undefined;
    },
    run: (server: BrokerServer) => Promise<void>,
  ): void {
    const { excuses, timeout = 60_000 } = this.harness;
    const excuse =
      needs.honoured === false
        ? "its honours deny this"
        : (needs.excuse ?? needs.faults?.map((one) => excuses[one]).find((reason) => reason !== undefined));
    if (excuse !== undefined) {
      it(`${name} (excused: ${excuse})`, () => undefined);
      return;
    }
    it(name, { timeout }, async () => {
      await using server = await this.harness.start();
      await run(server);
    });
  }
}
