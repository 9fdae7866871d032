/** S2: a deadline expires at its instant, whatever arrives, and nothing is lost by it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Message } from "../../src/index.ts";
import { settled, type Wired, wired } from "../../src/testing/index.ts";
import { joined } from "../kit/frames.ts";
import { WIRE_PROTOCOLS, type WireProtocol } from "../kit/wire-protocols.ts";

const scene = ({ protocol, options }: WireProtocol): Wired => wired({ kind: protocol, ...options });

describe("S2-2 a deadline expires at its instant, whatever is ready", () => {
  for (const wire of WIRE_PROTOCOLS) {
    it(`S2-2 reads succeed until then, and fail from then on, on ${wire.name}`, async () => {
      const { connection, peer, clock } = scene(wire);
      const deadline = clock.in(100);
      connection.setReadDeadline(deadline);
      for (let at = 10; at < 100; at += 10) {
        await clock.advance(10);
        peer.write(wire.message(`at ${at}`));
        assert.equal(await connection.receive(), `at ${at}`);
      }
      peer.write(wire.message("ready"));
      await clock.advance(10);
      await assert.rejects(connection.receive(), {
        ...{ code: "TIMEOUT", operation: "receive", limit: "readDeadline", bound: deadline, partial: 0 },
      });
      assert.equal(connection.state, "OPEN");
    });

    it(`S2-2 a deadline of one call has the same effect, on ${wire.name}`, async () => {
      const { connection, peer, clock } = scene(wire);
      const deadline = clock.in(100);
      peer.write(wire.message("ready"));
      await clock.advance(100);
      await assert.rejects(connection.receive({ deadline }), { code: "TIMEOUT", limit: "deadline", after: 0 });
      assert.equal(await connection.receive({ deadline: clock.in(1) }), "ready");
    });
  }
});

describe("S2-2 a deadline may be set as a length of time from now", () => {
  for (const wire of WIRE_PROTOCOLS) {
    it(`S2-2 it is the Date of that moment, for every call, on ${wire.name}`, async () => {
      const { connection, clock } = scene(wire);
      const bound = clock.in(100);
      await clock.advance(0);
      connection.setDeadline({ in: 100 });
      const calls = [connection.receive(), connection.receive({ deadline: { in: 200 } })];
      const own = connection.receive({ deadline: { in: 50 } });
      await Promise.all([
        ...calls.map((call) => assert.rejects(call, { limit: "readDeadline", bound, after: 100 })),
        assert.rejects(own, { limit: "deadline", bound: clock.in(50), after: 50, retriable: true }),
        clock.advance(100),
      ]);
      await assert.rejects(connection.send("late"), { limit: "writeDeadline", bound, after: 0 });
      connection.setDeadline({ in: Infinity });
      await connection.send("in time", { deadline: { in: 1 } });
    });
  }

  it("S2-2 it is validated at the call", async () => {
    const { connection } = wired();
    for (const set of ["setReadDeadline", "setWriteDeadline", "setDeadline"] as const) {
      assert.throws(() => connection[set]({ in: -1 }), RangeError);
      assert.throws(() => connection[set](5_000 as never), TypeError);
    }
    await assert.rejects(connection.receive({ deadline: { in: Number.NaN } }), RangeError);
    await assert.rejects(connection.send("x", { deadline: { within: 5 } as never }), TypeError);
  });
});

describe("S2-3 after a deadline every read fails, until it is cleared or renewed", () => {
  for (const wire of WIRE_PROTOCOLS) {
    for (const how of ["cleared", "renewed"] as const) {
      it(`S2-3 when it is ${how}, reads return what arrived before and since, on ${wire.name}`, async () => {
        const { connection, peer, clock } = scene(wire);
        connection.setReadDeadline(clock.in(10));
        peer.write(wire.message("before"));
        await clock.advance(10);
        peer.write(wire.message("meanwhile"));
        await settled();
        for (let read = 0; read < 3; read += 1) {
          await assert.rejects(connection.receive(), { limit: "readDeadline", after: 0, retriable: true });
        }
        connection.setReadDeadline(how === "cleared" ? undefined : clock.in(10));
        assert.deepEqual([await connection.receive(), await connection.receive()], ["before", "meanwhile"]);
      });
    }

    it(`S2-3 a deadline that is set applies to a read that waits already, on ${wire.name}`, async () => {
      const { connection, peer, clock } = scene(wire);
      connection.setReadDeadline(clock.in(100));
      const received = connection.receive();
      await clock.advance(90);
      connection.setReadDeadline(clock.in(100));
      await clock.advance(90);
      connection.setReadDeadline(undefined);
      await clock.advance(1_000);
      peer.write(wire.message("late"));
      assert.equal(await received, "late");
      const hurried = assert.rejects(connection.receive(), { limit: "readDeadline", after: 0 });
      connection.setReadDeadline(clock.in(0));
      await clock.advance(0);
      await hurried;
    });
  }
});

describe("S2-4 a cleared deadline loses nothing", () => {
  const CYCLES = 100;

  /** Writes `stream` in as many pieces as there are cycles. After each of them a read times out once. */
  async function expireOften({ connection, peer, clock }: Wired, stream: Uint8Array): Promise<Message[]> {
    const received: Message[] = [];
    for (let cycle = 0; cycle < CYCLES; cycle += 1) {
      const [from, to] = [cycle, cycle + 1].map((at) => Math.floor((at * stream.length) / CYCLES));
      connection.setReadDeadline(clock.in(10));
      peer.write(stream.subarray(from, to));
      for (let expired = false; !expired; ) {
        let done = false;
        const read = connection.receive().then(
          (data) => {
            received.push(data);
            done = true;
          },
          (error) => {
            assert.equal(error.limit, "readDeadline");
            expired = true;
          },
        );
        await settled();
        if (!done) await clock.advance(10);
        await read;
      }
    }
    return received;
  }

  for (const wire of WIRE_PROTOCOLS) {
    it(`S2-4 over ${CYCLES} cycles, which cut messages anywhere, on ${wire.name}`, async () => {
      const texts = Array.from({ length: 37 }, (_, index) => `${index}:${"x".repeat((index * 7) % 200)}`);
      const wiredUp = scene(wire);
      const received = await expireOften(wiredUp, joined(...texts.map((text) => wire.message(text))));
      assert.deepEqual(received, texts);
      assert.equal(wiredUp.connection.state, "OPEN");
    });
  }

  it(`S2-4 over ${CYCLES} cycles, byte for byte, on raw TCP`, async () => {
    const stream = Uint8Array.from({ length: 5_000 }, (_, index) => (index * index) % 251);
    const received = await expireOften(wired({ kind: "tcp", framing: "raw" }), stream);
    assert.deepEqual(Buffer.concat(received as Uint8Array[]), Buffer.from(stream));
  });
});

describe("S2-5 a waiting read can be interrupted, so that its caller can do something else", () => {
  for (const wire of WIRE_PROTOCOLS) {
    const whole = wire.message("what was waited for");
    for (const [where, partial] of Object.entries({ "at a boundary": 0, "inside a message": 5 })) {
      it(`S2-5 by a signal ${where}, and resumed, on ${wire.name}`, async () => {
        const { connection, peer } = scene(wire);
        const exit = new AbortController();
        const reading = connection.receive({ signal: exit.signal });
        peer.write(whole.subarray(0, partial));
        await settled();
        const reason = new Error("the program is to exit");
        exit.abort(reason);
        await assert.rejects(reading, (error) => error === reason);
        assert.equal(connection.state, "OPEN");
        const resumed = connection.receive();
        peer.write(whole.subarray(partial));
        assert.equal(await resumed, "what was waited for");
      });

      it(`S2-5 by a deadline ${where}, and resumed, on ${wire.name}`, async () => {
        const { connection, peer, clock } = scene(wire);
        let asked = 0;
        // Go's idiom: check every 100 ms for other work.
        const loop = (async () => {
          for (;;) {
            connection.setReadDeadline(clock.in(100));
            try {
              return await connection.receive();
            } catch (error) {
              if ((error as { timeout?: boolean }).timeout !== true) throw error;
              asked += 1;
            }
          }
        })();
        peer.write(whole.subarray(0, partial));
        await clock.advance(450);
        assert.equal(asked, 4);
        peer.write(whole.subarray(partial));
        assert.equal(await loop, "what was waited for");
      });
    }

    it(`S2-5 what arrives after the interruption is kept, on ${wire.name}`, async () => {
      const { connection, peer } = scene(wire);
      const exit = new AbortController();
      const reading = assert.rejects(connection.receive({ signal: exit.signal }), { name: "AbortError" });
      exit.abort();
      await reading;
      peer.write(whole);
      await settled();
      assert.equal(await connection.receive(), "what was waited for");
    });
  }
});
