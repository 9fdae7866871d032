/** A dial that is not wanted any more. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, it } from "node:test";
import { systemClock } from "../../../src/transport/clock.ts";
import { dial } from "../../../src/transport/dial/dial.ts";
import { systemNetwork } from "../../../src/transport/network.ts";

describe("a dial whose signal has already aborted", { timeout: 30_000 }, () => {
  for (const host of ["127.0.0.1", "localhost"]) {
    it(`rejects with the reason, and opens nothing: ${host}`, async () => {
      const server = createServer((socket) => socket.destroy()).listen(0, "127.0.0.1");
      await once(server, "listening");
      let accepted = 0;
      server.on("connection", () => {
        accepted += 1;
      });
      const { port } = server.address() as AddressInfo;
      const reason = new Error("not wanted");
      const { socket } = dial(
        { host, port, socketPath: undefined, secure: false },
        {
          ...{
            network: systemNetwork,
            clock: systemClock,
            tls: {},
            signal: AbortSignal.abort(reason),
            turn: undefined,
          },
          route: { lookup: undefined, family: 0, localAddress: undefined },
        },
      );
      await assert.rejects(socket, reason);
      server.close();
      await once(server, "close");
      assert.equal(accepted, 0);
    });
  }
});
