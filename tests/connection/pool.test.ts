/** Connections that share pooled parts: the behaviour of each is as if it had its own parts. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Connection } from "../../src/connection/contract.ts";
import { settle } from "../../src/connection/options.ts";
import { PartPool } from "../../src/connection/pool.ts";
import { webSocketProtocol } from "../../src/connection/protocol.ts";
import { TransportConnection } from "../../src/connection/transport-connection.ts";
import type { ConnectionOptions, Message } from "../../src/index.ts";
import { ManualClock, settled } from "../../src/testing/index.ts";
import { RawPeer } from "../../src/testing/raw-peer.ts";
import { memoryPair } from "../../src/transport/memory.ts";
import { NO_ENDPOINTS, type Transport, type TransportEvents } from "../../src/transport/transport.ts";
import { received } from "../kit/blocked-connection.ts";
import { KEY, peerFrame } from "../kit/frames.ts";

/** Connections of one server, each with its peer. */
class Server {
  readonly peers: RawPeer[] = [];
  readonly received: string[][] = [];
  readonly #clock = new ManualClock();
  readonly #protocol = webSocketProtocol("server");
  readonly #options;
  readonly #capacity: number;

  constructor(connections: number, capacity: number, answer: (connection: Connection, data: Message) => unknown) {
    const message = (connection: Connection, data: Message): void | Promise<void> => {
      this.received[connection.data as number]?.push(String(data));
      return answer(connection, data) as void | Promise<void>;
    };
    const options: ConnectionOptions = { message, maxInboxMessages: 2 };
    this.#options = settle({ clock: this.#clock, ...options } as ConnectionOptions<never>, "websocket");
    this.#capacity = capacity;
    for (let index = 0; index < connections; index += 1) this.#open(index);
  }

  #open(index: number): void {
    const { client, server } = memoryPair({ clock: this.#clock, capacity: this.#capacity });
    const setup = { transport: server, protocol: this.#protocol, options: this.#options, url: "ws://memory" };
    new TransportConnection({ ...setup, subprotocol: "", extensions: "", data: index }).start();
    this.peers.push(new RawPeer(client));
    this.received.push([]);
  }
}

/** The messages of a peer, in chunks. */
const FORMS = ["whole", "fragments", "long", "later"] as const;
const anyMessages = fc
  .array(fc.constantFrom(...FORMS), { minLength: 1, maxLength: 6 })
  .chain((ways) => fc.tuple(fc.constant(ways), fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 8 })));

function encodeMessages(peer: number, ways: readonly (typeof FORMS)[number][]): { texts: string[]; bytes: Buffer } {
  const texts = ways.map((way, index) => `${way} ${peer}.${index}${way === "long" ? ` ${"x".repeat(300)}` : ""}`);
  const frames = texts.flatMap((text, index) => {
    if (ways[index] !== "fragments") return [peerFrame({ opcode: 1, payload: text, key: KEY })];
    return [
      peerFrame({ opcode: 1, fin: false, payload: text.slice(0, 3), key: KEY }),
      peerFrame({ opcode: 9, payload: "between", key: KEY }),
      peerFrame({ opcode: 0, payload: text.slice(3), key: KEY }),
    ];
  });
  return { texts, bytes: Buffer.concat(frames) };
}

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [0, ...places.map((place) => Math.floor(place * bytes.length)).sort((one, two) => one - two)];
  return at.map((from, index) => bytes.subarray(from, at[index + 1] ?? bytes.length));
}

describe("connections of one server", () => {
  it("receive and answer the messages of their own peers, in any interleaving of chunks", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyMessages, { minLength: 2, maxLength: 4 }),
        fc.constantFrom(64, 65_536),
        async (all, room) => {
          const server = new Server(all.length, room, (connection, data) => {
            const answer = (): void => void connection.send(data);
            return String(data).startsWith("later") ? settled().then(answer) : answer();
          });
          const messagesOfPeers = all.map(([ways, places], peer) => ({ ...encodeMessages(peer, ways), places }));
          const chunks = messagesOfPeers.map(({ bytes, places }) => cut(bytes, places));
          for (let round = 0; chunks.some((left) => left.length > 0); round += 1) {
            for (const [peer, left] of chunks.entries()) {
              const chunk = left.shift();
              if (chunk !== undefined) server.peers[peer]?.write(chunk);
            }
            if (round % 2 === 0) await settled();
          }
          for (const [peer, { texts }] of messagesOfPeers.entries()) {
            const wire = server.peers[peer] as RawPeer;
            await wire.until(() => received(wire).length >= texts.length);
            assert.deepEqual(server.received[peer], texts);
            assert.deepEqual(received(wire), texts);
          }
        },
      ),
    );
  });

  it("do not receive messages that wait for another connection's hook", async () => {
    let release = (): void => undefined;
    const server = new Server(2, 65_536, (connection) =>
      connection.data === 0 ? new Promise<void>((resolve) => (release = resolve)) : undefined,
    );
    const text = (payload: string): Uint8Array => peerFrame({ opcode: 1, payload, key: KEY });
    for (const payload of ["a", "b", "c", "d"]) server.peers[0]?.write(text(payload));
    await settled();
    for (const payload of ["e", "f"]) server.peers[1]?.write(text(payload));
    await settled();
    assert.deepEqual(server.received, [["a"], ["e", "f"]]);
    for (let left = 0; left < 4; left += 1) {
      release();
      await settled();
    }
    assert.deepEqual(server.received, [
      ["a", "b", "c", "d"],
      ["e", "f"],
    ]);
  });

  it("keep the parts that are in use, also if a chunk arrives while another is handled", () => {
    const received: string[] = [];
    const arriving: TransportEvents[] = [];
    const text = (payload: string): Buffer => Buffer.from(peerFrame({ opcode: 1, payload, key: KEY }));
    const half = text("x".repeat(200)).subarray(0, 100);
    const message = (connection: Connection, data: Message): void => {
      received.push(`${connection.data}: ${String(data)}`);
      if (data === "behind") {
        arriving[0]?.data(text("inner again"));
        throw new Error("the hook's own");
      }
      if (data !== "outer") return;
      arriving[0]?.data(text("inner"));
      arriving[1]?.data(Buffer.from(half));
    };
    const onError = (error: unknown): void => void received.push(String(error));
    const options = settle({ clock: new ManualClock(), message, onError } as ConnectionOptions<never>, "websocket");
    const protocol = webSocketProtocol("server");
    for (const data of [0, 1]) {
      const endpoints = NO_ENDPOINTS;
      const open = (events: TransportEvents): void => void arriving.push(events);
      const transport = { endpoints, open, write: () => true } as unknown as Transport;
      const setup = { transport, protocol, options, url: "ws://memory", subprotocol: "", extensions: "", data };
      new TransportConnection(setup).start();
    }
    arriving[0]?.data(Buffer.concat([text("outer"), text("behind")]));
    assert.deepEqual(received, ["0: outer", "0: inner", "0: behind", "0: inner again", "Error: the hook's own"]);
  });
});

describe("a pool", () => {
  it("returns the part that was put last, and holds at most eight", () => {
    const pool = new PartPool<number>();
    const results = Array.from({ length: 9 }, (_, part) => pool.put(part));
    assert.deepEqual(results, [true, true, true, true, true, true, true, true, false]);
    assert.equal(pool.get(), 7);
    assert.equal(pool.put(9), true);
    assert.equal(pool.get(), 9);
  });
});
