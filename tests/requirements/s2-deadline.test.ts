/** S2: a deadline fires at its moment, whatever arrives; and nothing is lost by it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Data } from "../../src/index.js";
import { settled, type Wired, wired } from "../../src/testing/index.js";
import { joined } from "../engine/peer-frames.js";
import { SPEECHES, type Speech } from "./speech.js";

const scene = ({ protocol, options }: Speech): Wired => wired({ protocol, ...options });

describe("S2-2 a deadline fires at its moment, whatever is ready", () => {
  for (const speech of SPEECHES) {
    it(`S2-2 reads succeed until then, and fail from then on, on ${speech.name}`, async () => {
      const { connection, wire, clock } = scene(speech);
      const deadline = clock.in(100);
      connection.setReadDeadline(deadline);
      for (let at = 10; at < 100; at += 10) {
        await clock.advance(10);
        wire.write(speech.message(`at ${at}`));
        assert.equal(await connection.receive(), `at ${at}`);
      }
      wire.write(speech.message("ready"));
      await clock.advance(10);
      await assert.rejects(connection.receive(), {
        ...{ code: "TIMEOUT", operation: "receive", limit: "readDeadline", bound: deadline, partial: 0 },
      });
      assert.equal(connection.state, "OPEN");
    });

    it(`S2-2 a deadline that comes with the call is no weaker, on ${speech.name}`, async () => {
      const { connection, wire, clock } = scene(speech);
      const deadline = clock.in(100);
      wire.write(speech.message("ready"));
      await clock.advance(100);
      await assert.rejects(connection.receive({ deadline }), { code: "TIMEOUT", limit: "deadline", after: 0 });
      assert.equal(await connection.receive({ deadline: clock.in(1) }), "ready");
    });
  }
});

describe("S2-3 behind a deadline every read fails, until it is cleared or renewed", () => {
  for (const speech of SPEECHES) {
    for (const how of ["cleared", "renewed"] as const) {
      it(`S2-3 when it is ${how}, reads give what came before and meanwhile, on ${speech.name}`, async () => {
        const { connection, wire, clock } = scene(speech);
        connection.setReadDeadline(clock.in(10));
        wire.write(speech.message("before"));
        await clock.advance(10);
        wire.write(speech.message("meanwhile"));
        await settled();
        for (let read = 0; read < 3; read += 1) {
          await assert.rejects(connection.receive(), { limit: "readDeadline", after: 0, retriable: true });
        }
        connection.setReadDeadline(how === "cleared" ? undefined : clock.in(10));
        assert.deepEqual([await connection.receive(), await connection.receive()], ["before", "meanwhile"]);
      });
    }

    it(`S2-3 a read that waits already is held to what is set then, on ${speech.name}`, async () => {
      const { connection, wire, clock } = scene(speech);
      connection.setReadDeadline(clock.in(100));
      const received = connection.receive();
      await clock.advance(90);
      connection.setReadDeadline(clock.in(100));
      await clock.advance(90);
      connection.setReadDeadline(undefined);
      await clock.advance(1_000);
      wire.write(speech.message("late"));
      assert.equal(await received, "late");
      const hurried = assert.rejects(connection.receive(), { limit: "readDeadline", after: 0 });
      connection.setReadDeadline(clock.in(0));
      await clock.advance(0);
      await hurried;
    });
  }
});

describe("S2-4 a deadline revives without loss", () => {
  const CYCLES = 100;

  /** Writes `stream` in as many pieces as there are cycles; behind each of them a read runs out of time once. */
  async function expireOften({ connection, wire, clock }: Wired, stream: Uint8Array): Promise<Data[]> {
    const received: Data[] = [];
    for (let cycle = 0; cycle < CYCLES; cycle += 1) {
      const [from, to] = [cycle, cycle + 1].map((at) => Math.floor((at * stream.length) / CYCLES));
      connection.setReadDeadline(clock.in(10));
      wire.write(stream.subarray(from, to));
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

  for (const speech of SPEECHES) {
    it(`S2-4 over ${CYCLES} cycles, which cut messages anywhere, on ${speech.name}`, async () => {
      const texts = Array.from({ length: 37 }, (_, index) => `${index}:${"x".repeat((index * 7) % 200)}`);
      const wiredUp = scene(speech);
      const received = await expireOften(wiredUp, joined(...texts.map((text) => speech.message(text))));
      assert.deepEqual(received, texts);
      assert.equal(wiredUp.connection.state, "OPEN");
    });
  }

  it(`S2-4 over ${CYCLES} cycles, byte for byte, on raw TCP`, async () => {
    const stream = Uint8Array.from({ length: 5_000 }, (_, index) => (index * index) % 251);
    const received = await expireOften(wired({ protocol: "tcp", framing: "raw" }), stream);
    assert.deepEqual(Buffer.concat(received as Uint8Array[]), Buffer.from(stream));
  });
});

describe("S2-5 a blocked read can be interrupted, so that its caller sees to something else", () => {
  for (const speech of SPEECHES) {
    const whole = speech.message("what was waited for");
    for (const [where, partial] of Object.entries({ "at a boundary": 0, "inside a message": 5 })) {
      it(`S2-5 by a signal ${where}, and resumed, on ${speech.name}`, async () => {
        const { connection, wire } = scene(speech);
        const exit = new AbortController();
        const reading = connection.receive({ signal: exit.signal });
        wire.write(whole.subarray(0, partial));
        await settled();
        const reason = new Error("the program is to exit");
        exit.abort(reason);
        await assert.rejects(reading, (error) => error === reason);
        assert.equal(connection.state, "OPEN");
        const resumed = connection.receive();
        wire.write(whole.subarray(partial));
        assert.equal(await resumed, "what was waited for");
      });

      it(`S2-5 by a deadline ${where}, and resumed, on ${speech.name}`, async () => {
        const { connection, wire, clock } = scene(speech);
        let asked = 0;
        // Go's idiom: look every 100 ms whether there is something else to do.
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
        wire.write(whole.subarray(0, partial));
        await clock.advance(450);
        assert.equal(asked, 4);
        wire.write(whole.subarray(partial));
        assert.equal(await loop, "what was waited for");
      });
    }

    it(`S2-5 what arrives for nobody, after the interruption, is kept, on ${speech.name}`, async () => {
      const { connection, wire } = scene(speech);
      const exit = new AbortController();
      const reading = assert.rejects(connection.receive({ signal: exit.signal }), { name: "AbortError" });
      exit.abort();
      await reading;
      wire.write(whole);
      await settled();
      assert.equal(await connection.receive(), "what was waited for");
    });
  }
});
