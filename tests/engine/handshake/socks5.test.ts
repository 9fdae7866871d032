/** The SOCKS5 handshake of a client: what it sends, and what it makes of any answer, cut at every place. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { concat } from "../../../src/base/bytes.ts";
import { SocksHandshake, type SocksRequest } from "../../../src/engine/handshake/socks5.ts";

const bytes = (...values: readonly number[]): Uint8Array => Uint8Array.from(values);
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const NAME: SocksRequest = { destination: { name: text("a.example") }, port: 0x1f90, login: undefined };
const LOGIN: SocksRequest = { ...NAME, login: [text("ann"), text("word")] };

interface Course {
  readonly sent: readonly number[][];
  readonly rest: readonly number[] | undefined;
  readonly problem: string | undefined;
}

/** Gives the answers to a handshake in pieces of that many bytes. The proxy answers only what it was asked. */
function course(request: SocksRequest, answers: readonly Uint8Array[], cut: number): Course {
  const handshake = new SocksHandshake(request);
  const sent = [[...handshake.greeting]];
  for (const answer of answers) {
    for (let at = 0; at < answer.length; at += cut) {
      const step = handshake.receive(answer.slice(at, at + cut));
      if (step === undefined) continue;
      if ("send" in step) sent.push([...step.send]);
      else if ("problem" in step) return { sent, rest: undefined, problem: step.problem };
      else return { sent, rest: [...concat([step.rest, answer.subarray(at + cut)])], problem: undefined };
    }
  }
  return { sent, rest: undefined, problem: undefined };
}

const CUTS = [1, 2, 3, 5, 7, 1_000];

describe("the SOCKS5 handshake", () => {
  const asked = [5, 1, 0, 3, 9, ...text("a.example"), 0x1f, 0x90];
  const replies: [name: string, reply: Uint8Array][] = [
    ["an IPv4 address", bytes(5, 0, 0, 1, 1, 2, 3, 4, 0, 80)],
    ["an IPv6 address", bytes(5, 0, 0, 4, ...new Array<number>(16).fill(9), 0, 80)],
    ["a name", bytes(5, 0, 0, 3, 3, 97, 98, 99, 0, 80)],
    ["an empty name", bytes(5, 0, 0, 3, 0, 0, 80)],
    ["a name of 255 bytes", bytes(5, 0, 0, 3, 255, ...new Array<number>(255).fill(97), 0, 80)],
  ];
  for (const [name, reply] of replies) {
    it(`ends behind a reply with ${name}, and keeps the bytes of the server behind it`, () => {
      for (const cut of CUTS) {
        const { sent, rest, problem } = course(NAME, [bytes(5, 0), concat([reply, text("hello")])], cut);
        assert.deepEqual(sent, [[5, 1, 0], asked]);
        assert.deepEqual(rest, [...text("hello")], `cut ${cut}`);
        assert.equal(problem, undefined);
      }
    });
  }

  it("sends user name and password if the proxy wants them", () => {
    for (const version of [1, 5]) {
      for (const cut of CUTS) {
        const answers = [bytes(5, 2), bytes(version, 0), replies[0]?.[1] as Uint8Array];
        const { sent, rest } = course(LOGIN, answers, cut);
        assert.deepEqual(sent, [[5, 2, 0, 2], [1, 3, ...text("ann"), 4, ...text("word")], asked]);
        assert.deepEqual(rest, []);
      }
    }
    assert.deepEqual(course(LOGIN, [bytes(5, 0), replies[0]?.[1] as Uint8Array], 1).sent, [[5, 2, 0, 2], asked]);
  });

  it("sends IP addresses as their bytes", () => {
    const v4 = course({ ...NAME, destination: { address: bytes(10, 0, 0, 1) } }, [bytes(5, 0)], 9);
    assert.deepEqual(v4.sent[1], [5, 1, 0, 1, 10, 0, 0, 1, 0x1f, 0x90]);
    const v6 = course({ ...NAME, destination: { address: new Uint8Array(16).fill(7) } }, [bytes(5, 0)], 9);
    assert.deepEqual(v6.sent[1], [5, 1, 0, 4, ...new Array(16).fill(7), 0x1f, 0x90]);
  });

  const problems: [name: string, request: SocksRequest, answers: readonly Uint8Array[], said: RegExp][] = [
    ["another protocol", NAME, [text("HTTP/1.1 400")], /does not speak SOCKS5: its answer begins with the byte 72/],
    ["SOCKS4", NAME, [bytes(0, 90)], /begins with the byte 0/],
    ["no method without credentials", NAME, [bytes(5, 255)], /it requires credentials in its URL/],
    ["no method with credentials", LOGIN, [bytes(5, 255)], /does not accept a user name and password/],
    ["a method that was not offered", NAME, [bytes(5, 2)], /the method 2, which was not offered/],
    ["GSSAPI", LOGIN, [bytes(5, 1)], /the method 1, which was not offered/],
    ["a wrong password", LOGIN, [bytes(5, 2), bytes(1, 1)], /does not accept this user name and password/],
    ["bytes behind the method", NAME, [bytes(5, 0, 5)], /more bytes than its answer has/],
    ["bytes behind the login", LOGIN, [bytes(5, 2), bytes(1, 0, 5)], /more bytes than its answer has/],
    ["another version in the reply", NAME, [bytes(5, 0), bytes(4, 0, 0, 1)], /begins with the byte 4/],
    ["an unknown kind of address", NAME, [bytes(5, 0), bytes(5, 0, 0, 2, 0)], /unknown kind 2/],
    ["a refusal", NAME, [bytes(5, 0), bytes(5, 2)], /^it does not permit this server \(reply 2\)$/],
    ["a refused connection", NAME, [bytes(5, 0), bytes(5, 5, 0, 1)], /refused the connection \(reply 5\)$/],
    ["an unknown refusal", NAME, [bytes(5, 0), bytes(5, 200)], /^it refused \(reply 200\)$/],
  ];
  for (const [name, request, answers, said] of problems) {
    it(`fails at ${name}`, () => {
      // All answers of a proxy that sends too much are in one piece.
      for (const cut of name.startsWith("bytes") ? [1_000] : CUTS)
        assert.match(course(request, answers, cut).problem ?? "none", said, `cut ${cut}`);
    });
  }

  it("waits while an answer is not complete, whatever its bytes are, and never holds more than one answer", () => {
    for (const reply of replies.map(([, one]) => one)) {
      for (let end = 0; end < reply.length; end += 1)
        assert.deepEqual(course(NAME, [bytes(5, 0), reply.subarray(0, end)], 1).rest, undefined);
    }
    for (let first = 0; first < 256; first += 1) {
      for (let second = 0; second < 256; second += 1) {
        const { rest, problem } = course(LOGIN, [bytes(5, 2), bytes(1, 0), bytes(first, second, 0, 3, 1, 0)], 1);
        assert.equal(rest, undefined);
        assert.equal(problem === undefined, first === 5 && second === 0);
      }
    }
  });
});
