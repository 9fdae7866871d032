/** The default policy: which ends are final, which are passing, and which pauses a server requests. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  ClosedError,
  HandshakeError,
  LimitError,
  ProtocolError,
  type ReconnectCause,
  shouldReconnect,
  TimeoutError,
  TransportError,
} from "../../src/index.ts";
import { reconnectKindOf } from "../../src/reconnect/cause.ts";

const AT = new Date("2026-03-01T12:00:00Z");

function cause(facts: Partial<ReconnectCause>): ReconnectCause {
  const whole: Omit<ReconnectCause, "kind"> = {
    ...{ phase: "session", error: new TransportError({ errno: "ECONNRESET" }), code: undefined, reason: "" },
    ...{ wasClean: false, by: undefined, status: undefined, headers: {}, failures: 1, lived: 0, at: AT },
    ...facts,
  };
  return { ...whole, kind: facts.kind ?? reconnectKindOf(whole) };
}

function closed(code: number, reason = "", by: "peer" | "local" = "peer"): ReconnectCause {
  const error = new ClosedError({ closeCode: code, reason, by, wasClean: true });
  return cause({ error, code, reason, by, wasClean: true });
}

function refused(status: number, headers: Record<string, string> = {}): ReconnectCause {
  const error = new HandshakeError({ problem: `status ${status}`, phase: "upgrade", status, headers });
  return cause({ phase: "upgrade", error, status, headers });
}

describe("the default policy on close codes", () => {
  for (const code of [1000, 1002, 1003, 1007, 1008, 1009, 1010, 3000, 3003]) {
    it(`does not reconnect after the peer's ${code}`, () => assert.equal(shouldReconnect(closed(code)), false));
  }
  for (const code of [1001, 1005, 1006, 1011, 1012, 1013, 1014, 3008, 3999, 4000, 4999]) {
    it(`reconnects after the peer's ${code}`, () => assert.equal(shouldReconnect(closed(code)), true));
  }
  for (const code of [1002, 1007]) {
    it(`reconnects after our own ${code}, because the peer violated the protocol`, () => {
      const error = new ProtocolError({
        problem: "x",
        by: "peer",
        closeCode: code,
        reason: "masked-frame",
        clause: "RFC 6455 5.1",
      });
      const lost = cause({ error, code, by: "local", wasClean: true });
      assert.deepEqual([lost.kind, shouldReconnect(lost)], ["protocol", true]);
    });
  }

  for (const phase of ["open", "message"] as const) {
    it(`reconnects when the ${phase} hook failed, whatever it threw`, () => {
      const error = new TypeError("fetch failed");
      assert.equal(shouldReconnect(cause({ phase, error, code: 1011, by: "local", wasClean: true })), true);
    });
  }

  for (const limit of ["maxMessageSize", "maxFragments", "maxInflationRatio"]) {
    it(`does not reconnect to a peer that exceeded our ${limit}`, () => {
      const error = new LimitError({ operation: "receive", limit, maximum: 1, actual: 2 });
      assert.equal(shouldReconnect(cause({ error, code: 1009, by: "local" })), false);
    });
  }

  it("does not reconnect to a peer whose type of message we refuse with 1003", () => {
    const error = new ProtocolError({
      problem: "x",
      by: "peer",
      closeCode: 1003,
      reason: "message-type",
      clause: "RFC 6455 7.4.1",
    });
    assert.equal(shouldReconnect(cause({ error, code: 1003, by: "local" })), false);
  });

  it("reconnects to a peer that did not read, so that our queue overflowed", () => {
    const error = new LimitError({ operation: "send", limit: "maxQueuedBytes", maximum: 1, actual: 2 });
    assert.equal(shouldReconnect(cause({ error, code: 1013, by: "local" })), true);
  });

  it("reconnects after a stream that ended inside a message", () => {
    const error = new ProtocolError({
      problem: "x",
      by: "peer",
      closeCode: 1006,
      reason: "unexpected-eof",
      clause: "unexpected-eof",
    });
    assert.equal(cause({ error, code: 1006, by: "peer" }).kind, "lost");
  });

  it("reconnects on TCP, whose end has no reason", async () => {
    const error = new ClosedError({ closeCode: 1000, by: "peer", wasClean: true });
    assert.equal(shouldReconnect(cause({ error, by: "peer", wasClean: true })), true);
  });
});

describe("the default policy on what the server said about when", () => {
  for (const code of [1001, 1012, 1013]) {
    it(`heeds retry-after at the end of the reason of a ${code}`, () => {
      assert.deepEqual(shouldReconnect(closed(code, "retry-after=5")), { after: 5_000 });
      assert.deepEqual(shouldReconnect(closed(code, "new version retry-after=0.25")), { after: 250 });
    });
  }

  it("makes nothing of reasons that only look like it", () => {
    for (const reason of [
      "no-retry-after=5",
      "retry-after=",
      "retry-after=-5",
      "retry-after=5 or so",
      "retry-after=1e9",
    ]) {
      assert.equal(shouldReconnect(closed(1001, reason)), true, reason);
    }
    assert.equal(shouldReconnect(closed(4001, "retry-after=5")), true);
  });

  for (const status of [429, 503, 408, 500]) {
    it(`heeds Retry-After in a ${status}`, () => {
      assert.deepEqual(shouldReconnect(refused(status, { "retry-after": "7" })), { after: 7_000 });
    });
  }

  const in30s = ["Sun, 01 Mar 2026 12:00:30 GMT", "Sunday, 01-Mar-26 12:00:30 GMT", "Sun Mar  1 12:00:30 2026"];
  for (const date of in30s) {
    it(`heeds Retry-After as a date: ${date}`, () => {
      assert.deepEqual(shouldReconnect(refused(503, { "retry-after": date })), { after: 30_000 });
    });
  }

  it("takes a date from the server's own clock, where it shows it", () => {
    const headers = { "retry-after": in30s[0] ?? "", date: "Sun, 01 Mar 2026 11:59:20 GMT" };
    assert.deepEqual(shouldReconnect(refused(503, headers)), { after: 70_000 });
  });

  it("takes a date that has passed for no time at all", () => {
    assert.deepEqual(shouldReconnect(refused(503, { "retry-after": "Sun, 01 Mar 2026 11:00:00 GMT" })), { after: 0 });
  });

  for (const nonsense of ["", "soon", "-5", "5.5", "Someday, 41 Foo 2026", "2026-03-01"]) {
    it(`makes nothing of Retry-After ${JSON.stringify(nonsense)}`, () => {
      assert.equal(shouldReconnect(refused(503, { "retry-after": nonsense })), true);
    });
  }
});

describe("the default policy on HTTP statuses", () => {
  for (const status of [400, 401, 403, 404, 405, 406, 410, 414, 426, 431, 451, 300, 301, 308, 501, 505]) {
    it(`treats ${status} as final, for any Retry-After`, () => {
      assert.equal(shouldReconnect(refused(status)), false);
      assert.equal(shouldReconnect(refused(status, { "retry-after": "1" })), false);
    });
  }
  for (const status of [200, 302, 307, 408, 421, 425, 429, 500, 502, 503, 504, 511]) {
    it(`takes ${status} for a matter of time`, () => assert.equal(shouldReconnect(refused(status)), true));
  }
});

describe("the default policy on everything else", () => {
  for (const phase of ["dns", "tcp", "tls", "upgrade"] as const) {
    it(`reconnects when phase ${phase} failed without an answer`, () => {
      assert.equal(shouldReconnect(cause({ phase, error: new HandshakeError({ problem: "x", phase }) })), true);
      const facts = {
        operation: `connect:${phase}`,
        limit: "openTimeout",
        bound: 1,
        after: 1,
        retriable: true,
      } as const;
      assert.equal(shouldReconnect(cause({ phase, error: new TimeoutError(facts) })), true);
    });
  }

  for (const [errno, phase, kind] of [
    ["ENOTFOUND", "dns", "unknown-name"],
    ["EAI_AGAIN", "dns", "unreachable"],
    ["CERT_HAS_EXPIRED", "tls", "tls"],
    ["ERR_SSL_WRONG_VERSION_NUMBER", "tls", "tls"],
    ["ECONNRESET", "tls", "unreachable"],
    ["ECONNREFUSED", "tcp", "unreachable"],
  ] as const) {
    it(`calls ${errno} in phase ${phase} ${kind}, and reconnects`, () => {
      const error = new HandshakeError({ problem: "x", phase }, { cause: new TransportError({ errno }) });
      const failure = cause({ phase, error });
      assert.deepEqual([failure.kind, shouldReconnect(failure)], [kind, true]);
    });
  }

  it("does not reconnect when the session threw another connection's error", () => {
    const handshake = new HandshakeError({ problem: "x", phase: "tcp" });
    const closing = new ClosedError({ closeCode: 1006, by: "peer", wasClean: false });
    for (const error of [handshake, closing, new TransportError({ errno: "ECONNRESET" })]) {
      assert.equal(shouldReconnect(cause({ error })), false, error.name);
    }
  });

  it("reconnects when the target function failed, whatever it threw: a fetch that fails is a TypeError", () => {
    assert.equal(shouldReconnect(cause({ phase: "target", error: new TypeError("fetch failed") })), true);
  });

  it("does not reconnect after misuse or an error of the application's own", () => {
    assert.equal(shouldReconnect(cause({ phase: "dns", error: new TypeError("Cannot use option x") })), false);
    assert.equal(shouldReconnect(cause({ error: new Error("no such order") })), false);
    const { kind: _, ...facts } = closed(1001);
    assert.equal(shouldReconnect(cause({ ...facts, error: new Error("no such order") })), false);
  });

  it("reconnects when a session timed out on an open connection, and not when it exceeded a limit of ours", () => {
    const facts = { operation: "receive", limit: "timeout", bound: 100, after: 100, retriable: true } as const;
    assert.equal(shouldReconnect(cause({ error: new TimeoutError(facts) })), true);
    const error = new LimitError({ operation: "send", limit: "maxQueuedBytes", maximum: 1, actual: 2 });
    assert.equal(shouldReconnect(cause({ error })), false);
  });
});
