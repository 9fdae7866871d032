/** What reads a header, a URL's authority or a text from a peer: four times as much takes four times as long, whatever it is made of. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseExtensions } from "../../src/engine/extension.js";
import { judgeRequest } from "../../src/engine/handshake-request.js";
import { judgeResponse } from "../../src/engine/handshake-response.js";
import { fieldLines, joined, parseTokens } from "../../src/engine/header.js";
import { authorityOf, originAllowed } from "../../src/engine/origin.js";
import { UPGRADE_KEY } from "../raw-peers.js";

const LIMIT = { timeout: 60_000 };
const LENGTH = 8_192;
const FACTOR = 4;
/** Between what is linear and what is quadratic, which takes 16 times as long. */
const MOST = 9;
const ROUNDS = 5;
/** As long as it looks as if it were not linear: a machine that is busy with others can spoil some rounds in a row. */
const MOST_ROUNDS = 25;
/** Microseconds. Below that, a clock that ticks in them tells nothing, and nobody is hurt. */
const TOLD = 50;

const UNITS = [",", " ", "\t", " ,", "a,", "a ", ";", "a;", "a=", "a=b;", '"', '\\"', '="', "a/b,", "é", "[", ":", "%"];

/** How a value is made of one unit, again and again: alone, and within what makes a reader look for its end. */
const SHAPES: readonly ((body: string) => string)[] = [
  (body) => body,
  (body) => `a${body}b`,
  (body) => `a; b="${body}`,
  (body) => `${body}!"`,
];

const request = (name: string, value: string): Parameters<typeof judgeRequest>[0] => {
  const fields: Record<string, string> = {
    Host: "localhost",
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Key": UPGRADE_KEY,
    "Sec-WebSocket-Version": "13",
    [name]: value,
  };
  return { method: "GET", httpVersion: "1.1", target: "/", rawHeaders: Object.entries(fields).flat() };
};

const response = (name: string, value: string): Parameters<typeof judgeResponse>[0] => {
  const fields: Record<string, string> = {
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Accept": "accept",
    [name]: value,
  };
  const offered = { protocols: ["a"], extensions: [{ name: "a", params: new Map() }] };
  return { status: 101, rawHeaders: Object.entries(fields).flat(), accept: "accept", ...offered };
};

/** What is to be read, as it comes from the parser of node:http, and then the reading alone: to make it is not our code's work. */
const READERS: Readonly<Record<string, (value: string) => () => unknown>> = {
  "a list of tokens": (value) => () => parseTokens(value),
  "a list of extensions": (value) => () => parseExtensions(value),
  "an authority": (value) => () => authorityOf(value, "http"),
  "an origin": (value) => () => originAllowed(`http://${value}`, "localhost", "same-host"),
  ...Object.fromEntries(
    ["Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"].map(
      (name) => [`a request's ${name}`, (value: string) => reading(judgeRequest, request(name, value))],
    ),
  ),
  "a request's target": (value) => reading(judgeRequest, { ...request("X", ""), target: `/${value}` }),
  ...Object.fromEntries(
    ["Connection", "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"].map((name) => [
      `a response's ${name}`,
      (value: string) => reading(judgeResponse, response(name, value)),
    ]),
  ),
  // Each unit is a field of its own.
  "fields of one name": (value) =>
    reading(
      (raw) => joined(fieldLines(raw) ?? new Map(), "a"),
      Array.from(value, (_, index) => (index % 2 ? "b" : "a")),
    ),
  "fields of many names": (value) =>
    reading(
      fieldLines,
      Array.from(value, (_, index) => (index % 2 ? "b" : `${index}`)),
    ),
};

function reading<Given>(read: (given: Given) => unknown, given: Given): () => unknown {
  return () => read(given);
}

/** Processor time of this process, in microseconds. */
function cost(work: () => unknown): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

/** The ratio of what a long one and a short one cost, each at its best: whoever else uses the machine only adds to it. */
function ratio(short: () => unknown, long: () => unknown): number {
  let [least, most] = [Infinity, Infinity];
  const times = (): number => (most < TOLD ? 0 : (FACTOR * most) / Math.max(least, 1));
  for (let round = 0; round < ROUNDS || (round < MOST_ROUNDS && times() >= MOST); round += 1) {
    // As often as makes both equal in length, if it is linear.
    least = Math.min(
      least,
      cost(() => {
        for (let time = 0; time < FACTOR; time += 1) short();
      }),
    );
    most = Math.min(most, cost(long));
  }
  return times();
}

describe(`what costs at most ${MOST} times as much when it is ${FACTOR} times as long`, () => {
  for (const [what, reader] of Object.entries(READERS)) {
    it(what, LIMIT, () => {
      for (const unit of UNITS) {
        for (const shape of SHAPES) {
          const of = (length: number): (() => unknown) => reader(shape(unit.repeat(length / unit.length)));
          const [short, long] = [of(LENGTH), of(FACTOR * LENGTH)];
          if (cost(long) < TOLD) continue;
          const times = ratio(short, long);
          assert.ok(times < MOST, `${JSON.stringify(unit)}: ${times.toFixed(1)} times as long`);
        }
      }
    });
  }

  it("and what costs more: it can be told apart", () => {
    const quadratic = (value: string): number => {
      let found = 0;
      for (let at = value.indexOf(","); at >= 0; at = value.indexOf(",", at + 1)) found += value.lastIndexOf("b", at);
      return found;
    };
    const of = (length: number): (() => unknown) => reading(quadratic, "aaa,".repeat(length / 4));
    assert.ok(ratio(of(LENGTH), of(FACTOR * LENGTH)) > MOST);
  });
});
