/** Peers that cost as much as possible at once: the figures of docs/security.md. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { KEY, peerFrame } from "../kit/frames.ts";
import { AttackedServer, MIB } from "./attacked-server.ts";
import { Attacker } from "./attacker.ts";

const LIMIT = { timeout: 60_000 };
const PAGE = readFileSync(new URL("../../../docs/security.md", import.meta.url), "utf8");
const said = /^\| all of this at once, by default \| (\d+) MiB \|$/m.exec(PAGE)?.[1];

describe("peers that send large messages, read nothing, and are echoed", LIMIT, () => {
  const COUNT = 12;
  it(`cost at most ${said} MiB each, by default`, async () => {
    const [small, large] = [60_000, MIB - 16].map((size) =>
      Buffer.from(peerFrame({ opcode: 2, payload: new Uint8Array(size).fill(0x5a), key: KEY })),
    );
    assert.ok(small && large);
    await using attacked = await AttackedServer.start({
      ...{ url: "ws://127.0.0.1:0", does: "echo", observed: true },
      options: { writeTimeout: 60_000 },
    });
    await attacked.begin();
    const crowd = await Promise.all(Array.from({ length: COUNT }, () => Attacker.on(attacked.port)));
    for (const attacker of crowd) {
      attacker.socket.pause();
      // Fills the kernel's buffers, then the queue, then the inbox, whose last message has the largest size.
      void attacker.flood(small, 200).then(() => attacker.flood(large, 4));
    }
    await attacked.until(({ paused }) => paused === COUNT);
    await attacked.within(COUNT * Number(said) * MIB);
    await Promise.all(crowd.map((attacker) => attacker[Symbol.asyncDispose]()));
    await attacked.until(({ connections }) => connections === 0);
  });
});
