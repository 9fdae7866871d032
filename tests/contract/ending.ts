/** What every transport promises of its two ends: the half-close, the one end of all, and what came before it was opened. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TransportError } from "../../src/index.js";
import { openSockets } from "../descriptors.js";
import { LARGE, type Line, opened, pattern, turns } from "./line.js";
import type { Nature } from "./transport-contract.js";

const KIB = 1_024;

export function ending(start: () => Promise<Line>, nature: Nature): void {
  describe("end", () => {
    it("is told to the peer once, behind everything that was written", async () => {
      await using line = await opened(start);
      const sent = pattern(5 * KIB * KIB);
      line.write(sent);
      line.local.end();
      line.local.end();
      await line.atPeer.until((witness) => witness.count("ended") > 0);
      assert.ok(line.atPeer.received.equals(sent));
      await turns();
      assert.equal(line.atPeer.count("ended"), 1);
    });

    it("leaves the other direction open", async () => {
      await using line = await opened(start);
      line.local.end();
      await line.atPeer.until((witness) => witness.count("ended") === 1);
      const sent = pattern(2 * KIB * KIB);
      await line.reply(sent);
      await line.atLocal.until(({ size }) => size === sent.length);
      assert.ok(line.atLocal.received.equals(sent));
      assert.deepEqual([line.atLocal.count("closed"), line.atPeer.count("closed")], [0, 0]);
      line.peer.end();
      await Promise.all([line.atLocal.end(), line.atPeer.end()]);
      assert.deepEqual([line.atLocal.error, line.atPeer.error], [undefined, undefined]);
    });

    it("comes behind the data for one who has paused", async () => {
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

    it("does not lose the word that the last write was made", async () => {
      await using line = await opened(start);
      line.peer.end();
      await line.atLocal.until((witness) => witness.count("ended") === 1);
      line.write(pattern(1_000));
      line.local.end();
      await line.atLocal.end();
      assert.deepEqual(line.atLocal.log, ["ended", "written", "closed"]);
    });
  });

  describe("closed", () => {
    const ways: Record<string, (line: Line) => void> = {
      "when both have ended": ({ local, peer }) => {
        local.end();
        peer.end();
      },
      "when both have ended behind large writes": ({ local, peer }) => {
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
      "when one aborts with a write under way": ({ local, peer }) => {
        peer.pause();
        local.write(pattern(LARGE));
        local.abort();
      },
      "when one aborts while the other writes": ({ local, peer }) => {
        local.pause();
        peer.write(pattern(LARGE));
        local.abort();
      },
      "when one aborts behind its end": ({ local }) => {
        local.end();
        local.abort();
      },
      "when one aborts while it is given data": ({ local, peer, atLocal }) => {
        atLocal.onData = () => local.abort();
        peer.write(pattern(500_000));
      },
      "when one aborts while it is told of the end": ({ local, peer, atLocal }) => {
        atLocal.onEnded = () => local.abort();
        peer.end();
      },
      "when one aborts although it has paused": ({ local, peer }) => {
        local.pause();
        peer.write(pattern(1_000));
        local.abort();
      },
    };
    for (const [when, leave] of Object.entries(ways)) {
      it(`is told to each once and last, ${when}`, async () => {
        await using line = await opened(start);
        leave(line);
        // A peer of one who has aborted may have been told of an end only, and then ends too.
        line.atPeer.onEnded = () => line.peer.end();
        line.local.resume();
        line.peer.resume();
        await Promise.all([line.atLocal.end(), line.atPeer.end()]);
        line.local.abort();
        line.peer.abort();
        await turns();
      });
    }

    it("has no error when one aborts for itself", async () => {
      await using line = await opened(start);
      line.local.abort();
      await line.atLocal.end();
      assert.equal(line.atLocal.error, undefined);
      assert.deepEqual(line.atLocal.log, ["closed"]);
    });

    it("has the system's error when the peer aborts, unless that looks like an end", async () => {
      await using line = await opened(start);
      line.local.abort();
      line.atPeer.onEnded = () => line.peer.end();
      await line.atPeer.end();
      if (!nature.resets) return;
      assert.deepEqual(line.atPeer.log, ["closed"]);
      assert.ok(line.atPeer.error instanceof TransportError);
      assert.equal(line.atPeer.error.errno, "ECONNRESET");
    });

    it("has the system's error when the peer aborts right behind its last bytes", async () => {
      await using line = await opened(start);
      line.write(pattern(100));
      line.local.abort();
      line.atPeer.onEnded = () => line.peer.end();
      await line.atPeer.end();
      if (!nature.resets) return;
      assert.equal(line.atPeer.count("ended"), 0);
      assert.equal(line.atPeer.error?.errno, "ECONNRESET");
    });
  });

  it("frees its descriptor at once when it aborts, whatever is under way", async () => {
    await using line = await opened(start);
    line.peer.pause();
    line.write(pattern(LARGE));
    await turns();
    const before = openSockets();
    line.local.abort();
    assert.equal(openSockets(), before - (nature.descriptors && before > 0 ? 1 : 0));
  });

  describe("open", () => {
    it("comes before every event, and none comes while it is being called", async () => {
      await using line = await start();
      line.openPeer();
      line.writeBack(pattern(1_000));
      await line.atPeer.until((witness) => witness.count("written") === 1);
      line.peer.end();
      await turns();
      line.openLocal();
      assert.deepEqual(line.atLocal.log, []);
      await line.atLocal.until((witness) => witness.count("ended") === 1);
      assert.ok(line.atLocal.received.equals(pattern(1_000)));
    });

    it("tells of a peer that has ended before it, without a byte", async () => {
      await using line = await start();
      line.openPeer();
      line.peer.end();
      await turns();
      line.openLocal();
      await line.atLocal.until((witness) => witness.count("ended") === 1);
      line.write(pattern(1_000));
      await line.atPeer.until(({ size }) => size === 1_000);
      line.local.end();
      await Promise.all([line.atLocal.end(), line.atPeer.end()]);
    });

    it("tells of a peer that has aborted before it", async () => {
      await using line = await start();
      line.openPeer();
      line.peer.abort();
      await line.atPeer.end();
      await turns();
      line.atLocal.onEnded = () => line.local.end();
      line.openLocal();
      assert.deepEqual(line.atLocal.log, []);
      await line.atLocal.end();
      if (nature.resets) assert.equal(line.atLocal.error?.errno, "ECONNRESET");
    });

    it("tells that it was itself aborted before it", async () => {
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

  it("throws nothing, whatever is called when the peer has aborted", async () => {
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
