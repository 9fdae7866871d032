/** Tests of the keepalive option: values that a socket would ignore silently are refused. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { settleKeepAlive } from "../../src/endpoint/options.ts";
import { connect, type KeepAliveOptions, listen } from "../../src/index.ts";

const USUAL = { delay: 60_000, interval: 1_000, count: 10 };

describe("keepAlive", () => {
  it("has a delay of 60 s by default, and interval and count of Node", () => {
    assert.deepEqual(settleKeepAlive(), USUAL);
    assert.deepEqual(settleKeepAlive({}), USUAL);
  });

  it("applies the given values", () => {
    const all = { delay: 1_500, interval: 2_000, count: 3 };
    assert.deepEqual(settleKeepAlive(all), all);
    assert.deepEqual(settleKeepAlive({ delay: Infinity }), { ...USUAL, delay: Infinity });
    assert.deepEqual(settleKeepAlive({ count: 127 }), { ...USUAL, count: 127 });
  });

  const wrong: readonly [unknown, "TypeError" | "RangeError", RegExp][] = [
    [null, "TypeError", /keepAlive: expected an object, got null/],
    [true, "TypeError", /keepAlive: expected an object, got boolean/],
    [60_000, "TypeError", /keepAlive: expected an object, got number/],
    [{ dealy: 5_000 }, "TypeError", /keepAlive\.dealy: there is no such option/],
    [{ delay: "1 s" }, "TypeError", /keepAlive\.delay: expected milliseconds, got string/],
    [{ delay: 0 }, "RangeError", /keepAlive\.delay 0: /],
    [{ delay: -1 }, "RangeError", /keepAlive\.delay -1: /],
    [{ delay: Number.NaN }, "RangeError", /keepAlive\.delay NaN: /],
    [{ delay: 32_767_001 }, "RangeError", /keepAlive\.delay 32767001: expected more than 0 ms and at most 32767000 ms/],
    [{ interval: 0 }, "RangeError", /keepAlive\.interval 0: /],
    [{ interval: Infinity }, "RangeError", /keepAlive\.interval Infinity: expected more than 0 ms and at most/],
    [{ count: "3" }, "TypeError", /keepAlive\.count: expected a number/],
    [{ count: 0 }, "RangeError", /keepAlive\.count 0: /],
    [{ count: 1.5 }, "RangeError", /keepAlive\.count 1\.5: /],
    [{ count: 128 }, "RangeError", /keepAlive\.count 128: expected a whole number from 1 to 127/],
  ];
  for (const [given, name, message] of wrong) {
    it(`is refused with a ${name}: ${JSON.stringify(given)}${String(message)}`, async () => {
      const keepAlive = given as KeepAliveOptions;
      assert.throws(() => settleKeepAlive(keepAlive), { name, message });
      for (const url of ["ws://127.0.0.1:0", "tcp://127.0.0.1:0"]) {
        const framing = url.startsWith("tcp") ? { framing: "lines" as const } : {};
        await assert.rejects(listen(url, { ...framing, keepAlive, open: () => undefined }), { name, message });
        await assert.rejects(connect(url.replace(":0", ":9"), { ...framing, keepAlive }), { name, message });
      }
    });
  }
});
