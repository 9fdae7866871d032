/** The contract of every transport about its end: the half-close, the `closed` event, and events before `open`. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TransportError } from "../../src/index.ts";
import { openSockets } from "../kit/kernel-sockets.ts";
import { turns } from "../kit/loop-turns.ts";
import { LARGE, opened, pattern, type TransportPair } from "../kit/transport-pair.ts";
import type { Traits } from "./transport-contract.ts";

const KIB = 1_024;

export function endContract(start: () => Promise<TransportPair>, traits: Traits): void {
  describe("end", () => {
    it("reaches the peer once, after all written bytes", async () => {
      await using line = await opened(start);
      const sent = pattern(5 * KIB * KIB);
      line.write(sent);
      line.local.end();
      line.local.end();
      await line.atPeer.until((recorder) => recorder.count("ended") > 0);
      assert.ok(line.atPeer.received.equals(sent));
      await turns();
      assert.equal(line.atPeer.count("ended"), 1);
    });

    it("leaves the other direction open", async () => {
      await using line = await opened(start);
      line.local.end();
      await line.atPeer.until((recorder) => recorder.count("ended") === 1);
      const sent = pattern(2 * KIB * KIB);
      await line.reply(sent);
      await line.atLocal.until(({ size }) => size === sent.length);
      assert.ok(line.atLocal.received.equals(sent));
      assert.deepEqual([line.atLocal.count("closed"), line.atPeer.count("closed")], [0, 0]);
      line.peer.end();
      await Promise.all([line.atLocal.end(), line.atPeer.end()]);
      assert.deepEqual([line.atLocal.error, line.atPeer.error], [undefined, undefined]);
    });

    it("arrives after the data at a peer that has paused", async () => {
      await using line = await opened(start);
      const sent = pattern(300_000);
      line.atPeer.onData = () => line.peer.pause();
      line.write(sent);
      line.local.end();
      while (line.atPeer.count("ended") === 0) {
        await turns(3);
        assert.equal(line.atPeer.count("ended") === 0 || line.atPeer.size === sent.length, true);
        line.peer.resume();
      }
      assert.ok(line.atPeer.received.equals(sent));
    });

    it("may be called inside the event of the last write", async () => {
      await using line = await opened(start);
      const sent = pattern(LARGE);
      line.peer.pause();
      line.atLocal.onWritten = () => line.local.end();
      line.write(sent);
      await turns();
      line.peer.resume();
      await line.atPeer.until((recorder) => recorder.count("ended") > 0);
      assert.ok(line.atPeer.received.equals(sent));
      line.peer.end();
      await Promise.all([line.atLocal.end(), line.atPeer.end()]);
      assert.deepEqual([line.atLocal.error, line.atPeer.error], [undefined, undefined]);
    });

    it("does not suppress the event of the last write", async () => {
      await using line = await opened(start);
      line.peer.end();
      await line.atLocal.until((recorder) => recorder.count("ended") === 1);
      line.write(pattern(1_000));
      line.local.end();
      await line.atLocal.end();
      assert.deepEqual(line.atLocal.log, ["ended", "written", "closed"]);
    });
  });

  describe("closed", () => {
    const ways: Record<string, (line: TransportPair) => void> = {
      "when both have ended": ({ local, peer }) => {
        local.end();
        peer.end();
      },
      "when both have ended after large writes": ({ local, peer }) => {
        local.write(pattern(5 * KIB * KIB));
        peer.write(pattern(5 * KIB * KIB));
        local.end();
        peer.end();
      },
      "when one aborts": ({ local }) => local.abort(),
      "when both abort": ({ local, peer }) => {
        local.abort();
        peer.abort();
      },
      "when one aborts twice": ({ local }) => {
        local.abort();
        local.abort();
      },
      "when one aborts during a write": ({ local, peer }) => {
        peer.pause();
        local.write(pattern(LARGE));
        local.abort();
      },
      "when one aborts while the other writes": ({ local, peer }) => {
        local.pause();
        peer.write(pattern(LARGE));
        local.abort();
      },
      "when one aborts after its end": ({ local }) => {
        local.end();
        local.abort();
      },
      "when one aborts in the data event": ({ local, peer, atLocal }) => {
        atLocal.onData = () => local.abort();
        peer.write(pattern(500_000));
      },
      "when one aborts in the fin event": ({ local, peer, atLocal }) => {
        atLocal.onEnded = () => local.abort();
        peer.end();
      },
      "when one aborts while paused": ({ local, peer }) => {
        local.pause();
        peer.write(pattern(1_000));
        local.abort();
      },
    };
    for (const [when, leave] of Object.entries(ways)) {
      it(`is reported to each side once and last, ${when}`, async () => {
        await using line = await opened(start);
        leave(line);
        // The peer of a side that aborted may have received only a FIN. Then it ends too.
        line.atPeer.onEnded = () => line.peer.end();
        line.local.resume();
        line.peer.resume();
        await Promise.all([line.atLocal.end(), line.atPeer.end()]);
        line.local.abort();
        line.peer.abort();
        await turns();
      });
    }

    it("has no error on the side that aborts", async () => {
      await using line = await opened(start);
      line.local.abort();
      await line.atLocal.end();
      assert.equal(line.atLocal.error, undefined);
      assert.deepEqual(line.atLocal.log, ["closed"]);
    });

    it("has the error of the system when the peer aborts, unless an abort looks like an end", async () => {
      await using line = await opened(start);
      line.local.abort();
      line.atPeer.onEnded = () => line.peer.end();
      await line.atPeer.end();
      if (!traits.resets) return;
      assert.deepEqual(line.atPeer.log, ["closed"]);
      assert.ok(line.atPeer.error instanceof TransportError);
      assert.equal(line.atPeer.error.errno, "ECONNRESET");
    });

    it("has the error of the system when the peer aborts directly after its last bytes", async () => {
      await using line = await opened(start);
      line.write(pattern(100));
      line.local.abort();
      line.atPeer.onEnded = () => line.peer.end();
      await line.atPeer.end();
      if (!traits.resets) return;
      assert.equal(line.atPeer.count("ended"), 0);
      assert.equal(line.atPeer.error?.errno, "ECONNRESET");
    });
  });

  it("an abort frees the descriptor at once, also with a pending write", async () => {
    await using line = await opened(start);
    line.peer.pause();
    line.write(pattern(LARGE));
    await turns();
    const before = openSockets();
    line.local.abort();
    assert.equal(openSockets(), before - (traits.descriptors && before > 0 ? 1 : 0));
  });

  describe("open", () => {
    it("precedes every event, and no event occurs during the call", async () => {
      await using line = await start();
      line.openPeer();
      line.writeBack(pattern(1_000));
      await line.atPeer.until((recorder) => recorder.count("written") === 1);
      line.peer.end();
      await turns();
      line.openLocal();
      assert.deepEqual(line.atLocal.log, []);
      await line.atLocal.until((recorder) => recorder.count("ended") === 1);
      assert.ok(line.atLocal.received.equals(pattern(1_000)));
    });

    it("reports a peer that ended before it without a byte", async () => {
      await using line = await start();
      line.openPeer();
      line.peer.end();
      await turns();
      line.openLocal();
      await line.atLocal.until((recorder) => recorder.count("ended") === 1);
      line.write(pattern(1_000));
      await line.atPeer.until(({ size }) => size === 1_000);
      line.local.end();
      await Promise.all([line.atLocal.end(), line.atPeer.end()]);
    });

    it("reports a peer that aborted before it", async () => {
      await using line = await start();
      line.openPeer();
      line.peer.abort();
      await line.atPeer.end();
      await turns();
      line.atLocal.onEnded = () => line.local.end();
      line.openLocal();
      assert.deepEqual(line.atLocal.log, []);
      await line.atLocal.end();
      if (traits.resets) assert.equal(line.atLocal.error?.errno, "ECONNRESET");
    });

    it("reports that its own side was aborted before it", async () => {
      await using line = await start();
      line.openPeer();
      line.atPeer.onEnded = () => line.peer.end();
      line.local.abort();
      await turns();
      line.openLocal();
      await Promise.all([line.atLocal.end(), line.atPeer.end()]);
      assert.deepEqual(line.atLocal.log, ["closed"]);
    });
  });

  it("no method throws after the peer has aborted", async () => {
    await using line = await opened(start);
    line.atPeer.onEnded = () => line.peer.end();
    line.local.abort();
    line.writeBack(pattern(100_000));
    await line.atPeer.end();
    line.writeBack(pattern(1_000));
    line.peer.end();
    line.peer.pause();
    line.peer.resume();
    line.peer.abort();
    await turns();
  });
}
