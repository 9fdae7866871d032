/** A link of 8 kbit/s, on which a message takes longer than any heartbeat: what is slow is not dead. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { SPEECHES, type Speech } from "../requirements/speech.js";
import { type BadLink, unable } from "./bad-link.js";
import { beating, Linked } from "./linked.js";
import { digestOf } from "./load.js";
import type { Side } from "./network.js";

const run = promisify(execFile);

/** kbit/s: an octet in a millisecond. */
const RATE = 8;

/** More than ten seconds of this link. */
const LONG = { messages: 1, size: 10_000 };

/** The defaults are to a message of 64 KiB as these are to this one: it takes longer than a Ping may go unanswered. */
const INTERVAL = 2_500;
const TIMEOUT = 4_000;

const [WEBSOCKET] = SPEECHES as readonly [Speech];

describe(`a link of ${RATE} kbit/s`, { skip: unable(), timeout: 120_000, concurrency: true }, () => {
  for (const sender of ["server", "client"] as const) {
    it(`does not starve the heartbeat of a ${sender} behind its own long message (bound: none while it moves)`, async () => {
      await using linked = await Linked.start(1);
      await linked.link.set({ rate: RATE });
      const receiver = other(sender);
      const deeds = { [sender]: "send-long", [receiver]: "take" } as const;
      // The receiver has no heartbeat, as a browser has none: nothing comes from it but acknowledgements of the kernel's.
      const limits = { [sender]: beating(WEBSOCKET, INTERVAL, TIMEOUT), [receiver]: {} };
      const ends = await linked.joined(WEBSOCKET, { limits, ...deeds, load: LONG });
      assert.equal((await ends[receiver].until("summed")).digest, digestOf(sender, LONG));
      assert.deepEqual([ends.server.latest("closed"), ends.client.latest("closed")], [undefined, undefined]);
      // It is still noticed, when nothing moves any more.
      await linked.link.set({ loss: 1 });
      const { code, limit, bound } = await ends[sender].until("closed");
      assert.deepEqual([code, limit, bound], ["TIMEOUT", "heartbeat.timeout", TIMEOUT]);
    });

    it(`lets Pings of the ${sender} pass between the parts of its long message (bound: what the kernel holds)`, async (t) => {
      await using linked = await Linked.start(1);
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

/** The machine's kernel holds no more than a few packets of what is sent, as it does after a while on a link that it knows. */
async function narrow(link: BadLink, side: Side): Promise<void> {
  const [command, ...args] = link.on(side);
  await run(command, [...args, "sh", "-c", "echo 4096 4096 4096 > /proc/sys/net/ipv4/tcp_wmem"]);
}
