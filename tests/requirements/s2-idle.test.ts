/** S2: limits on silence, on the time of one message, and on the life of a connection. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ConnectionOptions } from "../../src/index.ts";
import { settled, type Wired, wired } from "../../src/testing/index.ts";
import { closeCodeIn, joined, KEY, peerFrame } from "../kit/frames.ts";
import { WIRE_PROTOCOLS, type WireProtocol } from "../kit/wire-protocols.ts";

const IDLE = 100;

function scene({ protocol, options }: WireProtocol, connection: ConnectionOptions = {}): Wired {
  return wired({ kind: protocol, ...options, connection: { idleTimeout: IDLE, closeTimeout: 10, ...connection } });
}

/** The end of the connection, after its closing handshake has timed out. */
async function endOf({ connection, clock }: Wired): Promise<Record<string, unknown>> {
  await clock.advance(10);
  const { cause } = await connection.closed;
  return { ...(cause as Error) };
}

const idleError = (after: number): Record<string, unknown> => ({
  ...{ code: "TIMEOUT", operation: "receive", limit: "idleTimeout", bound: IDLE, after, retriable: false },
});

function assertHas(error: Record<string, unknown>, facts: Record<string, unknown>): void {
  assert.deepEqual({ ...error, ...facts }, error);
}

describe("S2-1 the idle limit", () => {
  for (const wire of WIRE_PROTOCOLS) {
    it(`S2-1 is restarted by single bytes, and expires when they stop, on ${wire.name}`, async () => {
      const wiredUp = scene(wire);
      const { connection, peer, clock } = wiredUp;
      const received = connection.receive();
      const bytes = wire.message("x".repeat(33));
      for (const byte of bytes) {
        await clock.advance(60);
        peer.write([byte]);
      }
      assert.equal(await received, "x".repeat(33));
      const waiting = connection.receive();
      waiting.catch(() => undefined);
      await clock.advance(IDLE - 1);
      assert.equal(connection.state, "OPEN", "one millisecond is left");
      await clock.advance(1);
      await assert.rejects(waiting, idleError(IDLE));
      assertHas(await endOf(wiredUp), idleError(IDLE));
      if (wire.protocol === "websocket") assert.equal(closeCodeIn(peer.received), 1001);
    });

    it(`S2-1 does not run while the application holds a message, on ${wire.name}`, async () => {
      const { connection, peer, clock } = scene(wire);
      peer.write(wire.message("held"));
      assert.equal(await connection.receive(), "held");
      await clock.advance(5 * IDLE);
      assert.equal(connection.state, "OPEN");
      const asked = connection.receive();
      await clock.advance(IDLE - 1);
      assert.equal(connection.state, "OPEN", "it restarts when the application asks for more");
      const rejected = assert.rejects(asked, idleError(IDLE));
      await clock.advance(1);
      await rejected;
    });

    it(`S2-1 does not run while the body of a loop runs, on ${wire.name}`, async () => {
      const { connection, peer, clock } = scene(wire);
      const work: (() => void)[] = [];
      const loop = (async () => {
        for await (const _ of connection) await new Promise<void>((resolve) => void work.push(resolve));
      })();
      const failed = assert.rejects(loop, idleError(IDLE));
      peer.write(joined(wire.message("one"), wire.message("two")));
      for (const count of [1, 2]) {
        await clock.advance(5 * IDLE);
        assert.equal(work.length, count);
        work[count - 1]?.();
      }
      await clock.advance(IDLE - 1);
      assert.equal(connection.state, "OPEN");
      await clock.advance(1);
      await failed;
    });

    it(`S2-1 does not run while received messages wait, on ${wire.name}`, async () => {
      const { connection, peer, clock } = scene(wire);
      peer.write(wire.message("ready"));
      await clock.advance(5 * IDLE);
      assert.equal(connection.state, "OPEN");
      assert.equal(await connection.receive(), "ready");
    });

    it(`S2-1 does not run while a hook's promise is pending, on ${wire.name}`, async () => {
      let finish!: () => void;
      const work = new Promise<void>((resolve) => {
        finish = resolve;
      });
      const wiredUp = scene(wire, { message: () => work });
      const { connection, peer, clock } = wiredUp;
      peer.write(wire.message("work"));
      await clock.advance(5 * IDLE);
      assert.equal(connection.state, "OPEN");
      finish();
      await clock.advance(IDLE - 1);
      assert.equal(connection.state, "OPEN");
      await clock.advance(1);
      assertHas(await endOf(wiredUp), idleError(IDLE));
    });

    it(`S2-1 runs while one call waits, although another was served, on ${wire.name}`, async () => {
      const { connection, peer, clock } = scene(wire);
      const [first, second] = [connection.receive(), connection.receive()];
      peer.write(wire.message("one"));
      assert.equal(await first, "one");
      const rejected = assert.rejects(second, idleError(IDLE));
      await clock.advance(IDLE);
      await rejected;
    });

    it(`S2-1 is not restarted by what this side sends, on ${wire.name}`, async () => {
      const wiredUp = scene(wire);
      const { connection, clock } = wiredUp;
      for (let sent = 0; sent < 4; sent += 1) {
        await connection.send("anybody there?");
        await clock.advance(IDLE / 4);
      }
      assertHas(await endOf(wiredUp), idleError(IDLE));
    });
  }
});

describe("S2-6 a packet in three parts, with gaps of 0.8 of the limit", () => {
  for (const wire of WIRE_PROTOCOLS) {
    const whole = wire.message("abcdefghi");
    const parts = [whole.subarray(0, 5), whole.subarray(5, 10), whole.subarray(10)];

    async function trickle({ peer, clock }: Wired, gap: number): Promise<void> {
      for (const part of parts) {
        await clock.advance(gap);
        peer.write(part);
      }
      await settled();
    }

    it(`S2-6 arrives with an idle limit, which restarts for each wait, on ${wire.name}`, async () => {
      const wiredUp = scene(wire);
      const received = wiredUp.connection.receive();
      await trickle(wiredUp, 0.8 * IDLE);
      assert.equal(await received, "abcdefghi");
    });

    it(`S2-6 does not arrive if a single gap is longer, on ${wire.name}`, async () => {
      const wiredUp = scene(wire);
      const rejected = assert.rejects(wiredUp.connection.receive(), idleError(IDLE));
      await trickle(wiredUp, IDLE + 1);
      await rejected;
    });

    for (const [kind, begin] of Object.entries({
      "the connection's deadline": ({ connection, clock }: Wired, length: number) => {
        connection.setReadDeadline(clock.in(length));
        return connection.receive();
      },
      "the call's deadline": ({ connection, clock }: Wired, length: number) =>
        connection.receive({ deadline: clock.in(length) }),
      "the call's timeout": ({ connection }: Wired, length: number) => connection.receive({ timeout: length }),
    })) {
      it(`S2-6 does not arrive with ${kind} of the same length, on ${wire.name}`, async () => {
        const wiredUp = scene(wire);
        const failed = assert.rejects(begin(wiredUp, IDLE), { code: "TIMEOUT", after: IDLE, partial: 5 });
        await trickle(wiredUp, 0.8 * IDLE);
        await failed;
        wiredUp.connection.setReadDeadline(undefined);
        assert.equal(await wiredUp.connection.receive(), "abcdefghi", "what had come was kept");
      });

      it(`S2-6 arrives with ${kind} of the whole length, on ${wire.name}`, async () => {
        const wiredUp = scene(wire);
        const received = begin(wiredUp, 2.4 * IDLE + 1);
        await trickle(wiredUp, 0.8 * IDLE);
        assert.equal(await received, "abcdefghi");
      });
    }
  }
});

describe("S2-10 the time of a whole message is bounded in addition to the gaps in it", () => {
  for (const wire of WIRE_PROTOCOLS) {
    it(`S2-10 a peer that trickles for ever is cut off, on ${wire.name}`, async () => {
      const wiredUp = scene(wire, { messageTimeout: 10 * IDLE });
      const { connection, peer, clock } = wiredUp;
      const rejected = assert.rejects(connection.receive(), {
        ...{ code: "TIMEOUT", limit: "messageTimeout", bound: 10 * IDLE, after: 10 * IDLE, retriable: false },
      });
      for (const byte of wire.message("x".repeat(60))) {
        if (connection.state !== "OPEN") break;
        peer.write([byte]);
        await clock.advance(0.9 * IDLE);
      }
      await rejected;
      if (wire.protocol === "websocket") assert.equal(closeCodeIn(peer.received), 1008);
    });

    it(`S2-10 whole messages at the same pace continue for ever, on ${wire.name}`, async () => {
      const { connection, peer, clock } = scene(wire, { messageTimeout: 2 * IDLE });
      // Each write ends a message and begins the next.
      const [head, tail] = [wire.message("pace").subarray(0, 3), wire.message("pace").subarray(3)];
      peer.write(head);
      for (let count = 0; count < 50; count += 1) {
        await clock.advance(0.9 * IDLE);
        peer.write(joined(tail, head));
        assert.equal(await connection.receive(), "pace");
      }
      assert.equal(connection.state, "OPEN");
    });
  }

  it("S2-10 endless fragments are cut off, although each is complete", async () => {
    const wiredUp = scene(WIRE_PROTOCOLS[0] as WireProtocol, { messageTimeout: 10 * IDLE, maxFragments: Infinity });
    const { connection, peer, clock } = wiredUp;
    peer.write(peerFrame({ opcode: 1, payload: "a", fin: false, key: KEY }));
    for (let fragment = 0; fragment < 20 && connection.state === "OPEN"; fragment += 1) {
      await clock.advance(0.9 * IDLE);
      peer.write(peerFrame({ opcode: 0, payload: "b", fin: false, key: KEY }));
    }
    assertHas(await endOf(wiredUp), { limit: "messageTimeout", after: 10 * IDLE });
  });

  it("S2-10 Pings inside a message do not delay its limit", async () => {
    const wiredUp = scene(WIRE_PROTOCOLS[0] as WireProtocol, { messageTimeout: 3 * IDLE });
    const { connection, peer, clock } = wiredUp;
    peer.write(peerFrame({ opcode: 1, payload: "a", fin: false, key: KEY }));
    for (let ping = 0; ping < 10 && connection.state === "OPEN"; ping += 1) {
      await clock.advance(0.9 * IDLE);
      peer.write(peerFrame({ opcode: 9, key: KEY }));
    }
    assertHas(await endOf(wiredUp), { limit: "messageTimeout", after: 3 * IDLE });
  });
});

describe("S2-11 the limits can be combined, and the error names the one that expired", () => {
  const all: ConnectionOptions = { idleTimeout: IDLE, messageTimeout: 3 * IDLE, lifetime: 20 * IDLE };
  const hits: readonly {
    readonly what: string;
    readonly limit: "idleTimeout" | "messageTimeout" | "lifetime";
    readonly operation: string;
    readonly code: number;
    readonly live: (wiredUp: Wired, whole: Uint8Array) => Promise<void>;
  }[] = [
    {
      ...{ what: "a byte, then silence", limit: "idleTimeout", operation: "receive", code: 1001 },
      live: async ({ peer, clock }, whole) => {
        peer.write(whole.subarray(0, 1));
        await clock.advance(IDLE);
      },
    },
    {
      ...{ what: "bytes that trickle", limit: "messageTimeout", operation: "receive", code: 1008 },
      live: async ({ peer, clock }, whole) => {
        for (let at = 0; at < 6; at += 1) {
          peer.write(whole.subarray(at, at + 1));
          await clock.advance(IDLE / 2);
        }
      },
    },
    {
      ...{ what: "a good life", limit: "lifetime", operation: "lifetime", code: 1001 },
      live: async ({ connection, peer, clock }, whole) => {
        for (let message = 0; message < 40; message += 1) {
          assert.equal(connection.state, "OPEN");
          peer.write(whole);
          await connection.receive();
          await clock.advance(IDLE / 2);
        }
      },
    },
  ];
  for (const wire of WIRE_PROTOCOLS) {
    for (const { what, limit, operation, code, live } of hits) {
      it(`S2-11 ${what}: ${limit}, on ${wire.name}`, async () => {
        const wiredUp = scene(wire, all);
        await live(wiredUp, wire.message("a whole message"));
        const bound = all[limit];
        assertHas(await endOf(wiredUp), { code: "TIMEOUT", limit, operation, bound, after: bound, retriable: false });
        if (wire.protocol === "websocket") assert.equal(closeCodeIn(wiredUp.peer.received), code);
      });
    }

    it(`S2-11 with all of them a call has its own bounds, on ${wire.name}`, async () => {
      const { connection, clock } = scene(wire, all);
      connection.setReadDeadline(clock.in(60));
      const byTimeout = assert.rejects(connection.receive({ timeout: 20, deadline: clock.in(30) }), {
        ...{ limit: "timeout", bound: 20, after: 20, retriable: true },
      });
      const byDeadline = assert.rejects(connection.receive({ timeout: 50, deadline: clock.in(40) }), {
        ...{ limit: "deadline", after: 40 },
      });
      const byOwn = assert.rejects(connection.receive({ timeout: 90 }), { limit: "readDeadline", after: 60 });
      await clock.advance(60);
      await Promise.all([byTimeout, byDeadline, byOwn]);
      assert.equal(connection.state, "OPEN");
    });
  }
});
