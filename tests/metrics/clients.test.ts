/** What the metrics of a process say of clients that reconnect. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ATTEMPT_OUTCOMES, type AttemptOutcome } from "../../src/base/attempt-outcomes.ts";
import {
  HandshakeError,
  listen,
  metrics,
  ReconnectingConnection,
  type ReconnectOptions,
  type ReconnectTarget,
  reconnect,
  TransportError,
} from "../../src/index.ts";

const attempts = (outcome: AttemptOutcome): number =>
  metrics(process).snapshot().value("holdfast_reconnect_attempts_total", { outcome });
const inDoubt = (): number => metrics(process).snapshot().value("holdfast_in_doubt_total");

/** The outcomes that the first attempt to `target` has added. */
async function outcomesOf(target: ReconnectTarget, options: ReconnectOptions = {}): Promise<string[]> {
  const all = Object.keys(ATTEMPT_OUTCOMES) as AttemptOutcome[];
  const before = all.map(attempts);
  const once = { shouldReconnect: () => false, onError: () => undefined, ...options };
  await reconnect(target, () => "done", once).catch(() => undefined);
  return all.flatMap((outcome, at) => Array.from({ length: attempts(outcome) - (before[at] ?? 0) }, () => outcome));
}

describe("the metrics of clients that reconnect", () => {
  it("count each attempt by its outcome", async () => {
    await using server = await listen("ws://127.0.0.1:0", { message: () => undefined });
    await using refusing = await listen("ws://127.0.0.1:0", {
      authorize: () => false as never,
      onError: () => undefined,
      message: () => undefined,
    });
    const failing = (errno: string, phase: "dns" | "tcp" | "tls") => ({
      dial: () => Promise.reject(new HandshakeError({ problem: "x", phase }, { cause: new TransportError({ errno }) })),
    });
    assert.deepEqual(await outcomesOf(server.url), ["open"]);
    assert.deepEqual(await outcomesOf(refusing.url), ["status"]);
    assert.deepEqual(await outcomesOf("ws://127.0.0.1:1"), ["refused"]);
    assert.deepEqual(await outcomesOf(() => Promise.reject(new Error("no address"))), ["target"]);
    assert.deepEqual(await outcomesOf(server.url, failing("ENOTFOUND", "dns")), ["dns"]);
    assert.deepEqual(await outcomesOf(server.url, failing("EHOSTUNREACH", "tcp")), ["unreachable"]);
    assert.deepEqual(await outcomesOf(server.url, failing("CERT_HAS_EXPIRED", "tls")), ["tls"]);
    assert.deepEqual(await outcomesOf(server.url, failing("ECONNRESET", "tls")), ["unreachable"]);
    assert.deepEqual(await outcomesOf(server.url, { dial: () => Promise.reject(new Error("no")) }), ["proxy"]);
    assert.deepEqual(await outcomesOf(server.url, { openTimeout: 1, dial: () => new Promise(() => undefined) }), [
      "timeout",
    ]);
    assert.deepEqual(await outcomesOf("nonsense"), ["other"]);
  });

  it("count an attempt that the application has ended, and no attempt after the end", async () => {
    const controller = new AbortController();
    const dial = (): Promise<undefined> => {
      controller.abort();
      return new Promise(() => undefined);
    };
    assert.deepEqual(await outcomesOf("ws://127.0.0.1:1", { dial, signal: controller.signal }), ["aborted"]);
    assert.deepEqual(await outcomesOf("ws://127.0.0.1:1", { signal: AbortSignal.abort() }), []);
  });

  it("count messages in doubt, as messagesInDoubt of each client", async () => {
    const before = inDoubt();
    await using server = await listen("ws://127.0.0.1:0", { message: (connection) => connection.terminate() });
    const client = new ReconnectingConnection(server.url, {
      ...{ delivery: "confirmed", heartbeat: false, onError: () => undefined, shouldReconnect: () => false },
    });
    await assert.rejects(client.send("one"));
    await client.closed;
    assert.equal(client.messagesInDoubt, 1);
    assert.equal(inDoubt() - before, 1);
  });
});
