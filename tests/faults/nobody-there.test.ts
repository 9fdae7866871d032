/** Servers that cannot be reached: `connect` rejects as soon as the system reports it, and reconnecting clients continue to try. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connect, HandshakeError, listen, reconnect, type Server, TransportError } from "../../src/index.ts";
import { openSockets, socketsDownTo } from "../kit/kernel-sockets.ts";
import { rawServer } from "../kit/raw-peer.ts";

/** A port that was free a moment ago. */
async function quietPort(): Promise<number> {
  const { port, ...server } = await rawServer(() => undefined);
  await server[Symbol.asyncDispose]();
  return port;
}

const REASONS: Record<string, { at: () => Promise<string>; phase: string; errno: readonly string[] }> = {
  // A resolver without a network gives the second answer.
  "a name that does not resolve": {
    at: () => Promise.resolve("nobody.invalid:9"),
    phase: "dns",
    errno: ["ENOTFOUND", "EAI_AGAIN"],
  },
  "a port on which nobody listens": {
    at: async () => `127.0.0.1:${await quietPort()}`,
    phase: "tcp",
    errno: ["ECONNREFUSED"],
  },
};

describe("an unreachable server", { timeout: 60_000 }, () => {
  for (const [what, { at, phase, errno }] of Object.entries(REASONS)) {
    for (const scheme of ["ws", "wss", "tcp", "tls"]) {
      it(`${what} ends ${scheme} in phase ${phase} with its reason (bound: the system's answer)`, async () => {
        const place = await at();
        const before = openSockets();
        // No time limit may take effect.
        const failed = await connect(`${scheme}://${place}`, { openTimeout: Infinity }).catch(
          (error: unknown) => error,
        );
        assert.ok(failed instanceof HandshakeError, String(failed));
        assert.equal(failed.phase, phase);
        assert.ok(failed.cause instanceof TransportError && errno.includes(failed.cause.errno), String(failed.cause));
        await socketsDownTo(before);
      });
    }
  }

  it("is reached by a reconnecting client as soon as it listens", async () => {
    const port = await quietPort();
    const reasons: unknown[] = [];
    let served: Promise<Server> | undefined;
    const echo = (): Promise<Server> =>
      listen(`ws://127.0.0.1:${port}`, {}, async (guest) => {
        for await (const message of guest) await guest.send(message);
      });
    const answer = await reconnect(
      `ws://127.0.0.1:${port}`,
      async (connection) => {
        await connection.send("hello");
        return connection.receive();
      },
      {
        ...{ initialPause: 5, maxPause: 20 },
        state: (state) => {
          if (state.name !== "waiting") return;
          reasons.push(state.why);
          if (reasons.length === 3) served = echo();
        },
      },
    );
    assert.equal(answer, "hello");
    assert.ok(reasons.length >= 3 && reasons.every((why) => why !== undefined));
    await (await served)?.[Symbol.asyncDispose]();
  });
});
