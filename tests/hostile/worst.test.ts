/** Peers that cost all they can at once: what docs/security.md says of that. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { KEY, peerFrame } from "../engine/peer-frames.js";
import { Assault } from "./assault.js";
import { MIB, Siege } from "./siege.js";

const LIMIT = { timeout: 60_000 };
const PAGE = readFileSync(new URL("../../../docs/security.md", import.meta.url), "utf8");
const said = /^\| all of this at once, by default \| (\d+) MiB \|$/m.exec(PAGE)?.[1];

describe("peers that send what is large, take nothing, and are echoed", LIMIT, () => {
  const COUNT = 12;
  it(`cost at most ${said} MiB each, by default`, async () => {
    const [small, large] = [60_000, MIB - 16].map((size) =>
      Buffer.from(peerFrame({ opcode: 2, payload: new Uint8Array(size).fill(0x5a), key: KEY })),
    );
    assert.ok(small && large);
    await using siege = await Siege.lay({
      ...{ url: "ws://127.0.0.1:0", does: "echo", observed: true },
      options: { writeTimeout: 60_000 },
    });
    await siege.begin();
    const crowd = await Promise.all(Array.from({ length: COUNT }, () => Assault.on(siege.port)));
    for (const assault of crowd) {
      assault.socket.pause();
      // Fills what the kernel takes, then the queue, then the inbox, whose last message is as large as may be.
      void assault.flood(small, 200).then(() => assault.flood(large, 4));
    }
    await siege.until(({ paused }) => paused === COUNT);
    await siege.within(COUNT * Number(said) * MIB);
    await Promise.all(crowd.map((assault) => assault[Symbol.asyncDispose]()));
    await siege.until(({ connections }) => connections === 0);
  });
});
