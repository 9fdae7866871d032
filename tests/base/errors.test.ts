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
} from "../../src/base/errors.ts";

const cause = new Error("below");

const ONE_OF_EACH: readonly ConnectionError[] = [
  new ClosedError({ closeCode: 1000, by: "peer", wasClean: true }, { cause }),
  new TimeoutError({ operation: "receive", limit: "timeout", bound: 100, after: 101, retriable: true }, { cause }),
  new ProtocolError(
    { problem: "a masked frame", by: "peer", closeCode: 1002, reason: "masked-frame", clause: "RFC 6455 5.1" },
    { cause },
  ),
  new HandshakeError({ problem: "status 403", phase: "upgrade" }, { cause }),
  new LimitError({ operation: "send", limit: "maxQueuedBytes", maximum: 10, actual: 11 }, { cause }),
  new TransportError({ errno: "ECONNRESET", syscall: "read" }, { cause }),
  new InDoubtError({ returned: "an order" }, { cause }),
];

/** Compiles only while the union is closed and every code has a case. */
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
  it("has its own code, the name of its class, and its cause", () => {
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

  it("has a case in a switch over its code", () => {
    assert.deepEqual(ONE_OF_EACH.map(closeCodeOf), [
      ...[1000, undefined, 1002],
      ...[undefined, undefined, undefined, undefined],
    ]);
  });

  it("begins with the action that failed", () => {
    for (const error of ONE_OF_EACH) assert.match(error.message, /^(Cannot \w+|Connection closed)/);
  });

  it("can be distinguished from other errors", () => {
    for (const error of ONE_OF_EACH) assert.equal(isConnectionError(error), true);
    for (const other of [new Error("x"), { code: "CLOSED" }, undefined]) assert.equal(isConnectionError(other), false);
  });
});

describe("a ClosedError", () => {
  it("has the side that closed, the code and the reason", () => {
    const error = new ClosedError({ closeCode: 1001, reason: "going away", by: "local", wasClean: false });
    assert.equal(error.message, "Connection closed by this side with code 1001: going away");
    assert.deepEqual([error.closeCode, error.reason, error.by, error.wasClean], [1001, "going away", "local", false]);
  });

  it("has an empty reason if there was none", () => {
    const error = new ClosedError({ closeCode: 1000, by: "peer", wasClean: true });
    assert.equal(error.message, "Connection closed by the peer with code 1000");
    assert.equal(error.reason, "");
  });
});

describe("a TimeoutError", () => {
  const facts = { operation: "receive", limit: "timeout", bound: 100, after: 100.6, retriable: true } as const;

  it("names the operation, the bound and the duration", () => {
    const error = new TimeoutError(facts);
    assert.equal(error.message, "Cannot receive: timeout of 100 ms reached after 101 ms");
    assert.equal(error.timeout, true);
    assert.deepEqual(
      [error.operation, error.limit, error.bound, error.after, error.retriable],
      ["receive", "timeout", 100, 100.6, true],
    );
  });

  it("names the operation in words", () => {
    for (const [operation, words] of [
      ["lifetime", "Cannot keep the connection open: "],
      ["connect:dns", "Cannot connect (in phase dns): "],
      ["write:pong", "Cannot write a pong: "],
      ["write:data", "Cannot write: "],
      ["drain", "Cannot drain: "],
      ["publish", "Cannot publish: "],
      ["history", "Cannot read the history: "],
    ] as const) {
      const { message } = new TimeoutError({ ...facts, operation });
      assert.equal(message, `${words}timeout of 100 ms reached after 101 ms`);
    }
  });

  it("names a deadline by its instant", () => {
    const bound = new Date(Date.UTC(2026, 0, 2, 3, 4, 5));
    const error = new TimeoutError({ ...facts, limit: "deadline", bound });
    assert.match(error.message, /deadline of 2026-01-02T03:04:05\.000Z reached/);
    assert.equal(error.bound, bound);
  });

  it("mentions no message at a message boundary", () => {
    for (const error of [
      new TimeoutError(facts),
      new TimeoutError({ ...facts, progress: { received: 0, expected: undefined } }),
    ]) {
      assert.doesNotMatch(error.message, /message/);
      assert.deepEqual([error.partial, error.expected], [0, undefined]);
    }
  });

  it("has the received part of a message", () => {
    const error = new TimeoutError({ ...facts, progress: { received: 5, expected: 20 } });
    assert.match(error.message, /, with 5 of 20 bytes of a message$/);
    assert.deepEqual([error.partial, error.expected], [5, 20]);
  });

  it("has the received part of a message of unknown length", () => {
    const error = new TimeoutError({ ...facts, progress: { received: 5, expected: undefined } });
    assert.match(error.message, /, with 5 of an unknown number of bytes of a message$/);
    assert.deepEqual([error.partial, error.expected], [5, undefined]);
  });
});

describe("a ProtocolError", () => {
  it("names the side, the clause and the close code", () => {
    const error = new ProtocolError({
      problem: "an unmasked frame",
      by: "peer",
      closeCode: 1002,
      reason: "unmasked-frame",
      clause: "RFC 6455 5.1",
    });
    assert.equal(error.message, "Cannot continue to receive: an unmasked frame (RFC 6455 5.1)");
    const { by, closeCode, reason, clause } = error;
    assert.deepEqual([by, closeCode, reason, clause], ["peer", 1002, "unmasked-frame", "RFC 6455 5.1"]);
  });
});

describe("a HandshakeError", () => {
  it("has the response", () => {
    const headers = { "retry-after": "5" };
    const error = new HandshakeError({ problem: "status 503", phase: "upgrade", status: 503, headers });
    assert.equal(error.message, "Cannot connect: status 503 (in phase upgrade)");
    assert.deepEqual([error.phase, error.status, error.headers], ["upgrade", 503, headers]);
  });

  it("has no status and no headers without a response", () => {
    const error = new HandshakeError({ problem: "no such host", phase: "dns" });
    assert.deepEqual([error.phase, error.status, error.headers], ["dns", undefined, {}]);
  });
});

describe("a LimitError", () => {
  const facts = { operation: "send", limit: "maxQueuedBytes", maximum: 10, actual: 11 } as const;

  it("names the option, its maximum and the requested value", () => {
    const error = new LimitError(facts);
    assert.equal(error.message, "Cannot send: maxQueuedBytes is 10, and this makes 11");
    assert.deepEqual([error.limit, error.maximum, error.actual], ["maxQueuedBytes", 10, 11]);
    assert.equal(error.returned, undefined);
  });

  it("returns the refused message", () => {
    const refused = new Uint8Array(11);
    assert.equal(new LimitError({ ...facts, returned: refused }).returned, refused);
  });

  it("describes the problem in other words where they are better", () => {
    const error = new LimitError({ ...facts, problem: "11 bytes never fit into a queue of 10" });
    assert.equal(error.message, "Cannot send: 11 bytes never fit into a queue of 10");
  });
});

describe("a TransportError", () => {
  it("has the system's code", () => {
    const error = new TransportError({ errno: "EPIPE", syscall: "write" });
    assert.equal(error.message, "Cannot write: EPIPE");
    assert.deepEqual([error.errno, error.syscall], ["EPIPE", "write"]);
  });

  it("begins with an action if the system named no call", () => {
    const error = new TransportError({ errno: "ECONNRESET" });
    assert.equal(error.message, "Cannot use the transport: ECONNRESET");
    assert.equal(error.syscall, undefined);
  });
});

describe("an InDoubtError", () => {
  it("returns the message that may or may not have arrived", () => {
    const doubtful = new Uint8Array(11);
    assert.equal(new InDoubtError({ returned: doubtful }).returned, doubtful);
  });
});

describe("a WorkerError", () => {
  it("names the worker, and its exit status or signal", () => {
    const error = new WorkerError({ worker: 2, problem: "Cannot listen: EADDRINUSE", errno: "EADDRINUSE" });
    assert.equal(error.message, "Cannot start worker 2: Cannot listen: EADDRINUSE");
    assert.deepEqual([error.code, error.worker, error.errno], ["WORKER", 2, "EADDRINUSE"]);
    assert.equal(isConnectionError(error), false);
  });
});
