import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DEFAULTS, settle } from "../../src/connection/options.js";

describe("the options of a connection", () => {
  it("are complete once they are settled", () => {
    const { hooks, observe, onError, clock, heartbeat, idleTimeout, ...plain } = settle({}, "websocket");
    const { heartbeat: beat, idleTimeout: idle, ...expected } = DEFAULTS;
    assert.deepEqual(plain, expected);
    assert.deepEqual(heartbeat, { ...beat, message: undefined });
    assert.equal(typeof onError, "function");
    assert.equal(typeof clock.now, "function");
    assert.deepEqual([hooks, observe], [{}, undefined]);
  });

  it("have no idle limit with a heartbeat, and one without", () => {
    assert.equal(settle({}, "websocket").idleTimeout, Infinity);
    assert.equal(settle({ heartbeat: { interval: Infinity } }, "websocket").idleTimeout, 60_000);
    assert.equal(settle({ idleTimeout: 5 }, "websocket").idleTimeout, 5);
  });

  it("have a heartbeat on TCP only with a message to ask with", () => {
    assert.equal(settle({}, "tcp").heartbeat.interval, Infinity);
    assert.equal(settle({}, "tcp").idleTimeout, 60_000);
    const asking = settle({ heartbeat: { message: "?" } }, "tcp");
    assert.deepEqual(asking.heartbeat, { interval: 25_000, timeout: 10_000, message: "?" });
    assert.equal(asking.idleTimeout, Infinity);
    assert.throws(() => settle({ heartbeat: { message: "?" } }, "websocket"), TypeError);
  });

  it("refuse lengths of time that are none", () => {
    for (const name of ["openTimeout", "writeTimeout", "closeTimeout", "lingerTimeout", "idleTimeout"] as const) {
      for (const wrong of [0, -1, Number.NaN]) assert.throws(() => settle({ [name]: wrong }, "tcp"), RangeError);
      assert.throws(() => settle({ [name]: "5" }, "tcp"), { name: "TypeError", message: /expected milliseconds/ });
      assert.equal(settle({ [name]: Infinity }, "tcp")[name], Infinity);
    }
    assert.throws(() => settle({ heartbeat: { interval: 0 } }, "websocket"), /heartbeat\.interval 0/);
    assert.throws(() => settle({ heartbeat: { timeout: -1 } }, "websocket"), /heartbeat\.timeout -1/);
  });

  it("refuse counts that are none", () => {
    for (const name of ["maxFragments", "maxQueuedBytes", "maxQueuedMessages", "maxInboxMessages"] as const) {
      for (const wrong of [0, -1, 1.5, Number.NaN]) assert.throws(() => settle({ [name]: wrong }, "tcp"), RangeError);
      assert.throws(() => settle({ [name]: "5" }, "tcp"), TypeError);
      assert.equal(settle({ [name]: Infinity }, "tcp")[name], Infinity);
    }
  });

  it("refuse a message size that no string can have", () => {
    assert.equal(settle({ maxMessageSize: 2 ** 29 - 24 }, "tcp").maxMessageSize, 2 ** 29 - 24);
    for (const wrong of [2 ** 29 - 23, Infinity])
      assert.throws(() => settle({ maxMessageSize: wrong }, "tcp"), RangeError);
  });

  it("let be sent whatever may be received, unless they say otherwise", () => {
    const large = 2 ** 24;
    assert.equal(settle({ maxMessageSize: large }, "websocket").maxQueuedBytes, large);
    assert.equal(settle({ maxMessageSize: 1 }, "websocket").maxQueuedBytes, DEFAULTS.maxQueuedBytes);
    assert.equal(settle({ maxMessageSize: large, maxQueuedBytes: 1 }, "websocket").maxQueuedBytes, 1);
  });

  it("refuse words that they do not know", () => {
    assert.throws(() => settle({ overflow: "block" } as never, "tcp"), /expected one of wait, reject/);
    assert.throws(() => settle({ onMidFrameTimeout: "drop" } as never, "tcp"), TypeError);
    assert.throws(() => settle({ messageType: "json" } as never, "tcp"), TypeError);
    assert.throws(() => settle({ maxMesageSize: 5 } as never, "tcp"), /no such option/);
    assert.throws(() => settle({ message: "hook" } as never, "tcp"), /Cannot use message: expected a function/);
  });

  it("cannot be changed afterwards", () => {
    assert.ok(Object.isFrozen(settle({}, "tcp")));
  });
});
