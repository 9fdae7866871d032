/** How messages and durations are printed, what lines stand for, and the recordings: pure functions. */

import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { describe, it } from "node:test";
import { durationInWords, hexDump, indentedJson, marked, messageText } from "../../../src/cli/connect/format.ts";
import { Feed, linesOf, messageOfLine, messagesOf } from "../../../src/cli/connect/input.ts";
import { eventLine, parseRecording } from "../../../src/cli/connect/transcript.ts";
import { checkWriteOut, SessionSummary, writeOut } from "../../../src/cli/connect/write-out.ts";
import { plain } from "../../../src/cli/terminal.ts";

const FORM = { pretty: false, base64: false, dump: false, trim: false };

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const value of values) list.push(value);
  return list;
}

describe("JSON on several lines", () => {
  it("is the same JSON, with the characters of its numbers and strings", () => {
    for (const text of [
      '{"a":1,"b":[true,null,"x"],"c":{"d":{}}}',
      "[12345678901234567890, 1.0, 1e5, -0.10]",
      '{"quote\\"":"\\\\","e":[],"same":1,"same":2}',
      '[[[]],[{}],"{[,:]}"]',
      " \n[ 1 , 2 ]\n",
    ]) {
      const shown = indentedJson(text) ?? "";
      assert.deepEqual(JSON.parse(shown), JSON.parse(text));
      const tight = (json: string): string => json.replace(/("(?:[^"\\]|\\.)*")|\s/g, "$1");
      assert.equal(tight(shown), tight(text));
    }
    assert.equal(indentedJson('{"a":[1,{}],"b":[]}'), '{\n  "a": [\n    1,\n    {}\n  ],\n  "b": []\n}');
  });

  it("is not made of other texts", () => {
    for (const text of ["", "1", '"text"', "{", "[1,]", "{a:1}", "hello {}"])
      assert.equal(indentedJson(text), undefined);
  });
});

describe("a message", () => {
  it("is printed without control characters", () => {
    assert.equal(messageText("\u001b[2J\u0007\r\u202e\n\tx", FORM), "\\x1b[2J\\x07\\r\\u202e\n\tx");
    assert.equal(messageText('["\u009b"]', { ...FORM, pretty: true }), '[\n  "\\x9b"\n]');
  });

  it("of bytes is printed as digits, as base64, or as a dump", () => {
    const bytes = Uint8Array.of(0xca, 0xfe, 0x41, 0x0a);
    assert.equal(messageText(bytes, FORM), "cafe410a");
    assert.equal(messageText(bytes, { ...FORM, base64: true }), "yv5BCg==");
    assert.equal(messageText(bytes, { ...FORM, dump: true }), hexDump(bytes));
    const long = Uint8Array.from({ length: 18 }, (_, at) => at + 0x30);
    assert.equal(
      hexDump(long),
      "00000000  30 31 32 33 34 35 36 37  38 39 3a 3b 3c 3d 3e 3f  |0123456789:;<=>?|\n" +
        `00000010  40 41${" ".repeat(45)}|@A|`,
    );
    assert.equal(hexDump(new Uint8Array()), "(0 bytes)");
  });

  it("cannot print a line that looks like one of this program", () => {
    assert.equal(marked("+1 ms < ", "a\nclosed by the peer", plain), "+1 ms < a\n| closed by the peer");
  });
});

describe("a duration", () => {
  it("has three digits, in a unit that fits", () => {
    const shown = [0.1234, 9.5, 12.34, 345.6, 1_234, 12_345, 61_000, 3_900_000].map(durationInWords);
    assert.deepEqual(shown, [
      "0.123 ms",
      "9.500 ms",
      "12.3 ms",
      "346 ms",
      "1.23 s",
      "12.3 s",
      "1 min 1 s",
      "1 h 5 min",
    ]);
  });
});

describe("a line", () => {
  it("stands for a text or for bytes", () => {
    assert.equal(messageOfLine(" a ", "text"), " a ");
    assert.deepEqual(messageOfLine("CA fe", "hex"), Uint8Array.of(0xca, 0xfe));
    assert.deepEqual(messageOfLine("yv4=", "base64"), Uint8Array.of(0xca, 0xfe));
    assert.deepEqual(messageOfLine("yv4", "base64"), Uint8Array.of(0xca, 0xfe));
    for (const line of ["c", "xx", "0x00"]) assert.throws(() => messageOfLine(line, "hex"), /expected hex/);
    for (const line of ["a", "a=bc", "ä==="]) assert.throws(() => messageOfLine(line, "base64"), /expected base64/);
  });

  it("ends at a newline alone, wherever the stream was cut", async () => {
    const text = Buffer.from("one\r\ntwo\u2028still two\n\nfé𝄞ur\nfive");
    for (let cut = 0; cut <= text.length; cut += 1) {
      const chunks = [text.subarray(0, cut), text.subarray(cut)];
      assert.deepEqual(await all(linesOf(Readable.from(chunks), 100)), [
        "one",
        "two\u2028still two",
        "",
        "fé𝄞ur",
        "five",
      ]);
    }
  });

  it("may be refused: bytes that are not UTF-8, and more than fits", async () => {
    await assert.rejects(all(linesOf(Readable.from([Buffer.of(0xff, 0x0a)]), 100)), /not UTF-8.*--send hex/);
    await assert.rejects(all(linesOf(Readable.from([Buffer.of(0xc3)]), 100)), /not UTF-8/);
    await assert.rejects(all(linesOf(Readable.from([Buffer.alloc(101, "x")]), 100)), /above 100 characters/);
  });

  it("that has not the encoding is refused, or ends the messages", async () => {
    const lines = (): Readable => Readable.from(["ca", "x", "fe"]);
    const refused: string[] = [];
    const messages = await all(messagesOf(lines(), "hex", ({ message }) => void refused.push(message)));
    assert.deepEqual(messages, [Uint8Array.of(0xca), Uint8Array.of(0xfe)]);
    assert.equal(refused.length, 1);
    await assert.rejects(all(messagesOf(lines(), "hex")), /expected hex/);
  });

  it("stays the next one until it was sent", async () => {
    const feed = new Feed(messagesOf(Readable.from(["a", "b"]), "text"));
    assert.deepEqual(await Promise.all([feed.next(), feed.next()]), ["a", "a"]);
    feed.sent();
    assert.equal(await feed.next(), "b");
    feed.sent();
    assert.deepEqual([await feed.next(), await feed.next()], [undefined, undefined]);
  });
});

describe("a recording", () => {
  const line = (at: number, facts: object): string => `${JSON.stringify({ at, ...facts })}\n`;
  const sent = { type: "message", direction: "out" };

  it("gives back the sent messages and their pauses", () => {
    const text = [
      eventLine({ at: 5, type: "connecting", url: "ws://a", attempt: 1 }),
      eventLine({ at: 10, type: "message", direction: "out", since: 0, scripted: false, message: "a\u2028\n" }),
      eventLine({ at: 15, type: "message", direction: "in", since: 5, scripted: false, message: "no" }),
      eventLine({
        at: 30.5,
        type: "message",
        direction: "out",
        since: 1,
        scripted: false,
        message: Uint8Array.of(0, 255),
      }),
      eventLine({
        at: 31,
        type: "close",
        kind: "websocket",
        code: 1000,
        reason: "",
        by: "local",
        wasClean: true,
        cause: undefined,
      }),
    ];
    assert.deepEqual(parseRecording(text.join("")), [
      { message: "a\u2028\n", pause: 0 },
      { message: Uint8Array.of(0, 255), pause: 20.5 },
    ]);
  });

  it("names the line that is not one of a recording", () => {
    for (const wrong of ["{", "1", "null", '{"type":"message"}', line(1, { ...sent, text: 5 }), '{"at":1}']) {
      assert.throws(
        () => parseRecording(`${line(1, { ...sent, text: "a" })}${wrong}`),
        /line 2 is not one that --record writes/,
      );
    }
    assert.throws(() => parseRecording(line(1, { ...sent, direction: "in", text: "a" })), /no sent message/);
  });
});

describe("--write-out", () => {
  it("fills in its fields, and knows no other", () => {
    assert.equal(writeOut("%{code}\\t%{by}\\\\n %{other} 5%\\n", { code: "1000", by: "\\n" }), "1000\t\\n\\n  5%\n");
    checkWriteOut("%{dns} %{status} %{ } 100%");
    assert.throws(() => checkWriteOut("%{time_total}"), /%\{time_total\}.*expected one of dns, tcp/);
  });

  it("counts messages and bytes, and has a value for each field from the start", () => {
    const summary = new SessionSummary();
    assert.equal(Object.values(summary.fields(3)).includes("undefined"), false);
    summary.count({ at: 1, type: "connecting", url: "", attempt: 1 });
    const phases = { dns: 1, queue: 0.5, tcp: 2, upgrade: 3 };
    summary.count({
      at: 8,
      type: "open",
      url: "",
      remoteAddress: "",
      remotePort: 1,
      protocol: "",
      extensions: "",
      phases,
    });
    summary.count({ at: 9, type: "message", direction: "out", since: 1, scripted: false, message: "é" });
    summary.count({ at: 10, type: "message", direction: "in", since: 1, scripted: false, message: Uint8Array.of(1) });
    const { open, tcp, first_message, bytes_out, bytes_in, messages_in } = summary.fields(0);
    assert.deepEqual([open, tcp, first_message], ["7.000", "2.500", "2.000"]);
    assert.deepEqual([bytes_out, bytes_in, messages_in], ["2", "1", "1"]);
  });
});
