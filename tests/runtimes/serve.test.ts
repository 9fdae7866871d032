/** `holdfast serve` on Bun and Deno: WebSocket, HTTP, and a stop by a signal. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { RUNTIMES } from "../examples/places.ts";
import { WsClient } from "../examples/ws-client.ts";
import { ChildProgram } from "../kit/child-process.ts";
import { found, wanting } from "../kit/foreign-programs.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

for (const { program, place } of RUNTIMES) {
  describe(`holdfast serve on ${program.name}`, { skip: found(program) === undefined && wanting(program) }, () => {
    it("answers, and ends on SIGTERM with status 0", async () => {
      const { runtime = [] } = await place();
      await using serving = new ChildProgram(MAIN, ["serve", "--port", "0", "--no-tcp", "--json"], {
        runtime,
        stderr: "kept",
      });
      const { ws } = JSON.parse(await serving.line()) as { ws: string };
      await using client = await WsClient.open(`${ws}/echo`);
      client.send("hello");
      assert.equal(await client.next(), "hello");
      assert.equal(await (await fetch(`${ws.replace("ws:", "http:")}/healthz`)).text(), "ok\n");
      serving.signal("SIGTERM");
      assert.equal((await client.closed).code, 1001);
      assert.equal((await serving.exit).status, 0);
    });
  });
}
