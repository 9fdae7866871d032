/** The command line of `holdfast bench`. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BENCH_LINE } from "../../../src/cli/bench/flags.ts";

const URL = "ws://127.0.0.1:1/";

describe("the flags of holdfast bench", () => {
  it("have defaults: an echo in the closed loop", () => {
    const { plan } = BENCH_LINE.parse([URL]) ?? {};
    const { url, work, rate, connections, processes, size, warmup, duration, slow, text } = plan ?? {};
    assert.deepEqual([url, work, rate, connections, processes], [URL, "echo", undefined, 10, 1]);
    assert.deepEqual([size, warmup, duration, slow, text], [64, 1_000, 10_000, 0, false]);
  });

  it("are the plan", () => {
    const line = "--work broadcast -r 2.5 -c 200 -p 4 --size 100 --slow 10% -d 1m --warmup 0s --drain 500ms --text -k";
    const { plan } = BENCH_LINE.parse([...line.split(" "), "wss://example.com/"]) ?? {};
    const { work, rate, connections, processes, size, slow, duration, warmup, drain, text, client } = plan ?? {};
    assert.deepEqual([work, rate, connections, processes, size], ["broadcast", 2.5, 200, 4, 100]);
    assert.deepEqual([slow, duration, warmup, drain, text], [20, 60_000, 0, 500, true]);
    assert.equal(client?.insecure, true);
  });

  it("send texts on TCP, as a line is a text", () => {
    assert.equal(BENCH_LINE.parse(["tcp://127.0.0.1:1"])?.plan.text, true);
    assert.equal(BENCH_LINE.parse(["tcp://127.0.0.1:1", "--framing", "varint"])?.plan.text, false);
  });

  it("round a share of slow connections up", () => {
    assert.equal(BENCH_LINE.parse([URL, "--slow", "1%"])?.plan.slow, 1);
    assert.equal(BENCH_LINE.parse([URL, "--slow", "3"])?.plan.slow, 3);
  });

  const wrong: Record<string, readonly [readonly string[], RegExp]> = {
    "no address": [[], /URL is missing/],
    "an address of another scheme": [["http://127.0.0.1/"], /expected a ws:, wss:, tcp: or tls: address/],
    "no URL": [["localhost"], /expected a ws:, wss:, tcp: or tls: address/],
    "a size below that of the stamp": [[URL, "--size", "8"], /--size "8": expected a whole number from 32/],
    "a rate of zero": [[URL, "--rate", "0"], /--rate "0": expected messages per second, above 0/],
    "a time without a unit": [[URL, "-d", "10"], /--duration "10": expected a time such as 500ms/],
    "a time that is too long": [[URL, "-d", "100h"], /--duration "100h": expected a time such as 500ms/],
    "only slow connections": [[URL, "--slow", "100%"], /--slow "100%": expected fewer than the 10/],
    "slow handshakes": [[URL, "--slow", "1", "--work", "connect"], /cannot use --slow with connect/],
    "more processes than connections": [[URL, "-p", "11"], /--processes 11: expected at most one for each/],
    "processes for a closed broadcast": [[URL, "--work", "broadcast", "-p", "2"], /add --rate/],
    "a rate of idle connections": [[URL, "--work", "idle", "-r", "5"], /cannot use --rate with idle/],
    "header fields on TCP": [["tcp://127.0.0.1:1", "-H", "A: b"], /there is no upgrade request/],
    "TCP without a framing": [["tcp://127.0.0.1:1", "--framing", "raw"], /expected one that keeps messages apart/],
    "messages of another size than the framing's": [
      ["tcp://127.0.0.1:1", "--framing", "fixed:40"],
      /expected fixed:64/,
    ],
    "a delimiter that is in messages": [["tcp://127.0.0.1:1", "--framing", "delimiter:x"], /without digits/],
    "a header field without a name": [[URL, "-H", ": b"], /expected "Name: value"/],
    "a condition that is none": [[URL, "-e", "p99"], /cannot use --expect "p99"/],
    "a certificate authority that is missing": [[URL, "--ca", "/none"], /cannot use --ca "\/none": .*ENOENT/],
  };
  for (const [what, [args, message]] of Object.entries(wrong)) {
    it(`refuse ${what}`, () => assert.throws(() => BENCH_LINE.parse(args), { name: "UsageError", message }));
  }
});
