/** Connections that lend each other their parts: none of them can tell. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Connection } from "../../src/connection/connection.js";
import { settle } from "../../src/connection/options.js";
import { Shelf } from "../../src/connection/shelf.js";
import { webSocketWire } from "../../src/connection/wire.js";
import type { ConnectionOptions, Data } from "../../src/index.js";
import { ManualClock, settled } from "../../src/testing/index.js";
import { Wire } from "../../src/testing/wire.js";
import { memoryPair } from "../../src/transport/memory.js";
import type { Transport, TransportEvents } from "../../src/transport/transport.js";
import { KEY, peerFrame } from "../engine/peer-frames.js";
import { received } from "./blocked.js";

/** Connections of one server, each with its peer. */
class Server {
  readonly peers: Wire[] = [];
  readonly heard: string[][] = [];
  readonly #clock = new ManualClock();
  readonly #wire = webSocketWire("server");
  readonly #options;
  readonly #capacity: number;

  constructor(connections: number, capacity: number, answer: (connection: Connection, data: Data) => unknown) {
    const message = (connection: Connection, data: Data): void | Promise<void> => {
      this.heard[connection.data as number]?.push(String(data));
      return answer(connection, data) as void | Promise<void>;
    };
    const options: ConnectionOptions = { message, maxInboxMessages: 2 };
    this.#options = settle({ clock: this.#clock, ...options } as ConnectionOptions<never>, "websocket");
    this.#capacity = capacity;
    for (let index = 0; index < connections; index += 1) this.#open(index);
  }

  #open(index: number): void {
    const { client, server } = memoryPair({ clock: this.#clock, capacity: this.#capacity });
    const setup = { transport: server, wire: this.#wire, options: this.#options, url: "ws://memory" };
    new Connection({ ...setup, subprotocol: "", extensions: "", data: index }).start();
    this.peers.push(new Wire(client));
    this.heard.push([]);
  }
}

/** What a peer says, in chunks. */
const WAYS = ["whole", "fragments", "long", "later"] as const;
const speech = fc
  .array(fc.constantFrom(...WAYS), { minLength: 1, maxLength: 6 })
  .chain((ways) => fc.tuple(fc.constant(ways), fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 8 })));

function said(peer: number, ways: readonly (typeof WAYS)[number][]): { texts: string[]; bytes: Buffer } {
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
  it("hear and answer each their own peer, however their chunks take turns", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(speech, { minLength: 2, maxLength: 4 }),
        fc.constantFrom(64, 65_536),
        async (all, room) => {
          const server = new Server(all.length, room, (connection, data) => {
            const answer = (): void => void connection.send(data);
            return String(data).startsWith("later") ? settled().then(answer) : answer();
          });
          const speeches = all.map(([ways, places], peer) => ({ ...said(peer, ways), places }));
          const chunks = speeches.map(({ bytes, places }) => cut(bytes, places));
          for (let round = 0; chunks.some((left) => left.length > 0); round += 1) {
            for (const [peer, left] of chunks.entries()) {
              const chunk = left.shift();
              if (chunk !== undefined) server.peers[peer]?.write(chunk);
            }
            if (round % 2 === 0) await settled();
          }
          for (const [peer, { texts }] of speeches.entries()) {
            const wire = server.peers[peer] as Wire;
            await wire.until(() => received(wire).length >= texts.length);
            assert.deepEqual(server.heard[peer], texts);
            assert.deepEqual(received(wire), texts);
          }
        },
      ),
    );
  });

  it("do not hear what another's hook has yet to be given", async () => {
    let release = (): void => undefined;
    const server = new Server(2, 65_536, (connection) =>
      connection.data === 0 ? new Promise<void>((resolve) => (release = resolve)) : undefined,
    );
    const text = (payload: string): Uint8Array => peerFrame({ opcode: 1, payload, key: KEY });
    for (const payload of ["a", "b", "c", "d"]) server.peers[0]?.write(text(payload));
    await settled();
    for (const payload of ["e", "f"]) server.peers[1]?.write(text(payload));
    await settled();
    assert.deepEqual(server.heard, [["a"], ["e", "f"]]);
    for (let left = 0; left < 4; left += 1) {
      release();
      await settled();
    }
    assert.deepEqual(server.heard, [
      ["a", "b", "c", "d"],
      ["e", "f"],
    ]);
  });

  it("keep the parts that are at work, though a chunk comes while another is handled", () => {
    const heard: string[] = [];
    const arriving: TransportEvents[] = [];
    const text = (payload: string): Buffer => Buffer.from(peerFrame({ opcode: 1, payload, key: KEY }));
    const half = text("x".repeat(200)).subarray(0, 100);
    const message = (connection: Connection, data: Data): void => {
      heard.push(`${connection.data}: ${String(data)}`);
      if (data === "behind") {
        arriving[0]?.data(text("inner again"));
        throw new Error("the hook's own");
      }
      if (data !== "outer") return;
      arriving[0]?.data(text("inner"));
      arriving[1]?.data(Buffer.from(half));
    };
    const onError = (error: unknown): void => void heard.push(String(error));
    const options = settle({ clock: new ManualClock(), message, onError } as ConnectionOptions<never>, "websocket");
    const wire = webSocketWire("server");
    for (const data of [0, 1]) {
      const ends = { localAddress: "", remoteAddress: "", secure: false };
      const open = (events: TransportEvents): void => void arriving.push(events);
      const transport = { ends, open, write: () => true } as unknown as Transport;
      const setup = { transport, wire, options, url: "ws://memory", subprotocol: "", extensions: "", data };
      new Connection(setup).start();
    }
    arriving[0]?.data(Buffer.concat([text("outer"), text("behind")]));
    assert.deepEqual(heard, ["0: outer", "0: inner", "0: behind", "0: inner again", "Error: the hook's own"]);
  });
});

describe("a shelf", () => {
  it("gives back what was left last, and takes eight at most", () => {
    const shelf = new Shelf<number>();
    const taken = Array.from({ length: 9 }, (_, part) => shelf.put(part));
    assert.deepEqual(taken, [true, true, true, true, true, true, true, true, false]);
    assert.equal(shelf.take(), 7);
    assert.equal(shelf.put(9), true);
    assert.equal(shelf.take(), 9);
  });
});
