/** Each error begins with the action that failed and carries its facts. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  ClosedError,
  type ConnectionError,
  HandshakeError,
  InDoubtError,
  isConnectionError,
  LimitError,
  ProtocolError,
  TimeoutError,
  TransportError,
  WorkerError,
} from "../../src/base/errors.js";

const cause = new Error("below");

const ONE_OF_EACH: readonly ConnectionError[] = [
  new ClosedError({ closeCode: 1000, by: "peer", wasClean: true }, { cause }),
  new TimeoutError({ operation: "receive", limit: "timeout", bound: 100, after: 101, retriable: true }, { cause }),
  new ProtocolError({ problem: "a masked frame", by: "peer", closeCode: 1002, clause: "RFC 6455 5.1" }, { cause }),
  new HandshakeError({ problem: "status 403", phase: "upgrade" }, { cause }),
  new LimitError({ operation: "send", limit: "maxQueuedBytes", maximum: 10, actual: 11 }, { cause }),
  new TransportError({ errno: "ECONNRESET", syscall: "read" }, { cause }),
  new InDoubtError({ doubtful: "an order" }, { cause }),
];

/** Compiles only while the union is closed and every code is answered for. */
function closeCodeOf(error: ConnectionError): number | undefined {
  switch (error.code) {
    case "CLOSED":
      return error.closeCode;
    case "PROTOCOL":
      return error.closeCode;
    case "TIMEOUT":
    case "HANDSHAKE":
    case "LIMIT":
    case "TRANSPORT":
    case "IN_DOUBT":
      return undefined;
    default:
      return error satisfies never;
  }
}

describe("every error of a connection", () => {
  it("has a code of its own, the name of its class, and its cause", () => {
    assert.deepEqual(
      ONE_OF_EACH.map(({ code, name }) => [code, name]),
      [
        ["CLOSED", "ClosedError"],
        ["TIMEOUT", "TimeoutError"],
        ["PROTOCOL", "ProtocolError"],
        ["HANDSHAKE", "HandshakeError"],
        ["LIMIT", "LimitError"],
        ["TRANSPORT", "TransportError"],
        ["IN_DOUBT", "InDoubtError"],
      ],
    );
    for (const error of ONE_OF_EACH) {
      assert.ok(error instanceof Error);
      assert.equal(error.constructor.name, error.name);
      assert.equal(error.cause, cause);
    }
  });

  it("is answered for by a switch over its code", () => {
    assert.deepEqual(ONE_OF_EACH.map(closeCodeOf), [
      ...[1000, undefined, 1002],
      ...[undefined, undefined, undefined, undefined],
    ]);
  });

  it("begins with the action that failed", () => {
    for (const error of ONE_OF_EACH) assert.match(error.message, /^(Cannot \w+|Connection closed)/);
  });

  it("is told apart from other errors", () => {
    for (const error of ONE_OF_EACH) assert.equal(isConnectionError(error), true);
    for (const other of [new Error("x"), { code: "CLOSED" }, undefined]) assert.equal(isConnectionError(other), false);
  });
});

describe("a ClosedError", () => {
  it("says who closed, with which code and reason", () => {
    const error = new ClosedError({ closeCode: 1001, reason: "going away", by: "local", wasClean: false });
    assert.equal(error.message, "Connection closed by this side with code 1001: going away");
    assert.deepEqual([error.closeCode, error.reason, error.by, error.wasClean], [1001, "going away", "local", false]);
  });

  it("has an empty reason when none was given", () => {
    const error = new ClosedError({ closeCode: 1000, by: "peer", wasClean: true });
    assert.equal(error.message, "Connection closed by the peer with code 1000");
    assert.equal(error.reason, "");
  });
});

describe("a TimeoutError", () => {
  const facts = { operation: "receive", limit: "timeout", bound: 100, after: 100.6, retriable: true } as const;

  it("names the operation, the bound and how long it lasted", () => {
    const error = new TimeoutError(facts);
    assert.equal(error.message, "Cannot receive: timeout of 100 ms reached after 101 ms");
    assert.equal(error.timeout, true);
    assert.deepEqual(
      [error.operation, error.limit, error.bound, error.after, error.retriable],
      ["receive", "timeout", 100, 100.6, true],
    );
  });

  it("names a deadline as the moment it was", () => {
    const bound = new Date(Date.UTC(2026, 0, 2, 3, 4, 5));
    const error = new TimeoutError({ ...facts, limit: "deadline", bound });
    assert.match(error.message, /deadline of 2026-01-02T03:04:05\.000Z reached/);
    assert.equal(error.bound, bound);
  });

  it("says nothing of a message at a message boundary", () => {
    for (const error of [
      new TimeoutError(facts),
      new TimeoutError({ ...facts, progress: { received: 0, expected: undefined } }),
    ]) {
      assert.doesNotMatch(error.message, /message/);
      assert.deepEqual([error.partial, error.expected], [0, undefined]);
    }
  });

  it("tells how far a message had come", () => {
    const error = new TimeoutError({ ...facts, progress: { received: 5, expected: 20 } });
    assert.match(error.message, /, with 5 of 20 bytes of a message$/);
    assert.deepEqual([error.partial, error.expected], [5, 20]);
  });

  it("tells how far a message of unknown length had come", () => {
    const error = new TimeoutError({ ...facts, progress: { received: 5, expected: undefined } });
    assert.match(error.message, /, with 5 of an unknown number of bytes of a message$/);
    assert.deepEqual([error.partial, error.expected], [5, undefined]);
  });
});

describe("a ProtocolError", () => {
  it("tells who broke which clause, and the code to close with", () => {
    const error = new ProtocolError({
      problem: "an unmasked frame",
      by: "peer",
      closeCode: 1002,
      clause: "RFC 6455 5.1",
    });
    assert.equal(error.message, "Cannot go on receiving: an unmasked frame (RFC 6455 5.1)");
    assert.deepEqual([error.by, error.closeCode, error.clause], ["peer", 1002, "RFC 6455 5.1"]);
  });
});

describe("a HandshakeError", () => {
  it("carries what was answered", () => {
    const headers = { "retry-after": "5" };
    const error = new HandshakeError({ problem: "status 503", phase: "upgrade", status: 503, headers });
    assert.equal(error.message, "Cannot connect: status 503 (in phase upgrade)");
    assert.deepEqual([error.phase, error.status, error.headers], ["upgrade", 503, headers]);
  });

  it("has no status and no headers when nothing was answered", () => {
    const error = new HandshakeError({ problem: "no such host", phase: "dns" });
    assert.deepEqual([error.phase, error.status, error.headers], ["dns", undefined, {}]);
  });
});

describe("a LimitError", () => {
  const facts = { operation: "send", limit: "maxQueuedBytes", maximum: 10, actual: 11 } as const;

  it("names the option, its maximum and what was asked of it", () => {
    const error = new LimitError(facts);
    assert.equal(error.message, "Cannot send: maxQueuedBytes is 10, and this makes 11");
    assert.deepEqual([error.limit, error.maximum, error.actual], ["maxQueuedBytes", 10, 11]);
    assert.equal(error.refused, undefined);
  });

  it("hands the refused message back", () => {
    const refused = new Uint8Array(11);
    assert.equal(new LimitError({ ...facts, refused }).refused, refused);
  });

  it("tells the problem in other words where they are better", () => {
    const error = new LimitError({ ...facts, problem: "11 bytes never fit into a queue of 10" });
    assert.equal(error.message, "Cannot send: 11 bytes never fit into a queue of 10");
  });
});

describe("a TransportError", () => {
  it("carries the system's name for it", () => {
    const error = new TransportError({ errno: "EPIPE", syscall: "write" });
    assert.equal(error.message, "Cannot write: EPIPE");
    assert.deepEqual([error.errno, error.syscall], ["EPIPE", "write"]);
  });

  it("begins with an action when the system named no call", () => {
    const error = new TransportError({ errno: "ECONNRESET" });
    assert.equal(error.message, "Cannot use the transport: ECONNRESET");
    assert.equal(error.syscall, undefined);
  });
});

describe("an InDoubtError", () => {
  it("hands back the message of which nobody knows whether it arrived", () => {
    const doubtful = new Uint8Array(11);
    assert.equal(new InDoubtError({ doubtful }).doubtful, doubtful);
  });
});

describe("a WorkerError", () => {
  it("says which worker, and what the system said to it", () => {
    const error = new WorkerError({ worker: 2, problem: "Cannot listen: EADDRINUSE", errno: "EADDRINUSE" });
    assert.equal(error.message, "Cannot start worker 2: Cannot listen: EADDRINUSE");
    assert.deepEqual([error.code, error.worker, error.errno], ["WORKER", 2, "EADDRINUSE"]);
    assert.equal(isConnectionError(error), false);
  });
});
