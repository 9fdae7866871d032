/** What every transport promises. Adding a transport adds one line, no test. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { carrying } from "./carrying.js";
import { ending } from "./ending.js";
import { Line, type OpenPair } from "./line.js";

/** What differs, because the network below does. */
export interface Nature {
  /** Whether a peer that aborts is told from one that ends: TLS and unix sockets have no reset of their own. */
  readonly resets: boolean;
  /** Whether each end holds a descriptor. */
  readonly descriptors: boolean;
  readonly secure: boolean;
}

export function transportContract(name: string, open: OpenPair, nature: Nature): void {
  const start = (): Promise<Line> => Line.of(open);

  describe(`${name} as a transport`, { timeout: 120_000 }, () => {
    // Nothing in memory keeps the process alive, and a broken promise is to fail where it was made.
    let alive: NodeJS.Timeout;
    before(() => {
      alive = setInterval(() => undefined, 60_000);
    });
    after(() => clearInterval(alive));

    it("says where it leads", async () => {
      await using line = await start();
      const [local, peer] = [line.local.ends, line.peer.ends];
      assert.deepEqual([local.secure, peer.secure], [nature.secure, nature.secure]);
      assert.deepEqual([local.localAddress, local.remoteAddress], [peer.remoteAddress, peer.localAddress]);
    });

    carrying(start);
    ending(start, nature);
  });
}
