/** S1: any number of producers on one connection: nothing is lost, frames are not interleaved, and each producer's order is kept. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Connection, DEFAULTS, type Message } from "../../src/index.ts";
import { ConnectedPair, KINDS } from "../kit/connected-pair.ts";

const PRODUCERS = 100;
const MESSAGES = 1_000;
const LARGEST = 2 ** 20;

// Printable, so that it can be sent as text and with a delimiter; and different at each position.
const INK = Buffer.from(
  Array.from({ length: LARGEST + MESSAGES }, (_, index) => 33 + ((index * 7 + (index >> 6)) % 90)),
);

/** The size of a message: 1 byte to 1 MiB, about 100 MB for all. */
function sizeOf(producer: number, index: number): number {
  if (index === 500 && producer % 4 === 0) return LARGEST;
  const draw = (producer * 7_919 + index * 104_729) % 1_000;
  if (draw === 0) return 65_500 + producer;
  if (draw < 20) return 10_000 + draw * 100;
  return draw < 200 ? 1 + (draw % 3) : draw;
}

// All of them ASCII, and none the delimiter.
const nameOf = (producer: number): number => producer + 11;

/** The first byte of a message names its producer, and the others identify it. */
function messageOf(producer: number, index: number): Buffer {
  const message = Buffer.allocUnsafe(sizeOf(producer, index));
  message.set(INK.subarray(index, index + message.length));
  message[0] = nameOf(producer);
  return message;
}

/** Sends all messages of one producer: as bytes, as text, and in parts. */
async function produce(connection: Connection, producer: number): Promise<void> {
  for (let index = 0; index < MESSAGES; index += 1) {
    const message = messageOf(producer, index);
    if (index % 50 === 7) {
      const third = Math.ceil(message.length / 3);
      const writer = connection.writer();
      const first = writer.write(message.subarray(0, third));
      await writer.write(message.subarray(third, 2 * third));
      await Promise.all([first, writer.end(message.subarray(2 * third))]);
    } else await connection.send(index % 5 === 0 ? message.toString("latin1") : message);
  }
}

/** Compares each message with the next one of its producer. */
class Audit {
  readonly #next = new Uint16Array(PRODUCERS);
  readonly damaged: string[] = [];
  count = 0;
  bytes = 0;
  #finish!: () => void;
  readonly done: Promise<void> = new Promise((resolve) => {
    this.#finish = resolve;
  });

  readonly take = (_connection: Connection, data: Message): void => {
    const message = typeof data === "string" ? Buffer.from(data, "latin1") : data;
    const producer = (message[0] ?? 0) - nameOf(0);
    const index = this.#next[producer] ?? 0;
    const size = sizeOf(producer, index);
    const rest = INK.subarray(index + 1, index + size);
    if (message.length !== size || Buffer.compare(message.subarray(1), rest) !== 0) {
      this.damaged.push(`message ${index} of producer ${producer}: ${message.length} bytes for ${size}`);
    }
    this.#next[producer] = index + 1;
    this.count += 1;
    this.bytes += message.length;
    if (this.count === PRODUCERS * MESSAGES || this.damaged.length > 10) this.#finish();
  };
}

describe("S1-1 a connection takes concurrent sends of any number of producers", () => {
  for (const kind of KINDS) {
    it(`S1-1 100 of 1,000 messages each, of 1 byte to 1 MiB, whole and in parts, on real ${kind.name} sockets`, async () => {
      const audit = new Audit();
      await using ends = await ConnectedPair.open(kind, { server: { message: audit.take } });
      const { client, server } = ends;
      const producers = Array.from({ length: PRODUCERS }, (_, producer) => produce(client, producer));
      let sent = false;
      const all = Promise.all(producers).finally(() => {
        sent = true;
      });
      let pings = 0;
      let most = 0;
      while (!sent) {
        most = Math.max(most, client.queuedBytes);
        // Answered while everything else is being sent.
        if (kind.protocol === "websocket") await client.ping();
        else await new Promise(setImmediate);
        pings += 1;
      }
      await all;
      await audit.done;
      assert.deepEqual(audit.damaged, []);
      assert.equal(audit.count, PRODUCERS * MESSAGES);
      assert.ok(audit.bytes > 90_000_000 && audit.bytes < 200_000_000, `${audit.bytes} bytes`);
      // A message of exactly the bound is accepted by an empty queue, although its overhead counts, too.
      assert.ok(most <= DEFAULTS.connection.maxQueuedBytes + 512, `${most} bytes were queued`);
      assert.ok(pings > 10);
      assert.deepEqual([client.state, server.state, client.queuedMessages], ["OPEN", "OPEN", 0]);
    });
  }
});
