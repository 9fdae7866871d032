/** The options of hubs and topics, with their defaults and their validation. */

import { type Complete, present } from "../base/forms.ts";
import {
  COUNT,
  DURATION,
  judgeBoolean,
  judgeChoice,
  judgeFunction,
  judgeNames,
  judgeNumber,
  judgeOptions,
  type NumberRange,
} from "../base/judge.ts";
import type { Clock } from "../base/time.ts";
import type { Broker, HistoryLimits } from "../broker/broker.ts";
import type { ErrorFacts } from "../core.ts";
import { systemClock } from "../transport/clock.ts";
import type { TopicEncoder } from "./encoder.ts";
import { PLAIN } from "./encoder.ts";
import type { HubEvent } from "./events.ts";

/** Options of a hub. */
export interface HubOptions {
  /**
   * Carries the messages, and keeps their history. The hub closes it with itself.
   * @default `memoryBroker()`: the topics of this process only, whose messages are lost with it
   */
  readonly broker?: Broker | undefined;
  /** How members get messages, positions and gaps. @default the message alone; nothing for a position or a gap */
  readonly encoder?: TopicEncoder | undefined;
  /** Longest wait of `publish`, in milliseconds. Then it rejects with a TimeoutError. @default 5_000 */
  readonly publishTimeout?: number | undefined;
  /**
   * Longest wait of `join` for the broker and for the function `state`, in milliseconds. Then it rejects with a TimeoutError. It is
   * longer than two reads of the broker. @default 15_000
   */
  readonly joinTimeout?: number | undefined;
  /** Longest wait for one read of the log, in milliseconds. Then the hub repeats it. @default 5_000 */
  readonly readTimeout?: number | undefined;
  /**
   * How often the hub compares a topic with its log, in milliseconds, because a broker may stop to deliver without a sign. The reads
   * of all topics are spread over this time. @default 30_000
   */
  readonly probeInterval?: number | undefined;
  /** Most topics that have members or followers. `join` rejects beyond it. @default 1_000_000 */
  readonly maxTopics?: number | undefined;
  /**
   * Most memory that the hub uses for the messages of all topics that have members, in bytes: 256 are counted for each message in
   * addition to its own. Beyond it the oldest messages leave the memory, first those of the topics that had no message for the longest
   * time. Members that need them get them from the broker. Those of a topic without a history on the broker have a gap. It is a
   * quarter of the memory of a small server. @default 268_435_456
   */
  readonly maxHistoryBytes?: number | undefined;
  /** Most messages that are on their way to the broker. `publish` rejects beyond it. @default 10_000 */
  readonly maxPublishing?: number | undefined;
  /** Called with each event of the hub. */
  readonly observe?: ((event: HubEvent) => void) | undefined;
  /** Called with errors that no call returns. @default writes them to stderr */
  readonly onError?: ((error: unknown, context: ErrorFacts) => void) | undefined;
  /** The source of time. Tests use a manual clock. @default the system's */
  readonly clock?: Clock | undefined;
  /** Returns a number from 0 to 1, for the length of pauses. @default `Math.random` */
  readonly random?: (() => number) | undefined;
}

/**
 * What happens to a member that does not accept messages fast enough. `catch-up`: it gets the next messages from the history, as its
 * send queue drains; it has a gap only if it falls behind the history. `close`: it is closed with 1013. `latest`: it gets only the
 * newest message of each key.
 */
export type SlowMember = "catch-up" | "close" | "latest";

/** Options of a topic. All hubs should use the same ones for one topic. */
export interface TopicOptions {
  /**
   * What the history keeps: the oldest messages are removed first. `bytes` counts the messages as the broker has them, with 14 bytes
   * more and the key. `false` keeps nothing.
   * @default { messages: 1_000, bytes: 1_048_576, age: 300_000 }
   */
  readonly history?: Partial<HistoryLimits> | false | undefined;
  /** What happens to a slow member. @default "catch-up" */
  readonly overflow?: SlowMember | undefined;
  /** Whether hubs tell each other who is in the topic: see `presence()`. @default false */
  readonly presence?: boolean | undefined;
}

/** Validated options of a hub, with defaults. */
export type SettledHub = Complete<Omit<HubOptions, "broker" | "observe" | "onError">> &
  Pick<HubOptions, "broker" | "observe" | "onError">;

/** Validated options of a topic, with defaults. */
export interface SettledTopic {
  /** Undefined: nothing is kept. */
  readonly history: HistoryLimits | undefined;
  readonly overflow: SlowMember;
  readonly presence: boolean;
}

/** The defaults of the options of a hub. */
export interface HubDefaults {
  readonly publishTimeout: number;
  readonly joinTimeout: number;
  readonly readTimeout: number;
  readonly probeInterval: number;
  readonly maxTopics: number;
  readonly maxHistoryBytes: number;
  readonly maxPublishing: number;
}

/** The defaults of the options of a topic. */
export interface TopicDefaults {
  readonly history: HistoryLimits;
  readonly overflow: SlowMember;
  readonly presence: boolean;
}

export const HUB_DEFAULTS: HubDefaults = Object.freeze({
  publishTimeout: 5_000,
  joinTimeout: 15_000,
  readTimeout: 5_000,
  probeInterval: 30_000,
  maxTopics: 1_000_000,
  maxHistoryBytes: 268_435_456,
  maxPublishing: 10_000,
});

export const TOPIC_DEFAULTS: TopicDefaults = Object.freeze({
  history: Object.freeze({ messages: 1_000, bytes: 1_048_576, age: 300_000 }),
  overflow: "catch-up",
  presence: false,
});

const NUMBERS: Readonly<Record<string, NumberRange>> = {
  publishTimeout: DURATION,
  joinTimeout: DURATION,
  readTimeout: { ...DURATION, most: 2 ** 31 - 1 },
  probeInterval: DURATION,
  maxTopics: COUNT,
  maxHistoryBytes: COUNT,
  maxPublishing: COUNT,
};
const FUNCTIONS = ["observe", "onError", "random"];
const HUB_NAMES = [...Object.keys(NUMBERS), ...FUNCTIONS, "broker", "encoder", "clock"];

/** The most that a history can keep, on every broker. */
const MOST: HistoryLimits = { messages: 1_000_000, bytes: 1_073_741_824, age: 365 * 86_400_000 };

export function settleHub(options: HubOptions): SettledHub {
  judgeOptions(options);
  const given = present(options);
  judgeNames(Object.keys(given), (name) => HUB_NAMES.includes(name));
  for (const [name, range] of Object.entries(NUMBERS)) {
    const value = given[name as keyof typeof given];
    if (value !== undefined) judgeNumber(name, value, range);
  }
  for (const name of FUNCTIONS) {
    const value = given[name as keyof typeof given];
    if (value !== undefined) judgeFunction(name, value);
  }
  if (given.broker !== undefined) judgeBroker(given.broker);
  if (given.encoder !== undefined) judgeEncoder(given.encoder);
  return { ...HUB_DEFAULTS, encoder: PLAIN, clock: systemClock, random: Math.random, ...given } as SettledHub;
}

function judgeBroker(broker: Broker): void {
  judgeOptions(broker, "broker");
  for (const name of ["publish", "subscribe", "read", "renew", "close"] as const)
    judgeFunction(`broker.${name}`, broker[name]);
  judgeOptions(broker.honours, "broker.honours");
}

function judgeEncoder(encoder: TopicEncoder): void {
  judgeOptions(encoder, "encoder");
  judgeFunction("encoder.message", encoder.message);
  for (const name of ["joined", "gap", "skipped", "left", "ended"] as const) {
    const value = encoder[name];
    if (value !== undefined) judgeFunction(`encoder.${name}`, value);
  }
}

export function settleTopic(options: TopicOptions): SettledTopic {
  judgeOptions(options);
  const {
    history = {},
    overflow = TOPIC_DEFAULTS.overflow,
    presence = TOPIC_DEFAULTS.presence,
    ...rest
  } = present(options);
  judgeNames(Object.keys(rest), () => false);
  judgeChoice("overflow", overflow, ["catch-up", "close", "latest"]);
  judgeBoolean("presence", presence);
  return { history: settleHistory(history), overflow, presence };
}

function settleHistory(history: Partial<HistoryLimits> | false): HistoryLimits | undefined {
  if (history === false) return undefined;
  judgeOptions(history, "history");
  const given = present(history);
  judgeNames(Object.keys(given), (name) => name in MOST, "history.");
  const limits: HistoryLimits = { ...TOPIC_DEFAULTS.history, ...given };
  for (const name of ["messages", "bytes", "age"] as const) {
    const unit = name === "age" ? { unit: "ms" as const } : {};
    judgeNumber(`history.${name}`, limits[name], { least: 1, most: MOST[name], whole: true, ...unit });
  }
  return limits;
}
