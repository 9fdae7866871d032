/** An exception while messages are encoded or written ends the connection that it belongs to, and nothing else. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ConnectionOptions, settle } from "../../../src/connection/options.ts";
import { type ProtocolFactory, webSocketProtocol } from "../../../src/connection/protocol.ts";
import { TransportConnection } from "../../../src/connection/transport-connection.ts";
import { Group } from "../../../src/index.ts";
import { settled } from "../../../src/testing/index.ts";
import {
  type Endpoints,
  NO_ENDPOINTS,
  type Transport,
  type TransportEvents,
} from "../../../src/transport/transport.ts";
import { framesIn, KEY, peerFrame } from "../../kit/frames.ts";

const FAILURE = new RangeError("broken");

/** A fake kernel that accepts everything, or throws. */
class Kernel implements Transport {
  readonly endpoints: Endpoints = NO_ENDPOINTS;
  readonly queuedBytes = 0;
  readonly writes: Buffer[] = [];
  events: TransportEvents | undefined;
  broken = false;

  open(events: TransportEvents): void {
    this.events = events;
  }

  write(bytes: Uint8Array): boolean {
    if (this.broken) throw FAILURE;
    this.writes.push(Buffer.from(bytes));
    return true;
  }

  abort(): void {
    setImmediate(() => this.events?.closed(undefined));
  }

  pause(): void {}
  release(): void {}
  ref(): void {}
  resume(): void {}
  end(): void {}
}

interface Scene {
  readonly connection: TransportConnection;
  readonly kernel: Kernel;
  readonly errors: unknown[];
  /** If true, its writes throw. */
  breakDown(): void;
}

/** The code that throws: the transport, or the encoder. */
type Place = "transport" | "encoder";

function opened(place: Place, options: ConnectionOptions<never> = {}): Scene {
  const kernel = new Kernel();
  const errors: unknown[] = [];
  let encodes = true;
  const wire: ProtocolFactory = (limits) => {
    const whole = webSocketProtocol("client")(limits);
    const { encoder } = whole;
    const before = encoder.before.bind(encoder);
    encoder.before = (...frame) => {
      if (!encodes) throw FAILURE;
      return before(...frame);
    };
    return whole;
  };
  const connection = new TransportConnection({
    transport: kernel,
    protocol: place === "encoder" ? wire : webSocketProtocol("server"),
    options: settle({ onError: (error: unknown) => errors.push(error), ...options }, "websocket"),
    url: "ws://memory",
    subprotocol: "",
    extensions: "",
    data: undefined,
  });
  connection.start();
  const breakDown = (): void => {
    if (place === "encoder") encodes = false;
    else kernel.broken = true;
  };
  return { connection, kernel, errors, breakDown };
}

/** Sends a message that is written at the end of the turn, for each method that sends. */
const WAYS: Readonly<Record<string, (scenes: readonly Scene[]) => void>> = {
  send: (scenes) => {
    for (const { connection } of scenes) void connection.send("x");
  },
  trySend: (scenes) => {
    for (const { connection } of scenes) connection.trySend("x", { overflow: "reject" });
  },
  "Group.send": (scenes) => {
    const group = new Group();
    for (const { connection } of scenes) group.join(connection);
    group.send("x");
  },
  "writer.end": (scenes) => {
    for (const { connection } of scenes) void connection.writer("text").end("x");
  },
};

describe("S5-6: an exception in the flush at the end of a turn", () => {
  for (const place of ["transport", "encoder"] as const) {
    for (const [name, use] of Object.entries(WAYS)) {
      it(`S5-6: ends only its connection, from the ${place}, by ${name}`, async () => {
        const scenes = [opened(place), opened(place), opened(place)];
        const [first, second, third] = scenes as [Scene, Scene, Scene];
        second.breakDown();
        use(scenes);
        const info = await second.connection.closed;
        assert.equal(info.code, 1006);
        assert.equal((info.cause as Error).cause, FAILURE);
        assert.deepEqual(second.errors, [FAILURE]);
        assert.equal(second.kernel.writes.length, 0);
        for (const { connection, kernel, errors } of [first, third]) {
          assert.deepEqual([connection.state, errors], ["OPEN", []]);
          assert.equal(framesIn(Buffer.concat(kernel.writes)).length, 1);
          // The shared write buffer is usable.
          await connection.send("y");
          assert.equal(framesIn(Buffer.concat(kernel.writes)).length, 2);
          connection.terminate();
        }
      });
    }

    it(`S5-6: rejects waiting calls with the reason of the connection, from the ${place}`, async () => {
      const { connection, breakDown } = opened(place);
      breakDown();
      const sent = await Promise.allSettled([connection.send("x"), connection.send("y"), connection.drain()]);
      const { cause } = await connection.closed;
      assert.deepEqual(
        sent.map((outcome) => outcome.status === "rejected" && outcome.reason === cause),
        [true, true, true],
      );
    });
  }

  it("S5-6: from the answer of a hook ends its connection, and does not reach the transport", async () => {
    const { connection, kernel, errors, breakDown } = opened("transport", {
      message: (connection, data) => void connection.trySend(data),
    });
    breakDown();
    kernel.events?.data(peerFrame({ opcode: 1, payload: "x", key: KEY }));
    const { cause } = await connection.closed;
    assert.equal((cause as Error).cause, FAILURE);
    assert.deepEqual(errors, [FAILURE]);
    await settled();
  });
});
