/** What one process of `holdfast bench` does, and what it reports: plain data that passes between processes. */

import type { HistogramData } from "../../engine/histogram.ts";
import type { Framing } from "../../index.ts";

/** What is measured. The manual describes each. */
export type Work = "echo" | "broadcast" | "connect" | "idle";

/** How the process waits for the time of the next message. */
export type Pace = "spin" | "timer";

/** Milliseconds of the system's monotonic clock, which all processes of a machine share. */
export type Milliseconds = number;

export interface Plan {
  readonly url: string;
  readonly work: Work;
  /** Connections of all processes. With `broadcast` these are the subscribers; the publisher is one more. */
  readonly connections: number;
  /** How many of them send and do not read. */
  readonly slow: number;
  /** Messages (with `connect`, attempts) per second of all processes: the open loop. Undefined for the closed loop. */
  readonly rate: number | undefined;
  /** In the closed loop, messages under way on each connection. */
  readonly inFlight: number;
  /** Bytes of one message. */
  readonly size: number;
  readonly text: boolean;
  /** Time before the measurement, in which messages are sent and checked, but not measured. */
  readonly warmup: Milliseconds;
  readonly duration: Milliseconds;
  /** How long to wait for the next outstanding answer after the measurement. */
  readonly drain: Milliseconds;
  readonly pace: Pace;
  readonly processes: number;
  /** Marks the messages of this run: a number below 4096. */
  readonly tag: number;
  /** Whether to report progress while measuring. */
  readonly progress: boolean;
  readonly client: ClientPlan;
}

/** How connections are opened. */
export interface ClientPlan {
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly subprotocols: readonly string[];
  readonly origin: string | undefined;
  readonly compression: boolean;
  /** For tcp: and tls: addresses. */
  readonly framing: Framing;
  /** Whether any certificate is accepted. */
  readonly insecure: boolean;
  /** A certificate authority in PEM. */
  readonly ca: string | undefined;
}

/** The measured time is cut into this many slices of equal length: the resolution of charts, and of the rounds. */
export const SLICES = 100;

/**
 * The schema of all histograms here: the width of a bucket is 1.1 % of its value. The default, 9 %, would not tell results apart
 * that differ by 5 %.
 */
export const SCHEMA = 6;

/** Facts that are counted and not measured in time. All but `sent`, `received` and `late` are faults. */
export interface Counts {
  /** Messages (attempts, with `connect`) that were sent in the measured time. */
  readonly sent: number;
  /** Answers (deliveries, with `broadcast`; handshakes, with `connect`) that arrived in the measured time. */
  readonly received: number;
  /** Messages that were sent more than a millisecond after their scheduled time. Their latency includes the delay. */
  readonly late: number;
  /** Messages that were due and could not be sent before the end, because the server did not read. */
  readonly unsent: number;
  /** Messages that were sent and did not arrive by the end of the drain time. */
  readonly lost: number;
  /** Messages that arrived after a later one. */
  readonly reordered: number;
  /** Messages that arrived more than once. */
  readonly duplicated: number;
  /** Messages of other content than was sent. */
  readonly changed: number;
  /** Connections that ended before the end of the measurement, those that do not read excluded. */
  readonly ended: number;
  /** Connections that do not read and that the server ended. */
  readonly endedSlow: number;
  /** Attempts to connect that failed. */
  readonly failed: number;
}

/** What one process has measured. */
export interface LoadResult {
  /** Latencies by the slice in which the message was scheduled. */
  readonly latency: readonly (HistogramData | undefined)[];
  /** Sent and received messages by the slice in which that happened. */
  readonly sentIn: readonly number[];
  readonly receivedIn: readonly number[];
  readonly counts: Counts;
  /** Reasons of failures and ends, with their numbers. */
  readonly reasons: Readonly<Record<string, number>>;
}

/** One completed message of a broadcast, in one process: when it was scheduled, and when its last subscriber here had it. */
export type LastDelivery = readonly [sequence: number, scheduled: Milliseconds, last: Milliseconds];

/** To a process of the bench. */
export type Order =
  | { readonly type: "open"; readonly plan: Plan; readonly index: number }
  | { readonly type: "start"; readonly at: Milliseconds }
  /** Everything was sent, by all processes: wait for the rest, and report. `published` messages were broadcast. */
  | { readonly type: "finish"; readonly published: number }
  /** End the measurement now. */
  | { readonly type: "stop" };

/** From a process of the bench. */
export type Notice =
  | { readonly type: "opened"; readonly opened: number; readonly failure: string | undefined }
  | { readonly type: "progress"; readonly sent: number; readonly received: number; readonly latency: HistogramData }
  | { readonly type: "last"; readonly deliveries: readonly LastDelivery[] }
  | { readonly type: "sent"; readonly published: number; readonly until: Milliseconds }
  | { readonly type: "result"; readonly result: LoadResult };
