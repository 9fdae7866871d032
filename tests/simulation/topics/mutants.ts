/** One-line breakages of the built hub. Each must break a rule of a run of topics. */

import type { Mutant } from "../mutants.ts";

const mutant = (name: string, file: string, from: string, to: string): Mutant => ({
  name,
  file: `hub/${file}`,
  from,
  to,
});

const LOG = "kept-log";
const TOPIC = "live-topic";
const CURSOR = "member-cursor";
const CORE = "hub-core";
const COMPARE = "reconcile";

export const TOPIC_MUTANTS: readonly Mutant[] = [
  // Positions
  mutant(
    "the check of a position is not compared",
    "start",
    'check === 0 || entry.check === check ? "there" : "fork"',
    '"there"',
  ),
  mutant("the epoch of a position is not compared", "start", "if (epoch !== log.epoch)", "if (false)"),
  mutant("a position that is ahead of a hub is a fork at once", CORE, " && !verified)", " && verified)"),
  // Holes
  mutant(
    "live entries are taken while the log is suspect",
    LOG,
    'if (this.#state === "live") {\n            const fits',
    'if (this.#state === "live" || this.#state === "suspect") {\n            const fits',
  ),
  mutant("a hole is not noticed", LOG, '(previous ?? offset - 1) === this.offset ? "next" : "other"', '"next"'),
  mutant(
    "an entry is delivered twice after healing",
    LOG,
    "offset > this.offset);\n        for (const entry of fresh)",
    "offset >= this.offset);\n        for (const entry of fresh)",
  ),
  mutant(
    "entries that come during a verification are dropped",
    LOG,
    "const held = this.#held;",
    "const held = this.#held.slice(0, heldBefore);",
  ),
  mutant("a verification that was overtaken goes on", LOG, "this.#verification !== verification || ", ""),
  mutant(
    "restored is ignored",
    LOG,
    'this.#interrupted = false;\n        if (this.#state !== "closed")',
    "this.#interrupted = false;\n        if (false)",
  ),
  mutant(
    "a read that has failed is not repeated",
    LOG,
    'slice === undefined ? "again"',
    'slice === undefined ? "done"',
  ),
  mutant("the idle probe never runs", LOG, "probe() {", "probe() {\n        return;"),
  // Rollbacks
  mutant(
    "a rollback with another entry at the offset is not noticed",
    COMPARE,
    '=== undefined ? "same" : "unlike" };\n    // The log',
    '=== undefined ? "same" : "same" };\n    // The log',
  ),
  mutant("a rollback to a shorter log is not noticed", COMPARE, "if (slice.top < offset)", "if (false)"),
  mutant("the epoch is not renewed after a rollback", LOG, "await broker.renew(this.#topic, slice.epoch);", ""),
  mutant("another epoch is not noticed", COMPARE, "if (slice.epoch !== known.epoch)", "if (false)"),
  mutant(
    "members continue at the beginning of another log",
    COMPARE,
    'if (common !== undefined)\n        return { after: common, reason: "fork" };',
    'if (common !== undefined)\n        return { after: whole.first - 1, reason: "fork" };',
  ),
  // Gaps
  mutant(
    "a member gets a gap twice",
    LOG,
    "this.#owner.gapFound(gap);",
    "this.#owner.gapFound(gap);\n        this.#owner.gapFound(gap);",
  ),
  mutant("a gap is not told", LOG, "this.#owner.gapFound(gap);", ""),
  mutant(
    "a member that is behind gets no gap",
    TOPIC,
    "for (const cursor of this.#cursors?.values() ?? [])\n            cursor.gapFound(gap);",
    "",
  ),
  mutant(
    "a member that falls behind the history gets no gap",
    CURSOR,
    'this.#gap = { type: "gap", topic, reason: "trimmed", from, to: positionAt(log, to), count };',
    "",
  ),
  mutant(
    "the count of a gap is wrong",
    COMPARE,
    "contiguous ? to - offset : undefined",
    "contiguous ? to - offset + 1 : undefined",
  ),
  // Gaps that are larger than needed
  mutant(
    "members continue at the end of a log with a common entry",
    COMPARE,
    'if (common !== undefined)\n        return { after: common, reason: "fork" };',
    'if (common !== undefined)\n        return { after: whole.top, reason: "fork" };',
  ),
  mutant(
    "members of a topic without messages miss those of another log",
    COMPARE,
    "if (known.offset === 0)\n        return { after: whole.first - 1, reason };",
    "if (known.offset === 0)\n        return { after: whole.top, reason };",
  ),
  mutant(
    "members miss the other entries at the offsets that they have had",
    COMPARE,
    "Math.min(Math.max(whole.first, first) - 1, whole.top)",
    "whole.top",
  ),
  mutant(
    "a hub that was away too long does not read what the log has",
    COMPARE,
    "const to = Math.max(slice.first, offset + 1) - 1;",
    "const to = slice.top;",
  ),
  mutant(
    "a hub forgets what it has read of another log",
    LOG,
    "for (const entry of older)\n            this.ring.push(entry);",
    "",
  ),
  mutant(
    "a client that returns too late misses what the history has",
    "start",
    "offset = log.ring.first?.previous ?? log.position.offset;",
    "offset = log.position.offset;",
  ),
  mutant(
    "a client that returns does not wait for older entries",
    "start",
    'if (!log.filled)\n        return "fill";',
    "",
  ),
  mutant(
    "a member that falls behind the history misses all of it",
    CURSOR,
    "this.#fallBehind(first?.previous ?? log.offset);",
    "this.#fallBehind(log.offset);",
  ),
  mutant("a position behind a gap or a skip has no check", "live-log", "check: entry?.check ?? 0", "check: 0"),
  // Publishing
  mutant(
    "except is ignored",
    CORE,
    "return node === this.#node ? this.#excepts.take(topic, number) : undefined;",
    "return undefined;",
  ),
  mutant("except of a hub takes messages of other hubs", CORE, "node === this.#node ? ", "true ? "),
  mutant(
    "except is forgotten by a member that is behind",
    TOPIC,
    "this.#cursors?.get(except)?.except(entry.offset);\n        for (const",
    "void entry;\n        for (const",
  ),
  mutant(
    "a member is not told that its own message was skipped",
    TOPIC,
    "if (skipped === undefined || trySend(except, skipped))",
    "if (true)",
  ),
  mutant("ids are not passed", CORE, "history: settings.history, id,", "history: settings.history, id: undefined,"),
  mutant(
    "a publication in doubt forgets its except",
    CORE,
    'if (code !== "TIMEOUT" && code !== "IN_DOUBT") {',
    "if (true) {",
  ),
  // Members that are behind
  mutant(
    "a member skips an entry when it returns to the others",
    CURSOR,
    "if (this.#offset >= log.offset) {",
    "if (this.#offset >= log.offset - 1) {",
  ),
  mutant("a member that is behind also gets what all get", TOPIC, "this.#members.park(member);", ""),
  mutant("a member that is behind never returns to the others", TOPIC, "this.#members.unpark(cursor.member);", ""),
  mutant(
    "a refused message is not sent again",
    TOPIC,
    "const cursor = this.#park(member, before, this.#loads?.get(member));",
    "return;",
  ),
  mutant(
    "a member that is refused is never served again",
    CURSOR,
    "if (this.#refusals <= MAX_REFUSALS)\n            this.wait();",
    "if (this.#refusals <= MAX_REFUSALS)\n            return false;",
  ),
  mutant("a member does not wait for older entries of the log", CURSOR, "if (log.filled)\n", "if (true)\n"),
];
