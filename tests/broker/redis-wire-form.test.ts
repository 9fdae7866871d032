/** Tests of the pure parts of the broker on Redis: the form of live messages, the partitions, and the options. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { RedisClientOptions, RedisClusterOptions, RedisSentinelOptions } from "redis";
import { redisBroker } from "../../src/broker/redis/index.ts";
import { Partitions, slotOf } from "../../src/broker/redis/partitions.ts";
import { decodeLive, encodeUnkept, historyOf, liveHeader } from "../../src/broker/redis/wire-form.ts";

const HISTORY = historyOf("0123456789abcdef0123456789abcdef01234567");
const kept = (epoch: string, offset: number, message: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from(`${liveHeader(HISTORY)}${offset}:${epoch}:`, "latin1"), message]);

describe("a live message on Redis", () => {
  it("is decoded to what was published, at any place in a buffer", () => {
    const epoch = fc.stringMatching(/^[\w-]{1,64}$/);
    const offset = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
    fc.assert(
      fc.property(epoch, offset, fc.uint8Array(), fc.nat(10), (name, number, message, before) => {
        const bytes = Buffer.concat([new Uint8Array(before), kept(name, number, message), new Uint8Array(3)]);
        const found = decodeLive(bytes.subarray(before, bytes.length - 3));
        assert.deepEqual(found, { history: HISTORY, offset: number, epoch: name, message });
      }),
    );
  });

  it("keeps no other memory than its own bytes", () => {
    const live = decodeLive(kept("e", 1, Buffer.from("text")));
    assert.ok("message" in live && live.message.buffer.byteLength === 4);
  });

  it("has no place in the log if it is not kept", () => {
    const live = decodeLive(encodeUnkept(HISTORY, Buffer.from(":1:")));
    assert.deepEqual(live, { history: HISTORY, offset: 0, epoch: "", message: Uint8Array.from(Buffer.from(":1:")) });
  });

  it("that is truncated or foreign is not decoded, and names its offset if it has one", () => {
    const whole = kept("epoch", 17, Buffer.alloc(0));
    for (let length = 0; length < whole.length; length += 1) {
      assert.ok("problem" in decodeLive(whole.subarray(0, length)), `${length} bytes`);
    }
    const header = liveHeader(HISTORY);
    for (const [text, offset] of [
      ["text", undefined],
      [`${header}x:e:`, undefined],
      [`${header}:e:`, undefined],
      [`${header}-1:e:`, undefined],
      [`${header}99999999999999999:e:`, undefined],
      [`${header}9007199254740993:e:`, undefined],
      [`${header}5:`, 5],
      [`${header}5::`, 5],
      [`${header}0:e:`, 0],
      [`${header}5:a b:`, 5],
      [`${header}5:${"e".repeat(65)}:`, 5],
    ] as const) {
      const found = decodeLive(Buffer.from(text, "latin1"));
      assert.ok("problem" in found, text);
      assert.equal(found.offset, offset, text);
    }
  });

  it("of a later version is refused by its number", () => {
    const later = kept("e", 1, Buffer.from("x"));
    later[0] = 2;
    assert.match((decodeLive(later) as { problem: string }).problem, /version is 2, and this one reads 1/);
  });

  it("of any bytes is decoded or refused, never an error", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => void decodeLive(Buffer.from(bytes))));
  });
});

describe("the partitions of a cluster", () => {
  it("have the slots that Redis computes", () => {
    // The specification of Redis Cluster, and `CLUSTER KEYSLOT`.
    assert.equal(slotOf("123456789"), 0x31c3);
    assert.equal(slotOf("foo"), 12_182);
  });

  for (const count of [2, 128, 4_096]) {
    it(`are evenly spread over the slots: ${count}`, () => {
      const partitions = new Partitions(count);
      const parts = Array.from({ length: count }, (_, index) => Math.floor((partitions.slot(index) * count) / 16_384));
      assert.deepEqual(
        parts,
        parts.map((_, index) => index),
      );
    });
  }

  it("have one hash tag each, also for a topic with braces", () => {
    const partitions = new Partitions(128);
    const key = `${partitions.prefix("holdfast", 5)}m:{x}`;
    assert.equal(slotOf(/\{(.*?)\}/.exec(key)?.[1] ?? ""), partitions.slot(5));
  });

  it("share the topics among them", () => {
    const partitions = new Partitions(128);
    const used = new Set(Array.from({ length: 2_000 }, (_, index) => partitions.of(`topic ${index}`)));
    assert.equal(used.size, 128);
  });
});

describe("redisBroker", () => {
  it("throws for a target or an option that is none", () => {
    const wrong = (target: unknown, options?: object): (() => void) => {
      return () => void redisBroker(target as string, options);
    };
    for (const target of [undefined, null, 5, [], "http://127.0.0.1", "127.0.0.1", "", { rootNodes: [] }]) {
      assert.throws(wrong(target), TypeError, String(target));
    }
    assert.throws(wrong("http://user:secret@host"), (error: Error) => !error.message.includes("secret"));
    assert.throws(wrong({ sentinelRootNodes: [{ host: "h", port: 1 }] }), TypeError);
    assert.throws(wrong({ connect() {} }), /pass the options/);
    const url = "redis://127.0.0.1:1";
    assert.throws(wrong(url, { prefx: "x" }), /no such option/);
    for (const prefix of ["", "a{b", "x".repeat(65)]) assert.throws(wrong(url, { prefix }), RangeError);
    for (const options of [{ partitions: 1 }, { topicExpiry: 5 }, { maxPending: 0 }, { maxPendingBytes: -1 }]) {
      assert.throws(wrong(url, options), RangeError);
    }
    assert.throws(wrong(url, { prefix: 5 }), TypeError);
  });

  it("takes the types of options that the package redis has, and undefined as absent", async () => {
    const client: RedisClientOptions = { socket: { host: "127.0.0.1", port: 1 } };
    const cluster: RedisClusterOptions = { rootNodes: [client] };
    const sentinel: RedisSentinelOptions = { name: "m", sentinelRootNodes: [{ host: "127.0.0.1", port: 1 }] };
    const brokers = [redisBroker(client, { prefix: undefined }), redisBroker(cluster), redisBroker(sentinel)];
    for (const broker of brokers) {
      const options = { history: undefined, id: undefined, fence: undefined, timeout: 200, signal: undefined };
      // There is no server: nothing was sent, and the cause is named.
      await assert.rejects(broker.publish("room", new Uint8Array(1), options), (error: Error) => {
        assert.equal((error as { code?: string }).code, "CLOSED");
        assert.match(String(error.cause), /ECONNREFUSED/);
        return true;
      });
      await broker.close();
    }
  });
});
