import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CONNECTION_DEFAULTS as DEFAULTS, settle } from "../../src/connection/options.ts";
import { ReconnectingConnection } from "../../src/index.ts";

describe("the options of a connection", () => {
  it("are complete after settle()", () => {
    const { hooks, farewell, codec, observe, log, onError, clock, heartbeat, idleTimeout, counters, ...plain } = settle(
      {},
      "websocket",
    );
    const { heartbeat: beat, idleTimeout: idle, ...expected } = DEFAULTS;
    assert.deepEqual(plain, expected);
    assert.deepEqual(heartbeat, { ...beat, message: undefined });
    assert.equal(typeof onError, "function");
    assert.equal(typeof clock.now, "function");
    assert.equal(counters.protocol, "websocket");
    assert.deepEqual([hooks, farewell, codec, observe, log], [{}, undefined, undefined, undefined, undefined]);
  });

  it("include no idle limit with a heartbeat, and one without a heartbeat", () => {
    assert.equal(settle({}, "websocket").idleTimeout, Infinity);
    assert.equal(settle({ heartbeat: { interval: Infinity } }, "websocket").idleTimeout, 60_000);
    assert.equal(settle({ idleTimeout: 5 }, "websocket").idleTimeout, 5);
  });

  it("include a heartbeat on TCP only with a heartbeat message", () => {
    assert.equal(settle({}, "tcp").heartbeat.interval, Infinity);
    assert.equal(settle({}, "tcp").idleTimeout, 60_000);
    const asking = settle({ heartbeat: { message: "?" } }, "tcp");
    assert.deepEqual(asking.heartbeat, { interval: 25_000, timeout: 10_000, message: "?" });
    assert.equal(asking.idleTimeout, Infinity);
    assert.throws(() => settle({ heartbeat: { message: "?" } }, "websocket"), TypeError);
  });

  it("include no idle limit for a side on TCP that receives nothing", () => {
    assert.equal(settle({ messageType: "none" }, "tcp").idleTimeout, Infinity);
    assert.equal(settle({ messageType: "none", idleTimeout: 5 }, "tcp").idleTimeout, 5);
    assert.equal(settle({ messageType: "none", heartbeat: false }, "websocket").idleTimeout, 60_000);
  });

  it("reject what needs a message where none is received", () => {
    const message = (): void => undefined;
    assert.throws(() => settle({ messageType: "none", message }, "websocket"), TypeError);
    assert.throws(() => settle({ messageType: "none", heartbeat: { message: "?" } }, "tcp"), TypeError);
    assert.throws(() => new ReconnectingConnection("ws://127.0.0.1:1", { messageType: "none", message }), TypeError);
  });

  it("reject invalid durations", () => {
    for (const name of ["openTimeout", "writeTimeout", "closeTimeout", "lingerTimeout", "idleTimeout"] as const) {
      for (const wrong of [0, -1, Number.NaN]) assert.throws(() => settle({ [name]: wrong }, "tcp"), RangeError);
      assert.throws(() => settle({ [name]: "5" }, "tcp"), { name: "TypeError", message: /expected milliseconds/ });
      assert.equal(settle({ [name]: Infinity }, "tcp")[name], Infinity);
    }
    assert.throws(() => settle({ heartbeat: { interval: 0 } }, "websocket"), /heartbeat\.interval 0/);
    assert.throws(() => settle({ heartbeat: { timeout: -1 } }, "websocket"), /heartbeat\.timeout -1/);
  });

  it("reject invalid counts", () => {
    for (const name of [
      "maxFragments",
      "maxQueuedBytes",
      "maxQueuedMessages",
      "maxInFlightBytes",
      "maxInboxMessages",
    ] as const) {
      for (const wrong of [0, -1, 1.5, Number.NaN]) assert.throws(() => settle({ [name]: wrong }, "tcp"), RangeError);
      assert.throws(() => settle({ [name]: "5" }, "tcp"), TypeError);
      assert.equal(settle({ [name]: Infinity }, "tcp")[name], Infinity);
    }
  });

  it("reject a message size above the longest string of V8", () => {
    assert.equal(settle({ maxMessageSize: 2 ** 29 - 24 }, "tcp").maxMessageSize, 2 ** 29 - 24);
    for (const wrong of [2 ** 29 - 23, Infinity])
      assert.throws(() => settle({ maxMessageSize: wrong }, "tcp"), RangeError);
  });

  it("allow to send each message that may be received, unless they set other limits", () => {
    const large = 2 ** 24;
    assert.equal(settle({ maxMessageSize: large }, "websocket").maxQueuedBytes, large);
    assert.equal(settle({ maxMessageSize: 1 }, "websocket").maxQueuedBytes, DEFAULTS.maxQueuedBytes);
    assert.equal(settle({ maxMessageSize: large, maxQueuedBytes: 1 }, "websocket").maxQueuedBytes, 1);
  });

  it("reject unknown option names and values", () => {
    assert.throws(() => settle({ overflow: "block" } as never, "tcp"), /expected one of wait, reject/);
    assert.throws(() => settle({ midFrameTimeout: "drop" } as never, "tcp"), RangeError);
    assert.throws(() => settle({ messageType: "json" } as never, "tcp"), RangeError);
    assert.throws(() => settle({ messageType: 5 } as never, "tcp"), TypeError);
    assert.throws(() => settle({ maxMesageSize: 5 } as never, "tcp"), /no such option/);
    assert.throws(() => settle({ message: "hook" } as never, "tcp"), /Cannot use message: expected a function/);
  });

  it("are frozen", () => {
    assert.ok(Object.isFrozen(settle({}, "tcp")));
  });
});
