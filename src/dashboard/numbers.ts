/** Takes the numbers of each second from the metrics, which only grow. */

import type { MetricName } from "../base/vocabulary.ts";
import type { Histogram } from "../engine/histogram.ts";
import type { MetricsSnapshot } from "../metrics/snapshot.ts";
import type { NumberName } from "./feed.ts";
import type { Numbers } from "./history.ts";

type Labels = Readonly<Record<string, string>>;

const GAUGES: readonly (readonly [NumberName, MetricName, Labels?])[] = [
  ["serverOpening", "holdfast_connections", { role: "server", state: "opening" }],
  ["serverOpen", "holdfast_connections", { role: "server", state: "open" }],
  ["serverClosing", "holdfast_connections", { role: "server", state: "closing" }],
  ["clientOpening", "holdfast_connections", { role: "client", state: "opening" }],
  ["clientOpen", "holdfast_connections", { role: "client", state: "open" }],
  ["clientClosing", "holdfast_connections", { role: "client", state: "closing" }],
  ["queuedBytes", "holdfast_queued_bytes"],
  ["queuedMessages", "holdfast_queued_messages"],
  ["slow", "holdfast_connections_slow"],
  ["inboxBytes", "holdfast_inbox_bytes"],
  ["paused", "holdfast_connections_paused"],
  ["peerEnded", "holdfast_peer_ended_connections"],
  ["memoryHeld", "holdfast_memory_held_bytes"],
  ["topics", "holdfast_topics"],
  ["topicMembers", "holdfast_topic_members"],
  ["topicMembersBehind", "holdfast_topic_members_behind"],
];

const COUNTERS: readonly (readonly [NumberName, MetricName, Labels?])[] = [
  ["opened", "holdfast_connections_opened_total"],
  ["refused", "holdfast_handshakes_refused_total"],
  ["messagesIn", "holdfast_messages_total", { direction: "in" }],
  ["messagesOut", "holdfast_messages_total", { direction: "out" }],
  ["bytesIn", "holdfast_bytes_total", { direction: "in" }],
  ["bytesOut", "holdfast_bytes_total", { direction: "out" }],
  ["writes", "holdfast_writes_total"],
  ["overflow", "holdfast_overflow_total"],
  ["pauses", "holdfast_pauses_total"],
  ["errors", "holdfast_errors_total"],
  ["topicGaps", "holdfast_topic_gaps_total"],
];

// They wait for the peer, although this process has ended the connection.
const ENDING = ["fin_wait1", "fin_wait2", "last_ack", "closing"];

/** What the dashboard itself has caused in these numbers. */
export interface OwnShare {
  /** Open connections of viewers. */
  readonly open: number;
  /** Connections of viewers that were opened, and what all of them have received and sent. */
  readonly opened: number;
  readonly messagesIn: number;
  readonly messagesOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** What is not in the metrics. */
export interface OtherCounts {
  readonly closedLocal: number;
  readonly closedPeer: number;
  /** Unix time in milliseconds. */
  readonly wallTime: number;
  /** Microseconds of processors. */
  readonly cpu: number;
}

export class SecondNumbers {
  readonly #before = new Map<string, number>();
  readonly #rtt = new Percentiles();
  readonly #loop = new Percentiles();

  /** The numbers of the second that ends now. `seconds`: its length. */
  take(snapshot: MetricsSnapshot, own: OwnShare, others: OtherCounts, seconds: number): Numbers {
    const numbers: Numbers = {};
    for (const [name, metric, labels] of GAUGES) numbers[name] = snapshot.value(metric, labels);
    numbers.serverOpen = Math.max(0, (numbers.serverOpen ?? 0) - own.open);
    numbers.largestQueue = Math.max(
      ...["server", "client"].map((role) => snapshot.value("holdfast_queue_largest_bytes", { role })),
    );
    const oldest = ["server", "client"]
      .map((role) => snapshot.value("holdfast_peer_ended_oldest_timestamp_seconds", { role }))
      .filter((at) => at > 0);
    if (oldest.length > 0) numbers.peerEndedAge = Math.max(0, others.wallTime - Math.min(...oldest) * 1_000);
    for (const [name, metric, labels] of COUNTERS) {
      const total = snapshot.value(metric, labels) - (name in own ? own[name as keyof OwnShare] : 0);
      numbers[name] = Math.max(0, this.#since(name, total)) / seconds;
    }
    const sockets = snapshot.value("holdfast_tcp_sockets");
    // A process with connections has sockets, unless the kernel's table is not known.
    if (sockets > 0) {
      const inState = (state: string): number => snapshot.value("holdfast_tcp_sockets", { state });
      numbers.kernelSockets = sockets;
      numbers.kernelCloseWait = inState("close_wait");
      numbers.kernelEnding = ENDING.reduce((sum, state) => sum + inState(state), 0);
    }
    numbers.closedLocal = this.#since("closedLocal", others.closedLocal) / seconds;
    numbers.closedPeer = this.#since("closedPeer", others.closedPeer) / seconds;
    numbers.cpu = this.#since("cpu", others.cpu) / 10_000 / seconds;
    const rtt = this.#rtt.since(snapshot.histogram("holdfast_ping_rtt_seconds"));
    [numbers.rttP50, numbers.rttP99] = [rtt.p50, rtt.p99];
    const loop = this.#loop.since(snapshot.histogram("holdfast_loop_blocked_seconds"));
    [numbers.loopP50, numbers.loopP99, numbers.loopMax] = [loop.p50, loop.p99, loop.max];
    return numbers;
  }

  /** How much a number has grown since the last second. 0 in the first one: what was before it is of no second. */
  #since(name: string, total: number): number {
    const before = this.#before.get(name) ?? total;
    this.#before.set(name, total);
    return total - before;
  }
}

/** Percentiles in milliseconds of what a histogram of seconds has counted since the last time. NaN if there is nothing. */
class Percentiles {
  #before = new Map<number, number>();
  #count = 0;

  since(histogram: Histogram): { readonly p50: number; readonly p99: number; readonly max: number } {
    const buckets = histogram.buckets();
    const counts = new Map(buckets.map(({ upper, count }) => [upper, count]));
    const grown = buckets
      .map(({ upper, count }) => ({ upper, count: count - (this.#before.get(upper) ?? 0) }))
      .filter(({ count }) => count > 0);
    const total = histogram.count - this.#count;
    this.#before = counts;
    this.#count = histogram.count;
    // Values of zero are in no bucket.
    let below = total - grown.reduce((sum, { count }) => sum + count, 0);
    const at = [0.5, 0.99].map(() => (total > 0 ? 0 : Number.NaN));
    for (const { upper, count } of grown) {
      const reached = below + count;
      [0.5, 0.99].forEach((part, index) => {
        if (below < part * total && reached >= part * total) at[index] = upper * 1_000;
      });
      below = reached;
    }
    const max = total > 0 ? (grown.at(-1)?.upper ?? 0) * 1_000 : Number.NaN;
    return { p50: at[0] as number, p99: at[1] as number, max };
  }
}
