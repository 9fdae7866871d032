/** Each example is a program: it prints what it promises, says nothing else, and ends by itself. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

const PRINTED: Record<string, string> = {
  attach: "welcome, Ali\na page\n\n",
  chat: "ann reads: anybody here?\nben reads: anybody here?\n",
  echo: "hello\n",
  lines: "you said hello\nnothing came, retriable: true\nyou said again\n",
  reconnect: "open: websocket\nheard one\nwaiting: 1001 new version retry-after=0.1\nopen: websocket\nheard two\n",
  workers: "ann reads: welcome\nben reads: welcome\nann reads: anybody here?\nben reads: anybody here?\n",
  testing: "1006 TimeoutError: Cannot ping: heartbeat.timeout of 10000 ms reached after 10000 ms\n",
};

describe("the examples", () => {
  it("are all run here", () => {
    const examples = readdirSync(join(ROOT, "examples")).map((file) => file.replace(/\.ts$/, ""));
    assert.deepEqual(examples.sort(), Object.keys(PRINTED).sort());
  });

  for (const [name, printed] of Object.entries(PRINTED)) {
    it(`include ${name}`, async () => {
      const program = join(ROOT, ".build/examples", `${name}.js`);
      const { NODE_TEST_CONTEXT: _, ...env } = process.env;
      const ended = await new Promise((resolve) => {
        execFile(process.execPath, [program], { env, timeout: 60_000 }, (error, stdout, stderr) =>
          resolve({ error, stdout, stderr }),
        );
      });
      assert.deepEqual(ended, { error: null, stdout: printed, stderr: "" });
    });
  }
});
