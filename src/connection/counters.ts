/** What the connections of one server, or all clients of a protocol, have done: numbers that only grow. */

import { END_CAUSES, type EndCause } from "../base/end-causes.ts";
import { ERROR_PLACES, type ErrorPlace } from "../base/error-context.ts";
import { REFUSALS, type Refusal } from "../base/refusals.ts";
import { between, type Instant, roundedUp } from "../base/time.ts";
import { CALL_LIMITS, LOSS_POLICIES, type MetricProtocol, type MetricRole, SENT_CODES } from "../base/vocabulary.ts";
import { Histogram } from "../engine/histogram.ts";
import type { Collector, MetricSource } from "../engine/metrics/collector.ts";
import { isWireCode, NO_STATUS } from "../engine/websocket/close-codes.ts";
import type { ConnectionWatcher } from "./watcher.ts";

function zeros<Name extends string>(names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;
}

const CAUSES = Object.keys(END_CAUSES) as EndCause[];
const PLACES = Object.keys(ERROR_PLACES) as ErrorPlace[];
const REASONS = Object.keys(REFUSALS) as Refusal[];

// Shared by all counters that nothing watches.
const NO_WATCHERS: readonly ConnectionWatcher[] = Object.freeze([]);

/** Pings leave at most 1,000 times a second, so the oldest is older than a second. */
const MAX_PING_INSTANTS = 1_024;

/**
 * Counting is always on. What happens for each message or write is the addition to a field of this object, which many connections
 * share: so it is in the processor's cache, and an idle connection keeps nothing for it. A clock is read, and a histogram is used, at
 * most once for each connection, each Ping, and each write that had to wait.
 */
export class Counters implements MetricSource {
  readonly role: MetricRole;
  readonly protocol: MetricProtocol;
  /** True if numbers are kept for each connection from now on: see `tally.ts`. */
  tallies = false;
  watchers: readonly ConnectionWatcher[] = NO_WATCHERS;
  opened = 0;
  messagesIn = 0;
  messagesOut = 0;
  bytesIn = 0;
  bytesOut = 0;
  writes = 0;
  pauses = 0;
  pausedSeconds = 0;
  readonly closed: Record<EndCause, number> = zeros(CAUSES);
  readonly refused: Record<Refusal, number> = zeros(REASONS);
  readonly errors: Record<ErrorPlace, number> = zeros(PLACES);
  #logged = false;
  readonly #overflows: Record<string, number> = zeros(LOSS_POLICIES);
  readonly #callTimeouts: Record<string, number> = zeros(CALL_LIMITS);
  readonly #closeCodes: Record<string, number> = zeros(SENT_CODES);
  // Created on first use: each has some kilobytes, and a program may have many servers.
  #durations: Histogram | undefined;
  #handshakes: Histogram | undefined;
  #writeWaits: Histogram | undefined;
  #pingRtts: Histogram | undefined;
  /** When the latest Pings of heartbeats were sent, by the instant rounded up to a millisecond. */
  readonly #pingInstants = new Map<Instant, Instant>();

  constructor(role: MetricRole, protocol: MetricProtocol) {
    this.role = role;
    this.protocol = protocol;
  }

  /** Keeps numbers of each connection, for the log. */
  keepTallies(): void {
    this.#logged = true;
    this.tallies = true;
  }

  /** Keeps numbers of each connection, and reports their rare events, until the returned function is called. */
  watch(watcher: ConnectionWatcher): () => void {
    this.tallies = true;
    this.watchers = [...this.watchers, watcher];
    return () => {
      this.watchers = this.watchers.filter((one) => one !== watcher);
      this.tallies = this.#logged || this.watchers.length > 0;
    };
  }

  /** A connection has ended, `age` milliseconds after it was opened. */
  connectionEnded(cause: EndCause, age: number): void {
    this.closed[cause] += 1;
    this.#durations ??= new Histogram();
    this.#durations.record(age / 1_000);
  }

  /** A send queue had no room for a message, to which `policy` was applied. */
  overflowed(policy: string): void {
    this.#overflows[policy] = (this.#overflows[policy] ?? 0) + 1;
  }

  /** A call has reached a limit of its own. */
  callTimedOut(limit: string): void {
    this.#callTimeouts[limit] = (this.#callTimeouts[limit] ?? 0) + 1;
  }

  /** An opening has led to a connection after `length` milliseconds. */
  handshakeDone(length: number): void {
    this.#handshakes ??= new Histogram();
    this.#handshakes.record(length / 1_000);
  }

  /** A Close frame is sent. `payload` is empty if it has no code. */
  closeSent(payload: Uint8Array): void {
    const code = payload.length < 2 ? NO_STATUS : ((payload[0] as number) << 8) | (payload[1] as number);
    const name =
      code === NO_STATUS || !isWireCode(code) ? "none" : code < 3_000 ? String(code) : `${String(code)[0]}xxx`;
    this.#closeCodes[name] = (this.#closeCodes[name] ?? 0) + 1;
  }

  /** A write that the kernel did not take at once is complete, `length` milliseconds after it had no room. */
  writeWaited(length: number): void {
    this.#writeWaits ??= new Histogram();
    this.#writeWaits.record(length / 1_000);
  }

  /** The heartbeat sends a Ping. The Pings of many connections leave together, at the same instant. */
  pingSent(now: Instant): void {
    const pings = this.#pingInstants;
    pings.set(roundedUp(now), now);
    if (pings.size > MAX_PING_INSTANTS) for (const oldest of pings.keys()) return void pings.delete(oldest);
  }

  /** A peer answers the Ping that was sent at `rounded`: connections keep the instant in whole milliseconds. Returns the length. */
  pingAnswered(rounded: Instant, now: Instant): number | undefined {
    const sentAt = this.#pingInstants.get(rounded);
    // Undefined if this process was blocked meanwhile, which started the wait again.
    if (sentAt === undefined) return undefined;
    this.#pingRtts ??= new Histogram();
    const rtt = between(sentAt, now);
    this.#pingRtts.record(rtt / 1_000);
    return rtt;
  }

  collect(into: Collector): void {
    const { role, protocol } = this;
    into.add("holdfast_connections_opened_total", this.opened, { role, protocol });
    for (const cause of CAUSES) {
      const { by } = END_CAUSES[cause];
      into.add("holdfast_connections_closed_total", this.closed[cause], { role, by, cause });
    }
    if (protocol === "websocket")
      for (const code of SENT_CODES) into.add("holdfast_close_codes_sent_total", this.#closeCodes[code] ?? 0, { code });
    into.addHistogram("holdfast_connection_duration_seconds", this.#durations, { role });
    into.addHistogram("holdfast_handshake_duration_seconds", this.#handshakes, { role });
    for (const reason of REASONS) into.add("holdfast_handshakes_refused_total", this.refused[reason], { reason });
    const ways = { role, protocol };
    into.add("holdfast_messages_total", this.messagesIn, { ...ways, direction: "in" });
    into.add("holdfast_messages_total", this.messagesOut, { ...ways, direction: "out" });
    into.add("holdfast_bytes_total", this.bytesIn, { ...ways, direction: "in" });
    into.add("holdfast_bytes_total", this.bytesOut, { ...ways, direction: "out" });
    into.add("holdfast_writes_total", this.writes, { role });
    into.addHistogram("holdfast_write_wait_seconds", this.#allWrites());
    for (const policy of LOSS_POLICIES) into.add("holdfast_overflow_total", this.#overflows[policy] ?? 0, { policy });
    into.add("holdfast_pauses_total", this.pauses, { role });
    into.add("holdfast_paused_seconds_total", this.pausedSeconds, { role });
    for (const limit of CALL_LIMITS)
      into.add("holdfast_call_timeouts_total", this.#callTimeouts[limit] ?? 0, { limit });
    into.addHistogram("holdfast_ping_rtt_seconds", this.#pingRtts);
    for (const place of PLACES) into.add("holdfast_errors_total", this.errors[place], { place });
  }

  /** With the writes that did not wait, for which no histogram was used. */
  #allWrites(): Histogram {
    const all = new Histogram();
    if (this.#writeWaits !== undefined) all.merge(this.#writeWaits);
    const atOnce = Math.max(this.writes - all.count, 0);
    all.merge({ schema: all.schema, sum: 0, min: 0, max: 0, zeros: atOnce, buckets: [] });
    return all;
  }
}
