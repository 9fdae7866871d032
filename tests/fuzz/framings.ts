/** The targets of framed TCP: each framing against what a reader of the whole stream makes of it. */

import assert from "node:assert/strict";
import { isUtf8 } from "node:buffer";
import { type Framing, resolveFraming } from "../../src/engine/framing/framing.ts";
import type { DecoderLimits, Encoder, MessageContent } from "../../src/engine/protocol.ts";
import { encoded } from "../engine/framing/cut-stream.ts";
import { crumbs, cut, heard, type Judge, together, unended, type Way, whole } from "./cut-stream.ts";
import { mayBeUtf8 } from "./oracle.ts";
import { Input, isSentence, type Target, thrownBy } from "./target.ts";

/** A message in the stream: where it begins and ends with all that frames it, and what it holds. */
interface Found {
  readonly start: number;
  readonly end: number;
  readonly payload: Uint8Array;
}

/** How a reader of the whole stream splits it. */
interface Split {
  readonly found: Found[];
  /** Payload of a message that has not ended. */
  readonly pending: Uint8Array;
  /** The size of the incomplete message from its `start`, if it is announced and `sized` bytes have arrived. */
  readonly announced?: { readonly start: number; readonly sized: number; readonly size: number };
  /** How the message that has not ended breaks the rules by what frames it, as `code clause`. */
  readonly broken?: string;
}

interface Trial {
  readonly framing: Framing;
  readonly text: boolean;
  readonly clause: string;
  split(wire: Uint8Array, limits: DecoderLimits): Split;
  /** Whether the end of the stream completes the message that has not ended. */
  readonly endCompletes?: true;
  /** Whether our encoder may refuse it, which it must say in a `RangeError`. */
  refuses(payload: Uint8Array): boolean;
}

function target(tries: string, words: readonly string[], trial: (input: Input) => Trial): Target {
  const settings = (bytes: Uint8Array) => {
    const input = new Input(bytes);
    const limits: DecoderLimits = {
      maxMessageSize: input.one([40, 1, 3, 125, 300, Infinity]),
      maxFragments: 1,
      streaming: input.flag(),
    };
    return { limits, way: cut(input.byte(), input.byte()), chosen: trial(input), wire: input.rest() };
  };
  return {
    tries,
    longest: 512,
    words,
    run(bytes) {
      const { limits, way: given, chosen, wire } = settings(bytes);
      const names = new Set<string>();
      for (const way of [whole(), crumbs(), given]) {
        for (const name of tried(chosen, limits, wire, way)) names.add(name);
      }
      carried(chosen, wire, names);
      return [...names];
    },
    left(bytes) {
      const { limits, way, chosen, wire } = settings(bytes);
      const decoder = resolveFraming(chosen.framing).decoder(limits);
      heard(decoder, wire, way);
      return decoder;
    },
  };
}

/** Checks one way to cut the stream, and names the results. */
function tried(trial: Trial, limits: DecoderLimits, wire: Uint8Array, way: Way): string[] {
  const { found, pending, announced, broken } = completed(trial, wire, limits);
  const decoder = resolveFraming(trial.framing).decoder(limits);
  const judge: Judge = heard(decoder, wire, way, (taken, { ended }) => {
    const { received, expected } = decoder.partial;
    if (ended !== undefined) {
      assert.deepEqual({ received, expected }, { received: 0, expected: undefined });
      return;
    }
    const under = found.find(({ start, end }) => start < taken && taken < end);
    const start = under?.start ?? found.findLast(({ end }) => end <= taken)?.end ?? 0;
    assert.equal(received, taken - start, `received of ${taken}`);
    // Beyond 2^53 numbers are not exact.
    if (expected !== undefined && received > 0 && expected <= Number.MAX_SAFE_INTEGER - wire.length) {
      assert.equal(start + expected, under?.end ?? (announced?.start ?? Number.NaN) + (announced?.size ?? 0));
      assert.ok(under !== undefined || taken >= (announced?.sized ?? Infinity));
    }
    if (!limits.streaming) {
      // What may yet turn out to be framing is held beside the message: a delimiter of 8 bytes, or a prefix of 10.
      assert.ok(received <= limits.maxMessageSize + 10, "no more is kept than the limit allows");
    }
  });
  judge.stopped = false;
  if (judge.ended === undefined) decoder.end?.(judge);

  const calls = together(judge.calls);
  const last = calls.at(-1);
  const failed = last?.[0] === "fail" ? last[1] : undefined;
  const messages = (failed === undefined ? calls : calls.slice(0, -1)).map((call) => {
    assert.equal(call[0], "message", "a framing knows nothing but messages");
    return call[1] as MessageContent;
  });
  // Which of two rules is broken first is a matter of the cut where the same message breaks both.
  const reasons: string[] = [];
  const good = found.findIndex(({ payload }) => {
    reasons.push(...faults(trial, limits, payload, true));
    return reasons.length > 0;
  });
  const due = good === -1 ? found : found.slice(0, good);
  if (good === -1) {
    if (broken !== undefined) reasons.push(broken);
    reasons.push(...faults(trial, limits, pending, false));
  }
  assert.deepEqual(
    messages,
    due.map(({ payload }) => (trial.text ? Buffer.from(payload).toString() : Uint8Array.from(payload))),
  );
  if (failed === undefined) assert.deepEqual(reasons, [], "a broken rule is told of");
  else assert.ok(reasons.includes(`${failed.closeCode} ${failed.clause}`), `${failed.problem} (${reasons.join()})`);
  if (!limits.streaming) {
    for (const message of messages) assert.ok(Buffer.byteLength(message) <= limits.maxMessageSize);
  } else {
    const given = unended(judge.calls);
    const rest = good === -1 ? pending : (found[good]?.payload ?? new Uint8Array());
    assert.deepEqual(Buffer.from(given), Buffer.from(rest.subarray(0, given.length)));
  }
  if (judge.ended !== undefined) {
    const before = judge.calls.length;
    assert.equal(decoder.receive(Uint8Array.from(wire), 0, judge), wire.length, "everything is taken behind the end");
    assert.equal(judge.calls.length, before);
  }
  return [
    limits.streaming ? "streaming" : "whole",
    ...(pending.length > 0 ? ["unfinished"] : []),
    ...(found.at(-1)?.end === Infinity ? ["completed by the end"] : []),
    ...calls.map((call) => (call[0] === "fail" ? `${call[1].closeCode} ${call[1].clause}` : "message")),
  ];
}

/** How a reader of the whole stream splits it, and its end, if that completes a message. */
function completed({ split, endCompletes }: Trial, wire: Uint8Array, limits: DecoderLimits): Split {
  const result = split(wire, limits);
  const start = result.found.at(-1)?.end ?? 0;
  if (!endCompletes || start === wire.length) return result;
  const last = { start, end: Infinity, payload: result.pending };
  return { found: [...result.found, last], pending: new Uint8Array() };
}

/** The error in a complete message, or in the received part of an incomplete one. */
function faults({ text, clause }: Trial, limits: DecoderLimits, payload: Uint8Array, ended: boolean): string[] {
  const wrong: string[] = [];
  if (!limits.streaming && payload.length > limits.maxMessageSize) wrong.push(`1009 ${clause}`);
  if (text && !(ended ? isUtf8(payload) : mayBeUtf8(payload))) wrong.push("1007 text framing");
  return wrong;
}

/** The same bytes as a message, and in parts where that is allowed: what our encoder writes is read as the same. */
function carried(trial: Trial, payload: Uint8Array, names: Set<string>): void {
  const { encoder, decoder } = resolveFraming(trial.framing);
  const limits = { maxMessageSize: Infinity, maxFragments: 1, streaming: false };
  const send: ((encoder: Encoder) => Uint8Array)[] = [(to) => encoded(to, payload)];
  if (encoder().streams) {
    const [one, other] = [payload.length >> 2, payload.length >> 1];
    send.push((to) =>
      Buffer.concat([
        encoded(to, payload.subarray(0, one), "first"),
        encoded(to, payload.subarray(one, other), "middle"),
        encoded(to, payload.subarray(other), "last"),
      ]),
    );
  }
  for (const way of send) {
    let wire = new Uint8Array();
    const refusal = thrownBy(() => {
      wire = Uint8Array.from(way(encoder()));
    });
    assert.equal(refusal !== undefined, trial.refuses(payload), `refused: ${refusal}`);
    if (refusal !== undefined) {
      assert.ok(refusal instanceof RangeError, String(refusal));
      isSentence(refusal.message);
      names.add("refused");
      continue;
    }
    const { calls } = heard(decoder(limits), wire, whole());
    if (trial.text && !isUtf8(payload)) assert.equal(calls[0]?.[0], "fail");
    else if (trial.framing !== "raw" || payload.length > 0) {
      const sent = trial.text ? Buffer.from(payload).toString() : payload;
      assert.deepEqual(calls, [["message", sent]], "what is written is read as the same");
    }
    names.add("carried");
  }
}

/** At each place where `delimiter` ends a message. A carriage return before it is dropped if `strips` says so. */
function splitAt(wire: Uint8Array, delimiter: Uint8Array, strips: boolean): Split {
  const view = Buffer.from(wire);
  const found: Found[] = [];
  let start = 0;
  for (let at = view.indexOf(delimiter); at !== -1; at = view.indexOf(delimiter, start)) {
    const end = at + delimiter.length;
    const to = strips && at > start && view[at - 1] === 0x0d ? at - 1 : at;
    found.push({ start, end, payload: view.subarray(start, to) });
    start = end;
  }
  // What may be the beginning of a delimiter is not payload yet.
  let held = 0;
  const rest = view.subarray(start);
  for (let count = 1; count < delimiter.length && count <= rest.length; count += 1) {
    if (rest.subarray(rest.length - count).equals(delimiter.subarray(0, count))) held = count;
  }
  if (strips && rest.at(-1) === 0x0d) held = 1;
  return { found, pending: rest.subarray(0, rest.length - held) };
}

const LF = Buffer.from("\n");

/** Both line ends are read, whichever is written. */
const readsLines = {
  text: true,
  clause: "delimited framing",
  split: (wire: Uint8Array) => splitAt(wire, LF, true),
  refuses: (payload: Uint8Array) => payload.includes(0x0a) || payload.at(-1) === 0x0d,
};

const lines = target("messages that end at a newline", ["\\x0d\\x0a"], () => ({ framing: "lines", ...readsLines }));

const looseLines = target("lines with CR LF, whose last one the end completes", ["\\x0d\\x0a"], () => ({
  framing: { eol: "\r\n", lastLine: "deliver" },
  ...readsLines,
  endCompletes: true,
}));

const DELIMITERS = [
  ...["ab", "\0", "aab", "abab", "aaaa", "\r\n", "é"].map((text) => Buffer.from(text)),
  Buffer.of(0, 255, 0, 255, 0),
];

const delimiter = target("messages that end at a delimiter", ["ab", "aab", "aba"], (input) => {
  const bytes = input.one(DELIMITERS);
  const text = input.flag();
  return {
    framing: { delimiter: bytes, text },
    text,
    clause: "delimited framing",
    split: (wire) => splitAt(wire, bytes, false),
    refuses: (payload) => Buffer.concat([payload, bytes]).indexOf(bytes) !== payload.length,
  };
});

/** A reader of lengths: what the bytes at `at` announce, undefined while they are not all there, or what they break. */
type Teller = (wire: Buffer, at: number) => { readonly size: bigint; readonly bytes: number } | string | undefined;

function splitBy(wire: Uint8Array, teller: Teller, limits: DecoderLimits, clause: string): Split {
  const view = Buffer.from(wire);
  const found: Found[] = [];
  const maximum = limits.streaming ? Infinity : limits.maxMessageSize;
  for (let start = 0; ; ) {
    const told = start < view.length ? teller(view, start) : undefined;
    if (typeof told === "string") return { found, pending: new Uint8Array(), broken: told };
    if (told === undefined) return { found, pending: new Uint8Array() };
    const size = Number(told.size);
    if (size > maximum || size > Number.MAX_SAFE_INTEGER) {
      return { found, pending: new Uint8Array(), broken: `1009 ${clause}` };
    }
    const from = start + told.bytes;
    const end = from + size;
    if (end > view.length) {
      return { found, pending: view.subarray(from), announced: { start, sized: from, size: end - start } };
    }
    found.push({ start, end, payload: view.subarray(from, end) });
    start = end;
  }
}

const WIDTHS = [1, 2, 4, 8] as const;

const lengthPrefix = target("messages with their size before them", ["\\x00\\x00\\x00\\x01"], (input) => {
  const width = input.one(WIDTHS);
  const endian = input.one(["big", "little"] as const);
  const text = input.flag();
  const clause = "length-prefix framing";
  const teller: Teller = (wire, at) => {
    if (at + width > wire.length) return undefined;
    const digits =
      wire
        .subarray(at, at + width)
        .toString("hex")
        .match(/../g) ?? [];
    if (endian === "little") digits.reverse();
    return { size: BigInt(`0x${digits.join("")}`), bytes: width };
  };
  return {
    framing: { lengthPrefix: width, endian, text },
    text,
    clause,
    split: (wire, limits) => splitBy(wire, teller, limits, clause),
    refuses: (payload) => payload.length >= 256 ** width,
  };
});

const varint = target("messages with a varint before them", ["\\x80\\x01", "\\xff\\xff\\xff\\xff\\x0f"], (input) => {
  const text = input.flag();
  const clause = "length-prefix framing";
  const teller: Teller = (wire, at) => {
    let size = 0n;
    for (let index = 0; at + index < wire.length; index += 1) {
      const byte = wire[at + index]!;
      if ((index === 9 && byte > 1) || (index > 0 && byte === 0)) return `1002 ${clause}`;
      size |= BigInt(byte & 127) << BigInt(7 * index);
      if (byte < 128) return { size, bytes: index + 1 };
    }
    return undefined;
  };
  return {
    framing: { lengthPrefix: "varint", text },
    text,
    clause,
    split: (wire, limits) => splitBy(wire, teller, limits, clause),
    refuses: () => false,
  };
});

const fixed = target("messages of one size", [], (input) => {
  const size = input.one([1, 2, 3, 7, 40, 41, 300]);
  const text = input.flag();
  const clause = "fixed framing";
  return {
    framing: { fixed: size, text },
    text,
    clause,
    split: (wire, limits) => splitBy(wire, () => ({ size: BigInt(size), bytes: 0 }), limits, clause),
    refuses: (payload) => payload.length !== size,
  };
});

export const framings: Readonly<Record<string, Target>> = {
  lines,
  "loose-lines": looseLines,
  delimiter,
  "length-prefix": lengthPrefix,
  varint,
  fixed,
};
