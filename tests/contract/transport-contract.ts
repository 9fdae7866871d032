/** The contract of every transport. A new transport needs one line and no new test. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type OpenPair, TransportPair } from "../kit/transport-pair.ts";
import { dataContract } from "./carrying.ts";
import { endContract } from "./ending.ts";

/** The differences between transports that the network below causes. */
export interface Traits {
  /** Whether an abort of the peer differs from its end. TLS and unix sockets have no reset. */
  readonly resets: boolean;
  /** Whether each end holds a descriptor. */
  readonly descriptors: boolean;
  readonly secure: boolean;
}

export function transportContract(name: string, open: OpenPair, traits: Traits): void {
  const start = (): Promise<TransportPair> => TransportPair.of(open);

  describe(`${name} as a transport`, { timeout: 120_000 }, () => {
    // A transport in memory does not keep the process alive. A promise that never settles must fail in its own test.
    let alive: NodeJS.Timeout;
    before(() => {
      alive = setInterval(() => undefined, 60_000);
    });
    after(() => clearInterval(alive));

    it("has the addresses of both ends", async () => {
      await using line = await start();
      const [local, peer] = [line.local.endpoints, line.peer.endpoints];
      assert.deepEqual([local.secure, peer.secure], [traits.secure, traits.secure]);
      assert.deepEqual([local.localAddress, local.localPort], [peer.remoteAddress, peer.remotePort]);
      assert.deepEqual([local.remoteAddress, local.remotePort], [peer.localAddress, peer.localPort]);
    });

    dataContract(start);
    endContract(start, traits);
  });
}
