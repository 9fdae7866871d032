/** A link of 8 kbit/s, on which one message takes longer than a heartbeat: a slow peer is not a dead peer. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { WIRE_PROTOCOLS, type WireProtocol } from "../kit/wire-protocols.ts";
import { type BadLink, unable } from "./bad-link.ts";
import { beating, LinkedMachines } from "./linked-machines.ts";
import { digestOf } from "./load.ts";
import type { Side } from "./network.ts";

const run = promisify(execFile);

/** In kbit/s: one byte per millisecond. */
const RATE = 8;

/** More than ten seconds on this link. */
const LONG = { messages: 1, size: 10_000 };

/** The defaults in proportion to a message of 64 KiB: the message takes longer than the timeout of a Ping. */
const INTERVAL = 2_500;
const TIMEOUT = 4_000;

const [WEBSOCKET] = WIRE_PROTOCOLS as readonly [WireProtocol];

describe(`a link of ${RATE} kbit/s`, { skip: unable(), timeout: 120_000, concurrency: true }, () => {
  for (const sender of ["server", "client"] as const) {
    it(`does not end the connection by the heartbeat of a ${sender} that sends a long message (bound: none while bytes are acknowledged)`, async () => {
      await using linked = await LinkedMachines.start(1);
      await linked.link.set({ rate: RATE });
      const receiver = other(sender);
      const deeds = { [sender]: "send-long", [receiver]: "take" } as const;
      // The receiver has no heartbeat, like a browser: it sends nothing but the acknowledgements of its kernel.
      const limits = { [sender]: beating(WEBSOCKET, INTERVAL, TIMEOUT), [receiver]: {} };
      const ends = await linked.joined(WEBSOCKET, { limits, ...deeds, load: LONG });
      assert.equal((await ends[receiver].until("summed")).digest, digestOf(sender, LONG));
      assert.deepEqual([ends.server.latest("closed"), ends.client.latest("closed")], [undefined, undefined]);
      // When nothing is acknowledged any more, the heartbeat detects it.
      await linked.link.set({ loss: 1 });
      const { code, limit, bound } = await ends[sender].until("closed");
      assert.deepEqual([code, limit, bound], ["TIMEOUT", "heartbeat.timeout", TIMEOUT]);
    });

    it(`lets Pings of the ${sender} pass between the parts of its long message (bound: the bytes that the kernel holds)`, async (t) => {
      await using linked = await LinkedMachines.start(1);
      await linked.link.set({ rate: RATE });
      await narrow(linked.link, sender);
      const receiver = other(sender);
      const deeds = { [sender]: "send-parts", [receiver]: "take" } as const;
      const ends = await linked.joined(WEBSOCKET, { ...deeds, load: LONG });
      assert.equal((await ends[receiver].until("summed")).digest, digestOf(sender, LONG));
      const answered = ends[sender].count("answered");
      t.diagnostic(`${answered} Pings were answered meanwhile`);
      assert.ok(answered > 1, `${answered}`);
    });
  }
});

const other = (side: Side): Side => (side === "server" ? "client" : "server");

/** The machine's kernel buffers only a few packets, as it does on a link whose rate it has measured. */
async function narrow(link: BadLink, side: Side): Promise<void> {
  const [command, ...args] = link.on(side);
  await run(command, [...args, "sh", "-c", "echo 4096 4096 4096 > /proc/sys/net/ipv4/tcp_wmem"]);
}
