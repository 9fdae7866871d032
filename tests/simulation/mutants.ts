/** One-line breakages of the built library. Each must break a rule of the oracle; one that survives shows a hole in the oracle. */

import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Mutant {
  readonly name: string;
  /** The file, without its ending, below `src`. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

const mutant = (name: string, file: string, from: string, to: string): Mutant => ({ name, file, from, to });

const LIVENESS = "connection/time/liveness";
const CALLS = "connection/time/pending-calls";
const CORE = "connection/core";
const OUTBOX = "connection/write/outbox";
const QUEUE = "connection/write/send-queue";
const BOUNDED = "engine/queue/bounded-queue";
const OVERFLOW = "engine/queue/overflow-queue";
const PUMP = "connection/read/read-pump";
const INBOX = "connection/read/inbox";
const GROUP = "group/group";
const MEMBERS = "group/members";
const HEARTBEAT = "engine/time/heartbeat";
const CLOSING = "connection/close/closing";
const IN_FLIGHT = "connection/write/in-flight";
const UPGRADE = "endpoint/server/upgrade";
const TABLE = "engine/closing";
const ACCOUNT = "connection/memory-account";
const TIMERS = "connection/time/timers";

export const MUTANTS: readonly Mutant[] = [
  // Limits that are never reached
  mutant("heartbeat never sends a Ping", HEARTBEAT, "if (!reached(due, now))", "if (true)"),
  mutant("heartbeat never gives up", HEARTBEAT, "if (reached(dead, now))", "if (false)"),
  mutant(
    "heartbeat gives up at half of its timeout",
    HEARTBEAT,
    "const dead = after(state.pingedAt, timeout)",
    "const dead = after(state.pingedAt, timeout / 2)",
  ),
  mutant(
    "heartbeat ignores received bytes",
    LIVENESS,
    "    recordReceived(record, now);\n    if (!answer)",
    "    if (!answer)",
  ),
  mutant(
    "heartbeat waits twice as long",
    HEARTBEAT,
    "const dead = after(state.pingedAt, timeout)",
    "const dead = after(state.pingedAt, timeout * 2)",
  ),
  mutant(
    "writeTimeout is never armed",
    OUTBOX,
    "this.#owner.setWriteTimer(after(this.#blockedSince, this.#options.writeTimeout));",
    "",
  ),
  mutant(
    "writeTimeout counts twice",
    OUTBOX,
    "after(this.#blockedSince, this.#options.writeTimeout)",
    "after(this.#blockedSince, 2 * this.#options.writeTimeout)",
  ),
  mutant("writeTimeout is not cleared", OUTBOX, "this.#owner.clearWriteTimer();", ""),
  mutant(
    "closeTimeout is never armed",
    CLOSING,
    "        owner.setCloseTimer(this.#polls ? this.#closeAt : after(this.#beganAt, bound * POLL_AFTER));",
    "",
  ),
  mutant(
    "closeTimeout counts half",
    CLOSING,
    "const bound = options[limit];\n        this.#closeAt",
    "const bound = options[limit] / 2;\n        this.#closeAt",
  ),
  mutant(
    "closeTimeout counts twice",
    CLOSING,
    "const bound = options[limit];\n        this.#closeAt",
    "const bound = options[limit] * 2;\n        this.#closeAt",
  ),
  mutant("lingerTimeout is never armed", CORE, 'setTimer(this, "linger", at);', ""),
  mutant(
    "messageTimeout is never armed",
    LIVENESS,
    'setTimer(record, "message", after(now, record.options.messageTimeout));',
    "",
  ),
  mutant(
    "pauseTimeout is never armed",
    LIVENESS,
    'setTimer(record, "pause", after(since, record.options.pauseTimeout));',
    "",
  ),
  mutant(
    "pauseTimeout counts half",
    LIVENESS,
    "after(since, record.options.pauseTimeout)",
    "after(since, record.options.pauseTimeout / 2)",
  ),
  mutant("idleTimeout is never armed", LIVENESS, 'setTimer(record, "idle", after(now, idleTimeout));', ""),
  mutant(
    "idleTimeout ignores received bytes",
    LIVENESS,
    "record.rareTimes.receivedAt = roundedUp(now);\n    const answer",
    "void 0;\n    const answer",
  ),
  mutant("lifetime is never armed", LIVENESS, 'setTimer(record, "lifetime", after(now, lifetime));', ""),
  mutant("the timeout of a call is ignored", CALLS, "this.#owner.setCallTimer(earlier(end, this.#nextEnd()));", ""),
  mutant(
    "only the first timeout of several calls counts",
    CALLS,
    "        this.#setTimer();\n    }\n    /** Error of",
    "    }\n    /** Error of",
  ),
  mutant(
    "openTimeout is never armed",
    "endpoint/client/attempt",
    "new WaitLimit(clock, openTimeout,",
    "new WaitLimit(clock, Infinity,",
  ),
  mutant("a timer is not armed again", TIMERS, "rearm(record, now);\n    }", "void 0;\n    }"),
  // Messages
  mutant(
    "one message of eight is dropped",
    BOUNDED,
    "        this.#ring[this.#slot(this.#length)] = item;",
    '        if (this.#length === 7)\n            return "queued";\n        this.#ring[this.#slot(this.#length)] = item;',
  ),
  mutant(
    "the newest message is taken first",
    BOUNDED,
    "take() {\n        const item = this.#ring[this.#head];",
    "take() {\n        if (this.#length === 3) {\n            const a = this.#slot(1), b = this.#slot(2);\n            [this.#ring[a], this.#ring[b]] = [this.#ring[b], this.#ring[a]];\n        }\n        const item = this.#ring[this.#head];",
  ),
  mutant(
    "a received message is delivered twice",
    INBOX,
    "this.#stored.offer({ item, size: inboxSizeOf(item) });",
    "for (let copies = this.#stored.length === 2 ? 2 : 1; copies > 0; copies -= 1)\n                this.#stored.offer({ item, size: inboxSizeOf(item) });",
  ),
  mutant(
    "a message that was withdrawn stays in the queue",
    QUEUE,
    "if (!this.#queue.remove(message))\n            return false;",
    "",
  ),
  mutant("messages without room are queued", BOUNDED, "bytes > this.#maxBytes ||", ""),
  mutant("a refused message is not counted", OVERFLOW, "this.refused += 1;", ""),
  mutant("a dropped message is not counted", OVERFLOW, "this.dropped += 1;", ""),
  mutant(
    "waiting calls get no room",
    QUEUE,
    "queueWaiting() {\n        this.#queue.admitWaiting();",
    "queueWaiting() {",
  ),
  mutant(
    "the bytes of a message stay counted",
    BOUNDED,
    "this.#bytes -= item.size + this.#overhead;",
    "this.#bytes -= item.size;",
  ),
  mutant(
    "a wakeup after a full kernel is lost",
    OUTBOX,
    "        this.writeAccepted();\n        this.flush();",
    "        this.writeAccepted();",
  ),
  mutant(
    "the rest of a chunk is lost at a pause",
    PUMP,
    "this.#undecoded = Uint8Array.from(chunk.subarray(end));",
    "void 0;",
  ),
  mutant(
    "the second piece of a message is masked with another key",
    "engine/websocket/encoder",
    "this.#offset += to - from;",
    "this.#offset += to - from + 1;",
  ),
  // Reading
  mutant("reading is not paused", PUMP, "        transport.pause();\n", ""),
  mutant("reading is not resumed", PUMP, "        else\n            transport.resume();", ""),
  mutant("the inbox is never full", INBOX, "get full() {\n        return ", "get full() {\n        return false && "),
  // Ends
  mutant("calls for a message never settle at the end", CORE, "        inbox?.close(error);", ""),
  mutant(
    "the hook close is called twice",
    CORE,
    'dispatcherOf(this).whenDone(() => callHookAtEnd(this, "close", () => close(this.connection, infoOf(this))));',
    'for (const _ of [1, 2])\n                dispatcherOf(this).whenDone(() => callHookAtEnd(this, "close", () => close(this.connection, infoOf(this))));',
  ),
  mutant(
    "the hook closing is not called",
    CORE,
    "if (closing !== undefined)\n            callHookAtEnd",
    "if (false)\n            callHookAtEnd",
  ),
  mutant(
    "the end is reported before it is complete",
    CORE,
    "    endBegun(refusal) {",
    '    endBegun(refusal) {\n        this.rareParts?.closedPromise?.endComplete({ code: 1006, reason: "", by: "local", wasClean: false, cause: refusal });\n        this.options.hooks.close?.(this.connection, { code: 1006, reason: "", by: "local", wasClean: false, cause: refusal });',
  ),
  mutant("the FIN is not sent", CLOSING, "transport.end();", ""),
  mutant("an aborted end keeps its descriptor", CLOSING, "transport.abort();", ""),
  mutant("a released end keeps its descriptor", CLOSING, "transport.release();", ""),
  mutant("timers stay armed at the end", CLOSING, "this.#owner.stopTimers();", ""),
  mutant(
    "a Close is answered before the queued messages",
    TABLE,
    'peerClose: step("closingAnswered", "begin", "endInput", "sendClose", "reportBegun")',
    'peerClose: step("closingAnswered", "begin", "endInput", "dropQueue", "sendClose", "reportBegun")',
  ),
  mutant(
    "a close drops the queued messages",
    TABLE,
    'close: step("closing", "begin", "endInputAtClose", "sendClose", "reportBegun")',
    'close: step("closing", "begin", "endInputAtClose", "dropQueue", "sendClose", "reportBegun")',
  ),
  mutant("the answer to a Close is awaited for ever", TABLE, "peerClose: answered,", ""),
  mutant("another cause at the end", CLOSING, "owner.endCalls(error);", 'owner.endCalls(new Error("another"));'),
  mutant("a Close has another code", CLOSING, 'closePayload(code, "") });\n    }', 'closePayload(1000, "") });\n    }'),
  mutant(
    "a clean end is called unclean",
    TABLE,
    'const AGREED = ["exchanged", "endedExchanged", "bothEnded", "released"];',
    'const AGREED = ["exchanged", "endedExchanged", "released"];',
  ),
  mutant("a Ping gets no answer", CORE, 'sendControl(this, "write:pong", PONG, payload);', ""),
  // What the memory budget counts
  mutant("messages count as held behind the end", ACCOUNT, "over ? 0 :", ""),
  mutant("a message of a group counts as held for ever", BOUNDED, "item.left?.();", ""),
  // What a side says last, and what is in flight
  mutant("the farewell is not sent", CLOSING, "return explains ? this.#owner.farewell(this.refusal) : undefined;", ""),
  mutant(
    "the farewell is sent by every end",
    CLOSING,
    "return explains ? this.#owner.farewell(this.refusal) : undefined;",
    "return this.#owner.farewell(this.refusal);",
  ),
  mutant(
    "a server that closes takes a FIN behind unread messages for the peer's end",
    CLOSING,
    ' || this.state === "draining"',
    "",
  ),
  mutant(
    "maxInFlightBytes is ignored",
    IN_FLIGHT,
    "return this.#suspended ? Infinity : Math.max(this.#maximum - this.bytes, 0);",
    "return Infinity;",
  ),
  mutant("a Pong acknowledges no bytes in flight", CORE, "this.inFlight?.pong(payload);", ""),
  mutant(
    "a side that only sends does not answer the FIN",
    CORE,
    'if (this.hooked || this.options.messageType === "none")',
    "if (this.hooked)",
  ),
  mutant(
    "a message of a type that is not accepted is delivered",
    "connection/read/dispatch-message",
    'if (messageType !== "any" && messageType !== "bytes" && messageType !== type)',
    "if (false)",
  ),
  // Openings
  mutant(
    "queueTimeout is never armed",
    "endpoint/client/attempt",
    "after(since, queueTimeout)",
    "after(since, Infinity)",
  ),
  mutant(
    "queueTimeout counts half",
    "endpoint/client/attempt",
    "after(since, queueTimeout)",
    "after(since, queueTimeout / 2)",
  ),
  mutant(
    "a dial that fails keeps its turn",
    "endpoint/client/connect",
    "        clients.opening -= 1;\n        permit.leave();\n    });",
    "        clients.opening -= 1;\n    });\n    permit.leave();",
  ),
  mutant(
    "the deadline of a call is ignored",
    "engine/time/call-bounds",
    "return deadline === undefined ? byTimeout : earlier(byTimeout, instantOf(deadline, since, clock));",
    "return byTimeout;",
  ),
  mutant("the answer of authorize is ignored", UPGRADE, "if (refusal === undefined)", "if (true)"),
  mutant("a client that leaves during authorize is not noticed", UPGRADE, "socket.on(event, onLeave);", ""),
  mutant(
    "every origin is accepted",
    "engine/handshake/origin",
    "return policy(origin, host) === true;",
    "return true;",
  ),
  mutant("every version is accepted", "engine/handshake/request", 'if (version !== "13")', "if (false)"),
  mutant("a hook that throws ends nothing", CORE, "closingOf(this).local(INTERNAL_ERROR", "void (INTERNAL_ERROR"),
  // Groups and servers
  mutant("a member stays in its group", CORE, "void RESOLVED.then(() => leaveGroups(this));", "{}"),
  mutant(
    "the first member gets no message",
    MEMBERS,
    "for (const member of [...fanOut.detached, ...(this.#others ?? [])]) {",
    "for (const member of [...fanOut.detached, ...(this.#others ?? [])].slice(1)) {",
  ),
  mutant(
    "a member gets each message twice",
    MEMBERS,
    "const result = sendToMember(",
    "sendToMember(undefined, member, message, messageOptions);\n                const result = sendToMember(",
  ),
  mutant("the group ignores the author's exclusion from the exchange", GROUP, "encoded, this.#receive)", "encoded)"),
  mutant(
    "the exchange forwards to no worker",
    "workers/router",
    "if (worker !== this)\n                    worker.#forward(message.mail);",
    "void worker;",
  ),
  mutant(
    "the exchange forwards to the sender",
    "workers/router",
    "if (worker !== this)\n                    worker.#forward(message.mail);",
    "worker.#forward(message.mail);",
  ),
  mutant(
    "messages of one turn are lost but the first",
    "workers/exchange",
    "const mail = this.#mail;",
    "const mail = this.#mail.slice(0, 1);",
  ),
  // Reconnecting
  mutant(
    "a pause is longer than its window",
    "engine/time/backoff",
    "this.#random() * this.#longest",
    "(0.5 + this.#random()) * this.#longest",
  ),
  mutant(
    "the pauses do not grow and are never reset",
    "engine/time/backoff",
    "const pause = ",
    "this.#longest *= 3;\n        const pause = ",
  ),
  mutant("a reconnecting client gives up", "reconnect/policy", 'lost: "passing"', 'lost: "final"'),
];

/** The breakages whose text is not in the built library any more. */
export function misfits(root: string, mutants: readonly Mutant[] = MUTANTS): readonly string[] {
  const textOf = ({ file }: Mutant): string => readFileSync(join(root, ".build/src", `${file}.js`), "utf8");
  return mutants.filter((one) => !textOf(one).includes(one.from)).map(({ name, file }) => `${name}: ${file}`);
}

/** Copies the built library with the breakage, and the simulation with what it imports beside it. Returns the folder. */
export function prepare({ file, from, to, name }: Mutant, root: string): string {
  const place = join(root, ".cache/mutant");
  rmSync(place, { recursive: true, force: true });
  mkdirSync(join(place, "tests"), { recursive: true });
  cpSync(join(root, ".build/src"), join(place, "src"), { recursive: true });
  for (const folder of ["simulation", "hub", "broker", "kit"])
    cpSync(join(root, `.build/tests/${folder}`), join(place, `tests/${folder}`), { recursive: true });
  const path = join(place, "src", `${file}.js`);
  const text = readFileSync(path, "utf8");
  if (!text.includes(from)) throw new Error(`the breakage "${name}" does not fit ${file} any more: ${from}`);
  writeFileSync(
    path,
    text.replace(from, () => to),
  );
  return place;
}
