/** The word for each way in which a connection can end. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { END_CAUSES, type EndCause } from "../../../src/base/end-causes.ts";
import { PROTOCOL_ERROR_REASONS, type ProtocolErrorReason } from "../../../src/base/protocol-reasons.ts";
import { endCauseOf } from "../../../src/connection/close/end-cause.ts";
import {
  ClosedError,
  type CloseInfo,
  type Connection,
  HandshakeError,
  LimitError,
  ProtocolError,
  TimeoutError,
  TransportError,
} from "../../../src/index.ts";
import { pair, settled, wired } from "../../../src/testing/index.ts";

const ended = (cause: unknown, by: "local" | "peer" = "local"): CloseInfo => ({
  ...{ code: 1006, reason: "", by, wasClean: false, cause },
});

const timeout = (limit: string, operation: TimeoutError["operation"] = "ping"): TimeoutError =>
  new TimeoutError({ operation, limit, bound: 1, after: 1, retriable: false });

const limit = (name: string): LimitError =>
  new LimitError({ operation: "receive", limit: name, maximum: 1, actual: 2 });

const closed = (closeCode: number, by: "local" | "peer"): ClosedError =>
  new ClosedError({ closeCode, by, wasClean: true });

const violation = (reason: ProtocolErrorReason): ProtocolError =>
  new ProtocolError({ problem: "", by: "peer", closeCode: 1002, reason, clause: "" });

const CASES: readonly (readonly [EndCause, CloseInfo])[] = [
  ["local", ended(undefined)],
  ["local", ended(closed(4_000, "local"))],
  ["peer", ended(undefined, "peer")],
  ["peer", ended(closed(4_000, "peer"), "peer")],
  ["terminate", ended(closed(1_006, "local"))],
  ["no-close-frame", ended(closed(1_006, "peer"), "peer")],
  ["handler", ended(new Error("of the application"))],
  ["handler", ended("thrown")],
  ...["heartbeat.timeout", "idleTimeout", "writeTimeout", "messageTimeout", "pauseTimeout", "lingerTimeout"].map(
    (name) => [name as EndCause, ended(timeout(name))] as const,
  ),
  ["closeTimeout", ended(timeout("closeTimeout"))],
  ["lifetime", ended(timeout("lifetime"))],
  ["readDeadline", ended(timeout("readDeadline"))],
  ["readDeadline", ended(timeout("timeout", "receive"))],
  ["writeDeadline", ended(timeout("deadline", "send"))],
  ["writeDeadline", ended(timeout("writeDeadline"))],
  ["other", ended(timeout("openTimeout"))],
  ...(["maxMessageSize", "maxFragments", "maxInflationRatio", "memoryBudget"] as const).map(
    (name) => [name, ended(limit(name))] as const,
  ),
  ["overflow", ended(limit("maxQueuedBytes"))],
  ["overflow", ended(limit("maxQueuedMessages"))],
  ["other", ended(limit("maxConnections"))],
  ["messageType", ended(violation("message-type"))],
  ["codec", ended(violation("undecodable"))],
  ["unexpected-eof", ended(violation("unexpected-eof"), "peer")],
  ["protocol", ended(violation("invalid-utf8"))],
  ["reset", ended(new TransportError({ errno: "ECONNRESET" }), "peer")],
  ["broken-pipe", ended(new TransportError({ errno: "EPIPE" }), "peer")],
  ["unreachable", ended(new TransportError({ errno: "ETIMEDOUT" }), "peer")],
  ["tls", ended(new TransportError({ errno: "ERR_SSL_WRONG_VERSION_NUMBER" }), "peer")],
  ["transport", ended(new TransportError({ errno: "EIO" }), "peer")],
  ["other", ended(new HandshakeError({ problem: "", phase: "tcp" }))],
];

describe("the cause of an end", () => {
  for (const [cause, info] of CASES) {
    it(`is ${cause} for ${info.cause instanceof Error ? info.cause.message : `${info.cause} by ${info.by}`}`, () => {
      assert.equal(endCauseOf(info, false), cause);
    });
  }

  it("is shutdown for what the server closes, and not for another end meanwhile", () => {
    assert.equal(endCauseOf(ended(undefined), true), "shutdown");
    assert.equal(endCauseOf(ended(closed(1_001, "local")), true), "shutdown");
    assert.equal(endCauseOf(ended(undefined, "peer"), true), "peer");
    assert.equal(endCauseOf(ended(timeout("closeTimeout")), true), "closeTimeout");
  });

  it("has every word of the vocabulary", () => {
    const found = new Set(CASES.map(([cause]) => cause).concat("shutdown"));
    assert.deepEqual([...found].sort(), Object.keys(END_CAUSES).sort());
  });

  it("exists for every violation of the protocol", () => {
    for (const reason of Object.keys(PROTOCOL_ERROR_REASONS) as ProtocolErrorReason[])
      assert.notEqual(endCauseOf(ended(violation(reason)), false), "other");
  });

  const real: readonly (readonly [EndCause, (connection: Connection, peer: Connection) => unknown])[] = [
    ["local", (connection) => connection.close()],
    ["local", (connection) => connection.close(4_000)],
    ["peer", (_, peer) => peer.close()],
    ["peer", (_, peer) => peer.close(4_000)],
    ["terminate", (connection) => connection.terminate()],
    ["terminate", (connection) => connection.terminate(new Error("a reason"))],
  ];
  for (const [cause, end] of real) {
    it(`is ${cause} after ${String(end).replace(/^.*=> /, "")}`, async () => {
      const { server, client } = pair();
      await end(server, client);
      assert.equal(endCauseOf(await server.closed, false), cause);
    });
  }

  it("is reset or no-close-frame for a peer that leaves without a Close frame", async () => {
    const reset = wired();
    reset.peer.reset();
    await settled();
    assert.equal(endCauseOf(await reset.connection.closed, false), "reset");
    const cut = wired();
    cut.peer.end();
    await cut.clock.advance(10_000);
    assert.equal(endCauseOf(await cut.connection.closed, false), "no-close-frame");
  });
});
