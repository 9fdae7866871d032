/** Waits for the kernel's view of sockets. */

import assert from "node:assert/strict";
import { readFile } from "node:fs";
import { describe, it } from "node:test";
import { SOCKETS_SKIP, untilSockets } from "./kernel-sockets.ts";

describe("waits for the kernel's view of sockets", { skip: SOCKETS_SKIP }, () => {
  it("let other events happen, however long the reading takes", async () => {
    let happened = false;
    readFile("/proc/self/stat", () => {
      happened = true;
    });
    const slow = (): (() => boolean) => {
      let reads = 0;
      return () => {
        const end = performance.now() + 10;
        while (performance.now() < end);
        reads += 1;
        return happened || reads === 50;
      };
    };
    // Several at the same time: while one reads, the timer of another becomes due.
    await Promise.all([untilSockets(1, slow()), untilSockets(1, slow()), untilSockets(1, slow())]);
    assert.ok(happened);
  });
});
