/** The functions that read a header, a URL's authority or a text from a peer: four times the input takes four times as long. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseExtensions } from "../../src/engine/handshake/extension.ts";
import { fieldLines, joinedLines, parseTokens } from "../../src/engine/handshake/header.ts";
import { authorityOf, originAllowed } from "../../src/engine/handshake/origin.ts";
import { judgeRequest } from "../../src/engine/handshake/request.ts";
import { judgeResponse } from "../../src/engine/handshake/response.ts";
import { UPGRADE_KEY } from "../kit/raw-peer.ts";

const LIMIT = { timeout: 60_000 };
const LENGTH = 8_192;
const FACTOR = 4;
/** Between linear and quadratic, which takes 16 times as long. */
const MOST = 9;
const ROUNDS = 5;
/** Repeated while the result looks quadratic: on a busy machine some rounds in a row are slow. */
const MOST_ROUNDS = 25;
/** Microseconds. Below that the clock is too coarse, and the cost harms no one. */
const TOLD = 50;

const UNITS = [",", " ", "\t", " ,", "a,", "a ", ";", "a;", "a=", "a=b;", '"', '\\"', '="', "a/b,", "é", "[", ":", "%"];

/** How an input is made of one repeated unit: alone, and inside delimiters. */
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

/** Prepares the input as the parser of node:http would, and returns the reading alone, which is what is measured. */
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
  // Each unit is a field.
  "fields of one name": (value) =>
    reading(
      (raw) => joinedLines(fieldLines(raw) ?? new Map(), "a"),
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

/** The ratio of the cost of a long input and a short one, each at its minimum: other processes only add to it. */
function ratio(short: () => unknown, long: () => unknown): number {
  let [least, most] = [Infinity, Infinity];
  const times = (): number => (most < TOLD ? 0 : (FACTOR * most) / Math.max(least, 1));
  for (let round = 0; round < ROUNDS || (round < MOST_ROUNDS && times() >= MOST); round += 1) {
    // As often as makes both equally long, if the cost is linear.
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

  it("and a quadratic function is detected", () => {
    const quadratic = (value: string): number => {
      let found = 0;
      for (let at = value.indexOf(","); at >= 0; at = value.indexOf(",", at + 1)) found += value.lastIndexOf("b", at);
      return found;
    };
    const of = (length: number): (() => unknown) => reading(quadratic, "aaa,".repeat(length / 4));
    assert.ok(ratio(of(LENGTH), of(FACTOR * LENGTH)) > MOST);
  });
});
