/** The contract of every transport about data, writes and pauses. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { READ_SHARE } from "../../src/transport/end-of-turn.ts";
import { turns } from "../kit/loop-turns.ts";
import { LARGE, opened, pattern, type TransportPair } from "../kit/transport-pair.ts";

const KIB = 1_024;

export function dataContract(start: () => Promise<TransportPair>): void {
  describe("data", () => {
    it("arrives in order and unchanged, in both directions at once", async () => {
      await using line = await opened(start);
      const sent = pattern(3 * KIB * KIB + 1);
      await Promise.all([line.send(sent), line.reply(sent)]);
      await line.atPeer.until(({ size }) => size === sent.length);
      await line.atLocal.until(({ size }) => size === sent.length);
      assert.ok(line.atPeer.received.equals(sent));
      assert.ok(line.atLocal.received.equals(sent));
    });

    it("arrives in order and unchanged, as one large write", async () => {
      await using line = await opened(start);
      const sent = pattern(LARGE);
      line.write(sent);
      await line.atPeer.until(({ size }) => size === LARGE);
      assert.ok(line.atPeer.received.equals(sent));
    });

    it("arrives in limited shares per turn, so that other connections are served between them", async () => {
      await using line = await opened(start);
      const sent = pattern(8 * KIB * KIB);
      let given = 0;
      let most = 0;
      line.atPeer.onData = ({ length }) => {
        given += length;
        most = Math.max(most, given);
      };
      // The kernels buffer this much before the first byte is read.
      line.peer.pause();
      const sending = line.send(sent);
      await turns();
      line.peer.resume();
      while (line.atPeer.size < sent.length) {
        await new Promise(setImmediate);
        given = 0;
      }
      await sending;
      // A stream reads ahead. Those bytes arrive with the share of the next turn.
      assert.ok(most <= 4 * READ_SHARE, `${most} bytes came in one turn`);
    });

    it("belongs to the receiver, which may change it in place", async () => {
      await using line = await opened(start);
      const sent = pattern(100_000);
      line.atPeer.onData = (chunk) => chunk.fill(0);
      await line.send(sent);
      await line.atPeer.until(({ size }) => size === sent.length);
      assert.deepEqual(sent, pattern(100_000));
    });
  });

  describe("written", () => {
    it("is reported once for each write, by the result of write or by a later event", async () => {
      await using line = await opened(start);
      for (let write = 1; write <= 20; write += 1) {
        const done = line.local.write(pattern(100));
        assert.equal(line.atLocal.count("written"), write - 1);
        if (done) line.atLocal.written();
        await line.atLocal.until((recorder) => recorder.count("written") === write);
      }
      await turns();
      assert.equal(line.atLocal.count("written"), 20);
    });

    it("is reported when the kernel has the bytes: then they may change, although the peer has not read them", async () => {
      await using line = await opened(start);
      line.peer.pause();
      const sent = pattern(1_000);
      line.write(sent);
      await line.atLocal.until((recorder) => recorder.count("written") === 1);
      sent.fill(0);
      line.peer.resume();
      await line.atPeer.until(({ size }) => size === 1_000);
      assert.ok(line.atPeer.received.equals(pattern(1_000)));
    });

    it("is not reported earlier, for a peer that does not read", async () => {
      await using line = await opened(start);
      line.peer.pause();
      line.write(pattern(LARGE));
      await turns();
      assert.equal(line.atLocal.count("written"), 0);
      line.peer.resume();
      await line.atLocal.until((recorder) => recorder.count("written") === 1);
    });
  });

  it("queuedBytes counts the bytes that the kernel has not accepted", async () => {
    await using line = await opened(start);
    assert.equal(line.local.queuedBytes, 0);
    line.peer.pause();
    line.write(pattern(LARGE));
    await turns();
    assert.ok(line.local.queuedBytes > 0 && line.local.queuedBytes <= LARGE);
    line.peer.resume();
    await line.atLocal.until((recorder) => recorder.count("written") === 1);
    assert.equal(line.local.queuedBytes, 0);
  });

  it("whenAcknowledged answers once, when the peer's kernel has acknowledged all but so many bytes, if it can answer", async () => {
    await using line = await opened(start);
    line.peer.pause();
    line.write(pattern(LARGE));
    await turns();
    let resumed = false;
    const answers: [number, boolean][] = [];
    let changed: () => void = () => undefined;
    const asked = line.local.whenAcknowledged?.(1_000, (bytes) => {
      answers.push([bytes, resumed]);
      changed();
    });
    assert.deepEqual(answers, [], "not before the call returns");
    await turns();
    resumed = true;
    line.peer.resume();
    await line.atPeer.until(({ size }) => size === LARGE);
    if (asked !== true) return;
    if (answers.length === 0) await new Promise<void>((resolve) => (changed = resolve));
    await turns();
    assert.equal(answers.length, 1);
    const [[bytes, late] = [Infinity, false]] = answers;
    assert.ok(bytes <= 1_000 && late, `${bytes} ${late}`);
    // A closed transport answers no more.
    line.local.whenAcknowledged?.(1_000, () => assert.fail("an answer of a closed transport"));
    line.local.abort();
    await line.atLocal.end();
  });

  describe("pause", () => {
    it("stops data at once, also from inside the data event, and nothing is lost after resume", async () => {
      await using line = await opened(start);
      const sent = pattern(500_000);
      let paused = false;
      line.atPeer.onData = () => {
        assert.equal(paused, false, "data came while paused");
        paused = true;
        line.peer.pause();
        setImmediate(() => {
          paused = false;
          line.peer.resume();
        });
      };
      await line.send(sent);
      await line.atPeer.until(({ size }) => size === sent.length);
      assert.ok(line.atPeer.received.equals(sent));
    });

    it("lasts until resume", async () => {
      await using line = await opened(start);
      line.peer.pause();
      line.write(pattern(1_000));
      await turns();
      assert.equal(line.atPeer.size, 0);
      line.peer.resume();
      await line.atPeer.until(({ size }) => size === 1_000);
    });

    it("may be called before open, and undone before data arrives", async () => {
      await using line = await start();
      line.peer.pause();
      line.openLocal();
      line.openPeer();
      line.write(pattern(1_000));
      await turns();
      assert.equal(line.atPeer.size, 0);
      line.peer.resume();
      line.peer.pause();
      line.peer.resume();
      line.peer.resume();
      await line.atPeer.until(({ size }) => size === 1_000);
    });
  });
}
