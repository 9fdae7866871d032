/** Fake timers: a test that replaces the timers of the process does not stop the connections. */

import assert from "node:assert/strict";
import { describe, it, mock } from "node:test";
import { fileURLToPath } from "node:url";
import { connect, listen } from "../../src/index.ts";
import { ChildProgram } from "../kit/child-process.ts";

describe("fake timers", () => {
  it("of node:test stop neither sends nor time limits", async () => {
    await using server = await listen("ws://127.0.0.1:0", async (connection) => {
      for await (const message of connection) await connection.send(message);
    });
    mock.timers.enable();
    try {
      const connection = await connect(server.url);
      for (const message of ["one", "two"]) {
        await connection.send(message);
        assert.equal(await connection.receive(), message);
      }
      await assert.rejects(connection.receive({ timeout: 20 }), { code: "TIMEOUT", retriable: true });
      await connection.close();
    } finally {
      mock.timers.reset();
    }
  });

  it("that were there when the library was loaded lose no task: it runs after they are removed", async () => {
    const program = fileURLToPath(new URL("lost-turn-program.js", import.meta.url));
    const { stdout, status } = await ChildProgram.run(program);
    assert.equal(stdout, "restored\nlost\nsecond\nthird\n");
    assert.equal(status, 0);
  });
});
