/** The requirements S0 to S5, and the tests that show each. */

import type { NamedTest } from "../kit/named-tests.ts";

export interface Requirement {
  readonly id: string;
  readonly what: string;
  /** Test files, without their suffix, with tests that have the id in their title. */
  readonly files: readonly string[];
  /** Tests without the id in their title that show it, too. */
  readonly others: readonly NamedTest[];
}

function row(id: string, what: string, ...shown: readonly (string | NamedTest)[]): Requirement {
  const files = shown.filter((one) => typeof one === "string");
  return { id, what, files, others: shown.filter((one) => typeof one !== "string") };
}

export const REQUIREMENTS: readonly Requirement[] = [
  row("S0-1", "A write deadline is an absolute instant.", "requirements/s0-deadlines"),
  row(
    "S0-2",
    "A passed write deadline fails every later write at once, until it is renewed.",
    "requirements/s0-deadlines",
  ),
  row("S0-3", "Gaps between writes that are longer than the write timeout do no harm.", "requirements/s0-deadlines"),
  row(
    "S0-4",
    "A control frame that the library sends never inherits the user's write deadline.",
    "requirements/s0-deadlines",
  ),
  row(
    "S0-5",
    "The error of a write timeout names the operation, the deadline and the elapsed time.",
    "requirements/s0-deadlines",
  ),
  row(
    "S0-6",
    "The end by the idle limit differs from a write timeout and has the configured and the actual duration.",
    "requirements/s0-silence",
  ),
  row(
    "S0-7",
    "A heartbeat keeps an idle connection open and ends one whose peer is frozen.",
    "requirements/s0-silence",
  ),
  row(
    "S0-8",
    "A member whose connection fails leaves its group, and no later send goes to it.",
    "requirements/s0-sessions",
  ),
  row("S0-9", "A stop ends a loop that waits for messages or for a write.", "requirements/s0-sessions"),
  row("S0-10", "Members may join and leave a group during a broadcast.", "requirements/s0-sessions"),
  row("S0-11", "A renewed deadline applies to operations that already wait.", "requirements/s0-deadlines"),
  row(
    "S0-12",
    "Time limits of the opening do not apply to the open connection.",
    "requirements/s0-handshake",
    "endpoint/server/attach",
  ),
  row(
    "S1-1",
    "Any number of concurrent senders may share a connection; frames are never interleaved.",
    "requirements/s1-producers",
  ),
  row(
    "S1-2",
    "The order of writes belongs to the connection, and not to the call or a wrapper.",
    "requirements/s1-calls",
  ),
  row("S1-3", "A send on a connection that has ended fails with an error.", "requirements/s1-calls"),
  row("S1-4", "Every write reports its result to its caller exactly once.", "requirements/s1-calls"),
  row(
    "S1-5",
    "Writes go through one queue, first in, first out, with a documented order of control frames.",
    "requirements/s1-calls",
  ),
  row("S1-6", "The queue is bounded in bytes and messages, with an overflow policy.", "requirements/s1-calls"),
  row("S1-7", "Serialised senders reach 95 % of the throughput of one sender.", "requirements/s1-throughput"),
  row("S1-8", "A streamed message, pings and a close at the same time are tested.", "requirements/s1-wire"),
  row(
    "S1-9",
    "A wrong argument is a compile error, and a TypeError before anything is queued.",
    "requirements/s1-misuse",
  ),
  row("S1-10", "Control frames go between the fragments of a message, never inside a frame.", "requirements/s1-wire"),
  row("S1-11", "No message overtakes another, whatever time its compression takes.", "requirements/s1-wire"),
  row("S2-1", "The idle limit runs only while the connection waits without data.", "requirements/s2-idle"),
  row("S2-2", "A read deadline fires at its instant, whatever data is ready.", "requirements/s2-deadline"),
  row("S2-3", "After a read deadline every read fails until it is cleared or renewed.", "requirements/s2-deadline"),
  row(
    "S2-4",
    "A cleared or renewed deadline makes the connection readable again without loss.",
    "requirements/s2-deadline",
  ),
  row(
    "S2-5",
    "A signal or deadline interrupts a waiting read without closing the connection.",
    "requirements/s2-deadline",
  ),
  row("S2-6", "The idle limit starts again before each read.", "requirements/s2-idle"),
  row("S2-7", "A timeout between messages can be retried.", "requirements/s2-partial"),
  row("S2-8", "After a timeout inside a message the bytes received so far are kept.", "requirements/s2-partial"),
  row(
    "S2-9",
    "A timeout inside a message differs from one between messages, and says how much had arrived.",
    "requirements/s2-partial",
  ),
  row("S2-10", "The time of a whole message is bounded beside the gaps in it.", "requirements/s2-idle"),
  row(
    "S2-11",
    "The idle, message and lifetime limits can be combined; the error names the one that was reached.",
    "requirements/s2-idle",
  ),
  row(
    "S3-1",
    "A peer that disappears without a FIN is noticed within a bound.",
    "requirements/s3-lost-peers",
    "faults/lost-packets",
  ),
  row(
    "S3-2",
    "A deadline that has passed is an immediate timeout, and a duration is no deadline.",
    "requirements/s3-read-ends",
  ),
  row("S3-3", "A deadline set before every read gives each read its full time.", "requirements/s3-read-ends"),
  row("S3-4", "Timeout, end, end inside a message and other errors are told apart.", "requirements/s3-read-ends"),
  row("S3-5", "Each of these ends closes the connection, and no socket is left.", "requirements/s3-read-ends"),
  row(
    "S3-6",
    "A deadline on a closed connection is an error that says how it was closed.",
    "requirements/s3-read-ends",
  ),
  row("S3-7", "A handler that hangs or throws delays no other connection.", "requirements/s3-exits"),
  row("S3-8", "The accept loop reports an error and goes on.", "requirements/s3-accept"),
  row("S3-9", "The accept loop does not spin without descriptors, and ends on close.", "requirements/s3-accept"),
  row("S3-10", "The peer's FIN is visible before our side has closed.", "requirements/s3-half-close"),
  row("S3-11", "After the peer's FIN the answer still arrives whole.", "requirements/s3-half-close"),
  row("S3-12", "After the peer's FIN ours follows within `lingerTimeout`.", "requirements/s3-half-close"),
  row("S3-13", "A FIN is noticed while reading is paused.", "requirements/s3-half-close"),
  row("S3-14", "Connections whose peer has ended are counted, with their greatest age.", "requirements/s3-half-close"),
  row("S3-15", "Servers have a finite limit of silence by default.", "requirements/s3-lost-peers"),
  row("S3-16", "A timeout is recognised by `timeout` and by its code.", "requirements/s3-read-ends"),
  row("S3-17", "However a handler ends, its connection is closed and the descriptor is free.", "requirements/s3-exits"),
  row(
    "S3-18",
    "A killed process ends its connections at once; a lost machine is found by a time limit.",
    "requirements/s3-lost-peers",
    "faults/lost-packets",
  ),
  row("S3-19", "TCP keepalive can be set, and finds a dead peer.", "requirements/s3-lost-peers", "faults/lost-packets"),
  row(
    "S3-20",
    "Unacknowledged data and frozen peers, which keepalive does not see, are found by time limits.",
    "requirements/s3-lost-peers",
    "faults/lost-packets",
  ),
  row(
    "S4-1",
    "A reader ends on a clean end and throws on every other; a reader that is ignored changes nothing of `closed`.",
    "requirements/s4-outcomes",
  ),
  row("S4-2", "An end has its code, reason, cleanness, error and phase.", "requirements/s4-outcomes"),
  row("S4-3", "A message of an unexpected type does not end the reading loop.", "requirements/s4-outcomes"),
  row("S4-4", "An idle connection costs almost no processor time.", "requirements/s4-load"),
  row("S4-5", "Neither reading nor writing starves the other.", "requirements/s4-load"),
  row("S4-6", "A blocked event loop of ours does not count against the peer, and is visible.", "requirements/s4-sight"),
  row("S4-7", "Reading and writing are independent halves.", "requirements/s4-halves"),
  row("S4-8", "If one half fails, the other ends soon.", "requirements/s4-halves"),
  row("S4-9", "`send` returns a promise, and awaiting it is backpressure.", "requirements/s4-halves"),
  row("S4-10", "What waits for a slow reader is bounded under every overflow policy.", "requirements/s4-load"),
  row(
    "S4-11",
    "A client reconnects, with pauses, and loses or doubles queued messages only as its policy says.",
    "requirements/s4-reconnect",
  ),
  row("S4-12", "A heartbeat checks the connection regularly.", "requirements/s4-sight"),
  row(
    "S4-13",
    "Messages, bytes, queues, drops, stalls, round trips and the delay of the loop are counted.",
    "requirements/s4-sight",
  ),
  row(
    "S4-14",
    "A trace has the frames, close codes, handshake fields and the reason of a refusal.",
    "requirements/s4-sight",
  ),
  row("S4-15", "A send that fails never ends the process.", "requirements/s4-outcomes"),
  row("S5-1", "What `send` accepted reaches a peer that goes on reading, however slowly.", "requirements/s5-delivery"),
  row(
    "S5-2",
    "Two peers of this library end framed TCP cleanly and at once, whichever ends first.",
    "requirements/s5-delivery",
  ),
  row(
    "S5-3",
    "`server.close({ drain })` lets handlers and hooks finish and their messages leave.",
    "requirements/s5-drain",
    "workers/supervisor",
  ),
  row(
    "S5-4",
    "Five thousand short sends without await arrive; refusals are reported and counted.",
    "requirements/s5-unawaited",
    "reconnect/queue",
  ),
  row(
    "S5-5",
    "After `send`, `trySend` and `writer.write` return, the caller may reuse its memory.",
    "requirements/s5-reuse",
  ),
  row(
    "S5-6",
    "An exception in the shared flush reaches no other connection and not the process.",
    "requirements/s5-reuse",
    "connection/write/write-failures",
  ),
  row(
    "S5-7",
    "A reading loop ends on a normal end and throws the ClosedError on every other.",
    "requirements/s5-truth",
  ),
  row("S5-8", "Errors of handlers and hooks are printed with stack, causes and connection.", "requirements/s5-faults"),
  row(
    "S5-9",
    "Every refused or failed opening is an event with a reason from one closed set.",
    "requirements/s5-refusals",
  ),
  row(
    "S5-10",
    "A reconnecting client tells passing causes from final ones and retries nothing silently for ever.",
    "requirements/s5-reconnect",
  ),
  row(
    "S5-11",
    "`openTimeout` holds for every way into a server.",
    "requirements/s5-open-timeout",
    "requirements/s5-untaken",
    "cli/serve/slow-openings",
  ),
  row(
    "S5-12",
    "An open connection and its time limits keep the process alive; `unref()` opts out.",
    "requirements/s5-alive",
  ),
];
