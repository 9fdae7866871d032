/** The messages between the process of a worker and the process that started it. */

import type { BrokerPublishOptions, Published, ReadRequest, Slice } from "../broker/broker.ts";
import type { MetricSeries } from "../engine/metrics/collector.ts";

/** The place of a message in the log of its topic. */
export type Place = readonly [epoch: string, offset: number];

/** A message of a channel. `place` is there if the channel is a topic and its log keeps the message. */
export type Mail = readonly [channel: string, message: Uint8Array, place?: Place];

/** The channels of topics begin with this. Those of groups may not. */
export const TOPIC_CHANNEL = "\u0000topic ";

/** What a worker asks of the logs in the first process. */
export type LogRequest =
  | {
      readonly ask: "publish";
      readonly topic: string;
      readonly message: Uint8Array;
      readonly options: Pick<BrokerPublishOptions, "history" | "id" | "fence">;
    }
  /** Without `signal`, which cannot be sent to another process. */
  | { readonly ask: "read"; readonly topic: string; readonly request: Omit<ReadRequest, "signal"> }
  | { readonly ask: "renew"; readonly topic: string; readonly epoch: string }
  | { readonly ask: "claim"; readonly topic: string; readonly producer: string; readonly attempt: number };

/** The answer to a request: its result, or the facts of the error with which it was refused. */
export type LogAnswer =
  | { readonly result: Published | Slice | string | boolean }
  | { readonly fenced: { readonly producer: string; readonly attempt: number } }
  | { readonly limit: string; readonly maximum: number; readonly actual: number };

export type FromWorker =
  | { readonly holdfast: "serving"; readonly urls: readonly string[] }
  /** `report` is the error with its stack and its causes, as text, because not every error can be sent to another process. */
  | {
      readonly holdfast: "failed";
      readonly problem: string;
      readonly errno: string | undefined;
      readonly report: string;
    }
  /** Channels to which the worker has subscribed, or no longer subscribes. Answered with `confirmed`. */
  | {
      readonly holdfast: "channels";
      readonly announcement: number;
      readonly changes: readonly (readonly [channel: string, subscribed: boolean])[];
    }
  | { readonly holdfast: "mail"; readonly mail: readonly Mail[] }
  /** Each is answered in `answers`, with its number. */
  | { readonly holdfast: "asks"; readonly asks: readonly (readonly [number: number, request: LogRequest])[] }
  /** The metrics of the worker: the answer to `measure`, and without a question (0) before it ends. */
  | { readonly holdfast: "measured"; readonly number: number; readonly series: readonly MetricSeries[] }
  /** A request of the worker for the metrics of all processes. Answered with `joined`. */
  | { readonly holdfast: "join" };

export type ToWorker =
  | { readonly holdfast: "stop" }
  | { readonly holdfast: "confirmed"; readonly announcement: number }
  /** `missed`: the number of messages before these for which there was no room. */
  | { readonly holdfast: "mail"; readonly mail: readonly Mail[]; readonly missed: number }
  | { readonly holdfast: "answers"; readonly answers: readonly (readonly [number: number, answer: LogAnswer])[] }
  | { readonly holdfast: "measure"; readonly number: number }
  | { readonly holdfast: "joined"; readonly series: readonly MetricSeries[] };

/**
 * Returns the message if it is one of this library, otherwise undefined: the program may send messages of its own. The fields are
 * not validated, because both sides are this library.
 */
export function libraryMessage<M extends { readonly holdfast: string }>(message: unknown): M | undefined {
  const isOurs = typeof message === "object" && message !== null && "holdfast" in message;
  return isOurs ? (message as M) : undefined;
}
