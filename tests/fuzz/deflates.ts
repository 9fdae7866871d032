/** The targets of permessage-deflate: negotiation, decompression and compression. */

import assert from "node:assert/strict";
import { isUtf8 } from "node:buffer";
import { Deflater } from "../../src/connection/compression/deflate.ts";
import { Inflater, type InflaterOwner } from "../../src/connection/compression/inflate.ts";
import { OutgoingMessage } from "../../src/connection/write/outgoing-message.ts";
import { answerDeflate, type DeflateTerms, judgeDeflate, offerDeflate } from "../../src/engine/deflate/negotiation.ts";
import { formatExtensions, parseExtensions, type ReceivedExtension } from "../../src/engine/handshake/extension.ts";
import type { Part } from "../../src/engine/protocol.ts";
import { Judge } from "./cut-stream.ts";
import { puff } from "./puff.ts";
import { Input, isSentence, type Target } from "./target.ts";

// Up to here a message is decompressed at once, so that nothing is left to wait for.
const AT_ONCE = 65_536;

// Behind a message zlib is given five octets more, to see whether it has ended. What ends inside a block may go on with them,
// by a reference of 258 bytes for each bit.
const MOST_BEHIND = 5 * 8 * 258;

/** A connection that records its messages. */
class Owner extends Judge implements InflaterOwner {
  inflated(): void {
    assert.fail("so little is decompressed at once");
  }

  fault(error: unknown): void {
    assert.fail(`zlib was asked for what it cannot do: ${error}`);
  }
}

/** What messages may refer to: the end of those before. */
function windowOf(windowBits: number | undefined): { bytes: Buffer; push(data: Uint8Array): void } {
  return {
    bytes: Buffer.alloc(0),
    push(data) {
      if (windowBits !== undefined) this.bytes = Buffer.concat([this.bytes, data]).subarray(-(2 ** windowBits));
    },
  };
}

/** The messages in an input: each after its length, the last one without a length if it is the rest. */
function* messagesIn(input: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < input.length; ) {
    const size = input[at] as number;
    const end = size === 255 ? input.length : at + 1 + size;
    yield input.slice(at + 1, end);
    at = end;
  }
}

const inflate: Target = {
  tries: "compressed messages, good and bad, one behind the other",
  longest: 1_024,
  words: [
    "\\x00\\x00\\x00\\xff\\xff",
    "\\x01\\x00\\x00\\xff\\xff",
    "\\x4b\\x04\\x00",
    "\\x02\\x00",
    "\\xf2\\x48\\xcd\\xc9\\xc9\\x07\\x00",
  ],
  run(bytes) {
    const input = new Input(bytes);
    const windowBits = input.one([undefined, 15, 9, 8]);
    const streaming = input.flag();
    const maxMessageSize = input.one([4_096, 300, 5, 0, AT_ONCE]);
    const text = input.flag();
    const limits = { maxMessageSize, maxFragments: 1, streaming };
    const inflating = new Inflater(limits, { maxInflationRatio: 100, windowBits });
    const window = windowOf(windowBits);
    const names: string[] = [windowBits === undefined ? "each alone" : "together"];
    for (const packed of messagesIn(input.rest())) {
      const owner = new Owner();
      const given = packed.slice();
      inflating.decompress(text ? "text" : "binary", packed, owner);
      assert.equal(inflating.busy, false);
      assert.deepEqual(packed, given, "what came is left as it was");
      // zlib looks at how much it has written when a piece of this size is full: it may find a fault before it is stopped.
      const piece = Math.max((packed.length + 9) * 4, 1_024);
      const { bytes: message, why } = puff(packed, window.bytes, maxMessageSize + piece + MOST_BEHIND);
      const broken = why === "invalid" || why === "many";
      const expected: string[] = [];
      if (message.length + (broken ? MOST_BEHIND : 0) > maxMessageSize) expected.push("1009 RFC 6455 10.4");
      if (broken) expected.push("1007 RFC 7692 7.2.2");
      if (expected.length === 0 && text && !isUtf8(message)) expected.push("1007 RFC 6455 8.1");
      const [call, ...more] = owner.calls;
      assert.ok(call !== undefined && more.length === 0, "one message is one call");
      if (call[0] === "fail") {
        const said = `${call[1].closeCode} ${call[1].clause}`;
        assert.ok(expected.includes(said), `${call[1].problem}, where there is: ${expected.join()} (${why})`);
        return [...names, said, why];
      }
      assert.deepEqual(expected, [], "a broken rule is told of");
      const data = text ? Buffer.from(message).toString() : message;
      assert.deepEqual(call, streaming ? ["piece", text ? "text" : "binary", message, true] : ["message", data]);
      window.push(message);
      names.push(streaming ? "piece" : "message");
    }
    return names;
  },
};

const deflate: Target = {
  tries: "messages that we compress, whole and in parts, for a peer that decompresses them",
  longest: 2_048,
  words: ["abcdefgh", "aaaaaaaa"],
  run(bytes) {
    const input = new Input(bytes);
    const windowBits = 8 + (input.byte() % 8);
    const contextTakeover = input.flag();
    const level = 1 + (input.byte() % 9);
    const threshold = input.one([0, 20]);
    const inParts = input.flag();
    const deflating = new Deflater({ threshold, level, windowBits, contextTakeover });
    const used = contextTakeover ? windowBits : undefined;
    const limits = { maxMessageSize: AT_ONCE, maxFragments: 1, streaming: false };
    const inflating = new Inflater(limits, { maxInflationRatio: 100, windowBits: used });
    const window = windowOf(used);
    const names: string[] = [];
    for (const data of messagesIn(input.rest())) {
      const half = data.length >> 1;
      const parts: [Uint8Array, Part][] = inParts
        ? [
            [data.subarray(0, half), "first"],
            [data.subarray(half, half + 3), "middle"],
            [data.subarray(half + 3), "last"],
          ]
        : [[data, "whole"]];
      const packed = parts.map(([bytes, part]) => written(deflating, bytes, part));
      const [first] = packed;
      assert.equal(
        packed.every((one) => typeof one === typeof first),
        true,
        "a message is compressed as a whole or not",
      );
      if (typeof first === "string") {
        names.push("plain");
        continue;
      }
      const whole = Buffer.concat(packed as Uint8Array[]);
      const puffed = puff(whole, window.bytes, AT_ONCE);
      assert.deepEqual(puffed.bytes, data, "what is compressed is decompressed as the same");
      assert.ok(puffed.reach <= 2 ** windowBits, `it refers back by ${puffed.reach}, with a window of 2^${windowBits}`);
      const owner = new Owner();
      inflating.decompress("binary", whole, owner);
      assert.deepEqual(owner.calls, [["message", data]]);
      window.push(data);
      names.push(inParts ? "parts" : "packed");
    }
    return names;
  },
};

/** What is written for this part, as the connection does it. */
function written(deflating: Deflater, bytes: Uint8Array, part: Part): Uint8Array | string {
  const outgoing = new OutgoingMessage(bytes, bytes);
  assert.equal(
    deflating.compress(outgoing, part, () => assert.fail("so little is compressed at once")),
    true,
  );
  deflating.recordWritten(outgoing, part);
  assert.ok(outgoing.compressed === "plain" || outgoing.compressed instanceof Uint8Array);
  return outgoing.compressed;
}

const terms = (input: Input): DeflateTerms => ({
  serverContextTakeover: input.flag(),
  clientContextTakeover: input.flag(),
  serverWindowBits: 8 + (input.byte() % 8),
  clientWindowBits: 8 + (input.byte() % 8),
});

const negotiation: Target = {
  tries: "what client and server agree on for permessage-deflate",
  longest: 512,
  words: ["permessage-deflate", "server_no_context_takeover", "client_max_window_bits=10", "server_max_window_bits=8"],
  run(bytes) {
    const input = new Input(bytes);
    const [ours, theirs] = [terms(input), terms(input)];
    const names: string[] = [];
    // Two that are right agree, and on the same.
    agreed([received(offerDeflate(theirs))], ours, theirs, names);
    const heard = parseExtensions(Buffer.from(input.rest()).toString("latin1"));
    if (heard === undefined) return [...names, "malformed"];
    // What anybody might offer us, and answer us.
    const answer = answerDeflate(heard, ours);
    if (answer === undefined) names.push("declined");
    else withinTerms(answer.agreement, ours);
    for (const extension of heard) {
      const judged = judgeDeflate(extension, [ours]);
      if (typeof judged === "string") isSentence(judged);
      else withinTerms(judged, ours);
      names.push(typeof judged === "string" ? "judged wrong" : "judged right");
    }
    return names;
  },
};

function agreed(offers: readonly ReceivedExtension[], ours: DeflateTerms, theirs: DeflateTerms, names: string[]): void {
  const answer = answerDeflate(offers, ours);
  assert.ok(answer !== undefined, "an offer of ours is one that we take");
  withinTerms(answer.agreement, ours);
  withinTerms(answer.agreement, theirs);
  const judged = judgeDeflate(received(answer.extension), [theirs]);
  if (typeof judged === "string") assert.fail(judged);
  assert.equal(judged.serverContextTakeover, answer.agreement.serverContextTakeover);
  assert.equal(judged.serverWindowBits, answer.agreement.serverWindowBits);
  // A client may use less than was negotiated, and never more.
  assert.ok(answer.agreement.clientContextTakeover || !judged.clientContextTakeover);
  assert.ok(judged.clientWindowBits <= answer.agreement.clientWindowBits);
  names.push("agreed");
}

function withinTerms(agreement: DeflateTerms, asked: DeflateTerms): void {
  assert.ok(asked.serverContextTakeover || !agreement.serverContextTakeover);
  assert.ok(asked.clientContextTakeover || !agreement.clientContextTakeover);
  assert.ok(agreement.serverWindowBits <= asked.serverWindowBits);
  for (const bits of [agreement.serverWindowBits, agreement.clientWindowBits]) assert.ok(bits >= 8 && bits <= 15);
  // Without takeover each message stands alone, and the sender may use any window.
  if (agreement.clientContextTakeover) assert.ok(agreement.clientWindowBits <= asked.clientWindowBits);
}

/** An extension as the other side reads it. */
function received(extension: Parameters<typeof formatExtensions>[0][number]): ReceivedExtension {
  const read = parseExtensions(formatExtensions([extension]));
  assert.equal(read?.length, 1);
  return read[0] as ReceivedExtension;
}

export const deflates: Readonly<Record<string, Target>> = { negotiation, inflate, deflate };
