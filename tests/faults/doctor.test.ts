/** `holdfast doctor` on bad links: what it finds of a distant peer, and of lost packets. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { ChildProgram } from "../kit/child-process.ts";
import { needed, SS } from "../kit/foreign-programs.ts";
import { WIRE_PROTOCOLS } from "../kit/wire-protocols.ts";
import { type PacketFaults, unable } from "./bad-link.ts";
import { LinkedMachines } from "./linked-machines.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

// A message in many segments, so that enough of them are lost.
const LOAD = { messages: 60, size: 4_000 };

describe("holdfast doctor on a bad link", { skip: unable(), timeout: 120_000, concurrency: true }, () => {
  const links: Record<string, readonly [PacketFaults, kind: string, line: RegExp]> = {
    "a peer that is far away": [{ delay: 300 }, "far", /round trip [56789]\d\d ms/],
    "a link that loses packets": [{ delay: 5, loss: 0.2 }, "lossy", /\d+ of \d+ segments sent again/],
  };
  for (const [what, [faults, kind, line]] of Object.entries(links)) {
    it(`finds ${what}`, async (t) => {
      if (needed(t, SS) === undefined) return;
      await using linked = await LinkedMachines.start(1);
      await linked.link.set(faults);
      const [wire] = WIRE_PROTOCOLS;
      assert.ok(wire);
      const { client } = await linked.joined(wire, { server: "exchange", client: "exchange", load: LOAD });
      await client.until("summed");
      const args = ["doctor", "--pid", `${linked.server.pid}`];
      // Inside of the namespace, and outside, from where ss has to enter it.
      for (const by of [linked.link.on("server"), []]) {
        const { stdout } = await ChildProgram.run(MAIN, args, { by });
        assert.match(stdout, new RegExp(`fault \\(${kind}\\): 1 socket `));
        assert.match(stdout, line);
      }
    });
  }
});
