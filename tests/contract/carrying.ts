/** What every transport promises of the bytes that it carries. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SHARE } from "../../src/transport/turn.js";
import { LARGE, type Line, opened, pattern, turns } from "./line.js";

const KIB = 1_024;

export function carrying(start: () => Promise<Line>): void {
  describe("data", () => {
    it("comes in order and unchanged, both ways at once", async () => {
      await using line = await opened(start);
      const sent = pattern(3 * KIB * KIB + 1);
      await Promise.all([line.send(sent), line.reply(sent)]);
      await line.atPeer.until(({ size }) => size === sent.length);
      await line.atLocal.until(({ size }) => size === sent.length);
      assert.ok(line.atPeer.received.equals(sent));
      assert.ok(line.atLocal.received.equals(sent));
    });

    it("comes in order and unchanged, as one large write", async () => {
      await using line = await opened(start);
      const sent = pattern(LARGE);
      line.write(sent);
      await line.atPeer.until(({ size }) => size === LARGE);
      assert.ok(line.atPeer.received.equals(sent));
    });

    it("comes in shares, so that others have their turn between them", async () => {
      await using line = await opened(start);
      const sent = pattern(8 * KIB * KIB);
      let given = 0;
      let most = 0;
      line.atPeer.onData = ({ length }) => {
        given += length;
        most = Math.max(most, given);
      };
      // So much is with the kernels before the first byte is read.
      line.peer.pause();
      const sending = line.send(sent);
      await turns();
      line.peer.resume();
      while (line.atPeer.size < sent.length) {
        await new Promise(setImmediate);
        given = 0;
      }
      await sending;
      // A stream reads ahead, and what it has read comes with the share of the next turn.
      assert.ok(most <= 4 * SHARE, `${most} bytes came in one turn`);
    });

    it("belongs to whoever gets it, and may be changed in place", async () => {
      await using line = await opened(start);
      const sent = pattern(100_000);
      line.atPeer.onData = (chunk) => chunk.fill(0);
      await line.send(sent);
      await line.atPeer.until(({ size }) => size === sent.length);
      assert.deepEqual(sent, pattern(100_000));
    });
  });

  describe("written", () => {
    it("is told once for each write, by its answer or by an event behind it", async () => {
      await using line = await opened(start);
      for (let write = 1; write <= 20; write += 1) {
        const done = line.local.write(pattern(100));
        assert.equal(line.atLocal.count("written"), write - 1);
        if (done) line.atLocal.written();
        await line.atLocal.until((witness) => witness.count("written") === write);
      }
      await turns();
      assert.equal(line.atLocal.count("written"), 20);
    });

    it("is told when the kernel has the bytes: then they may change, although the peer has not read", async () => {
      await using line = await opened(start);
      line.peer.pause();
      const sent = pattern(1_000);
      line.write(sent);
      await line.atLocal.until((witness) => witness.count("written") === 1);
      sent.fill(0);
      line.peer.resume();
      await line.atPeer.until(({ size }) => size === 1_000);
      assert.ok(line.atPeer.received.equals(pattern(1_000)));
    });

    it("is not told before, for a peer that does not read", async () => {
      await using line = await opened(start);
      line.peer.pause();
      line.write(pattern(LARGE));
      await turns();
      assert.equal(line.atLocal.count("written"), 0);
      line.peer.resume();
      await line.atLocal.until((witness) => witness.count("written") === 1);
    });
  });

  it("counts what the kernel does not have yet", async () => {
    await using line = await opened(start);
    assert.equal(line.local.queuedBytes, 0);
    line.peer.pause();
    line.write(pattern(LARGE));
    await turns();
    assert.ok(line.local.queuedBytes > 0 && line.local.queuedBytes <= LARGE);
    line.peer.resume();
    await line.atLocal.until((witness) => witness.count("written") === 1);
    assert.equal(line.local.queuedBytes, 0);
  });

  describe("pause", () => {
    it("stops data at once, also from within data, and nothing is lost behind resume", async () => {
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

    it("holds for as long as it is not taken back", async () => {
      await using line = await opened(start);
      line.peer.pause();
      line.write(pattern(1_000));
      await turns();
      assert.equal(line.atPeer.size, 0);
      line.peer.resume();
      await line.atPeer.until(({ size }) => size === 1_000);
    });

    it("may come before open, and be taken back before anything came", async () => {
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
