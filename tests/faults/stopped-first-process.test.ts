/** A first process of workers that is stopped by a signal while a worker needs it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { WorkersProcess } from "../workers/workers-process.ts";

const POSIX = { timeout: 120_000, skip: process.platform === "win32" && "signals are a matter of POSIX" };

describe("a first process that is stopped for longer than startTimeout", POSIX, () => {
  it("lets its workers start when it continues", async () => {
    await using scene = new WorkersProcess({ workers: 2, startTimeout: 5_000 });
    // Now a worker asks the first process for the listening socket, or does so soon.
    await scene.until(() => scene.of("begun").length > 0);
    scene.signal("SIGSTOP");
    await pause(7_000);
    scene.signal("SIGCONT");
    await scene.until(() => scene.of("urls").length > 0);
    assert.deepEqual(scene.of("killed"), []);
    const [client] = await scene.clients(2);
    await client?.connection.send("hello");
    assert.equal(await client?.connection.receive(), "hello");
  });
});
