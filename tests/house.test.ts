/** The rules of the house: that each catches what breaks it, and that the sources keep them all. */

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { violations } from "./house-rules.ts";
import { blanked } from "./kit/blanked-source.ts";

const SRC = fileURLToPath(new URL("../../src", import.meta.url));

/** The violations in a tree of these files, each of which begins with the required lines. */
function planted(files: Record<string, string>): string[] {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
  try {
    for (const [file, text] of Object.entries(files)) {
      const path = join(folder, file);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text.startsWith("!") ? text.slice(1) : `/** A reason. */\n${text}\n`);
    }
    return violations(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("the rules of the house", () => {
  const caught: Record<string, { files: Record<string, string>; as: string[] }> = {
    "an import from a higher floor": {
      files: {
        "base/a.ts": 'import { b } from "../engine/b.ts";',
        "transport/c.ts": 'export type { D } from "../connection/d.ts";',
        "connection/d.ts": 'import {\n  listen,\n} from "../endpoint/listen.ts";',
        "endpoint/e.ts": 'import "../kernel/f.ts";',
        "endpoint/server/listen.ts": 'import { Connection } from "../../core.ts";',
        "core.ts": 'export { Group } from "./group/group.ts";',
        "group/group.ts": 'import { Connection } from "../index.ts";',
        "kernel/f.ts": 'import { g } from "../testing/g.ts";',
      },
      as: [
        "base/a.ts:2: imports upwards: ../engine/b.ts",
        "connection/d.ts:2: imports upwards: ../endpoint/listen.ts",
        "core.ts:2: imports upwards: ./group/group.ts",
        "endpoint/e.ts:2: imports upwards: ../kernel/f.ts",
        "endpoint/server/listen.ts:2: imports upwards: ../../core.ts",
        "group/group.ts:2: imports upwards: ../index.ts",
        "kernel/f.ts:2: imports upwards: ../testing/g.ts",
        "transport/c.ts:2: imports upwards: ../connection/d.ts",
      ],
    },
    "a global timer": {
      files: {
        "transport/a.ts": "setImmediate(f);\nsocket.setTimeout(0);",
        "transport/b.ts": 'import { setImmediate } from "./timers.ts";\nsetImmediate(f);',
        "cli/c.ts": "setTimeout(f, 1);",
      },
      as: ["transport/a.ts:2: uses the global setImmediate, which a test may replace: transport/timers.ts has it"],
    },
    "a pure floor that names the world": {
      files: {
        "base/a.ts": "const now = Date.now();",
        "base/b.ts": "const today = new Date();",
        "engine/c.ts": "export async function f() {}",
        "engine/d.ts": "export const g = (): Promise<void> => h();",
        "engine/e.ts": "const bytes = Buffer.alloc(1);\nsetTimeout(f, Math.random());",
        "engine/f.ts": "const text = `in ${process.pid}`;",
        "engine/g.ts": 'import { Socket } from "node:net";',
        "engine/h.ts": 'import type { Socket } from "node:net";',
      },
      as: [
        "base/a.ts:2: is pure but names Date.now",
        "base/b.ts:2: is pure but names new Date",
        "engine/c.ts:2: is pure but names async",
        "engine/d.ts:2: is pure but names Promise",
        "engine/e.ts:2: is pure but names Buffer",
        "engine/e.ts:3: is pure but names setTimeout",
        "engine/e.ts:3: is pure but names Math.random",
        "engine/f.ts:2: is pure but names process",
        "engine/g.ts:2: is pure but imports node:net",
        "engine/h.ts:2: is pure but imports node:net",
      ],
    },
    "a Node module that is imported beside the transport": {
      files: {
        "connection/a.ts": 'import { Duplex } from "node:stream";',
        "endpoint/b.ts": 'import { createServer, type Server } from "node:http";',
      },
      as: [
        "connection/a.ts:2: leaves the world to transport but imports node:stream",
        "endpoint/b.ts:2: leaves the world to transport but imports node:http",
      ],
    },
    "an import past core.ts, or past an entry point": {
      files: {
        "group/group.ts": 'import { Connection } from "../connection/connection.ts";',
        "reconnect/loop.ts": 'import { connect } from "../endpoint/client/connect.ts";',
        "cli/chaos/chaos.ts": 'import { pair } from "../../testing/pair.ts";',
        "cli/probe/probe.ts": 'import { listen } from "../../endpoint/server/listen.ts";',
        "cli/serve/frames.ts": 'import { writeHeader } from "../../engine/websocket/frame.ts";',
        "cli/serve/serve.ts": 'import { listen } from "../../endpoint/server/listen.ts";',
        "dashboard/viewer.ts": 'import { Connection } from "../connection/contract.ts";',
      },
      as: [
        "cli/chaos/chaos.ts:2: is to use an entry point but imports ../../testing/pair.ts",
        "cli/probe/probe.ts:2: is to use an entry point but imports ../../endpoint/server/listen.ts",
        "cli/serve/frames.ts:2: is to use an entry point but imports ../../engine/websocket/frame.ts",
        "cli/serve/serve.ts:2: is to use an entry point but imports ../../endpoint/server/listen.ts",
        "dashboard/viewer.ts:2: is to use core.ts but imports ../connection/contract.ts",
        "group/group.ts:2: is to use core.ts but imports ../connection/connection.ts",
        "reconnect/loop.ts:2: is to use core.ts but imports ../endpoint/client/connect.ts",
      ],
    },
    "a door that does something": {
      files: {
        "index.ts": 'export { a } from "./base/a.ts";\nexport const b = 1;',
        "testing/index.ts": 'export * from "./pair.ts";',
      },
      as: ["index.ts: does more than re-export", "testing/index.ts: does more than re-export"],
    },
    "a file that grew too long": {
      files: { "base/a.ts": "\n".repeat(600) },
      as: ["base/a.ts: has 602 lines, which is too much for one reason to change"],
    },
    "a file that does not say why it is": {
      files: {
        "base/a.ts": "!export const a = 1;\n",
        "base/b.ts": "!// A reason.\n",
        "base/c.ts": "!/** reason */\nexport const c = 1.5;\n",
      },
      as: ["a", "b", "c"].map((name) => `base/${name}.ts:1: does not begin with a sentence that says why it is`),
    },
    "a name that says nothing": {
      files: {
        "base/utils.ts": "",
        "engine/helpers/mask.ts": "",
        "transport/common.ts": "",
        "connection/types.ts": "",
      },
      as: ["base/utils.ts", "connection/types.ts", "engine/helpers/mask.ts", "transport/common.ts"].map(
        (file) => `${file}: has a name that says nothing`,
      ),
    },
    "a folder that is no floor": {
      files: { "extra/a.ts": "", "b.ts": "" },
      as: ["b.ts: is on no floor", "extra/a.ts: is on no floor"],
    },
    "an exported name that two files define": {
      files: {
        "base/a.ts": "export const length = 1;\nconst own = 2;",
        "engine/b.ts": "export function length(): void {}",
        "engine/c.ts": "export function rows(): void {}\nexport function rows(all: boolean): void {}",
        "endpoint/d.ts": "export abstract class Thing {}\nconst own = 3;",
        "group/e.ts": "export interface Thing {}\nexport type Other = string;",
        "index.ts": 'export { type Other } from "./group/e.ts";',
      },
      as: [
        "length: is exported by several files that define it: base/a.ts, engine/b.ts",
        "Thing: is exported by several files that define it: endpoint/d.ts, group/e.ts",
      ],
    },
    "words that the house does without": {
      files: { "cli/a.ts": 'export default 1;\nenum B {}\nconst c = await import("./d.ts");' },
      as: ["cli/a.ts:2: has a default export", "cli/a.ts:3: has an enum", "cli/a.ts:4: imports while it runs"],
    },
    "files that import each other, be it for a type": {
      files: {
        "connection/a.ts": 'import type { B } from "./write/b.ts";',
        "connection/write/b.ts": 'import { c } from "../c.ts";',
        "connection/c.ts": 'export type { A } from "./a.ts";',
        "connection/d.ts": 'import { c } from "./c.ts";',
      },
      as: ["connection/a.ts imports connection/write/b.ts imports connection/c.ts imports connection/a.ts: a circle"],
    },
    "a way to the outbox that could overtake messages": {
      files: {
        "connection/write/send.ts": "core.outbox?.send(message);",
        "connection/write/parts.ts": "this.#owner.outbox().send(message);",
        "reconnect/connection.ts": "this.outbox.send(message);",
      },
      as: ["connection/write/send.ts:2: reaches the outbox past outboxOf"],
    },
    "a package, for the library has none": {
      files: { "transport/a.ts": 'import { WebSocket } from "ws";' },
      as: ["transport/a.ts:2: imports a package: ws"],
    },
    "a page that needs Node, or that Node needs": {
      files: {
        "dashboard/page/a.tsx":
          'import { h } from "preact";\nimport { join } from "node:path";\nimport { b } from "uplot";',
        "dashboard/feed.ts": 'import { a } from "./page/a.tsx";',
      },
      as: [
        "dashboard/feed.ts:2: runs in Node but imports the page: ./page/a.tsx",
        "dashboard/page/a.tsx:3: runs in a browser but imports node:path",
        "dashboard/page/a.tsx:4: imports a package: uplot",
      ],
    },
    "what lies behind Node's public interface": {
      files: {
        "transport/a.ts": 'socket._handle.close();\nsocket["_readableState"];\nprocess.binding("tcp_wrap");',
        "transport/b.ts": "const { _handle } = socket;\nhandle.useUserBuffer(buffer);",
      },
      as: [
        "transport/a.ts:2: names an internal: ._handle",
        'transport/a.ts:3: names an internal: ["_readableState"]',
        "transport/a.ts:4: names an internal: process.binding",
        "transport/b.ts:2: names an internal: { _handle",
        "transport/b.ts:3: names an internal: useUserBuffer",
      ],
    },
  };
  for (const [what, { files, as }] of Object.entries(caught)) {
    it(`catch ${what}`, () => assert.deepEqual(planted(files), as));
  }

  it("leave alone what keeps them", () => {
    const kept = {
      "index.ts": 'export { listen } from "./core.ts";\nexport { Group } from "./group/group.ts";',
      "core.ts":
        'export { listen } from "./endpoint/server/listen.ts";\nexport type { Data } from "./engine/protocol.ts";',
      "base/time.ts": "export const valid = (at: Date): boolean => at instanceof Date;",
      "engine/websocket/mask.ts":
        'import { concat } from "../../base/bytes.ts";\nimport type { Data } from "../protocol.ts";',
      "transport/socket/socket.ts": 'import { Socket } from "node:net";',
      "transport/internals/tcp.ts": "socket._handle.close();",
      "connection/view.ts": 'import type { Duplex } from "node:stream";',
      "group/group.ts": 'import { type Connection } from "../core.ts";',
      "reconnect/loop.ts": 'import { connect } from "../core.ts";\nimport { judge } from "./policy.ts";',
      "workers/index.ts": 'export { startWorkers } from "./start.ts";',
      "testing/pair.ts": 'import { Connection } from "../connection/connection.ts";',
      "cli/main.ts":
        '!#!/usr/bin/env node\n/** A reason. */\nimport { listen } from "../index.ts";\nimport { a } from "./a.ts";\n',
      "cli/chaos/chaos.ts": 'import { chaosProxy } from "../../testing/index.ts";',
      "cli/serve/flags.ts": 'import { judgeNumber } from "../../base/judge.ts";',
      "cli/bench/result.ts": 'import { Histogram } from "../../engine/histogram.ts";',
      "cli/probe/frames.ts": 'import { writeHeader } from "../../engine/websocket/frame.ts";',
    };
    assert.deepEqual(planted(kept), []);
  });

  it("do not trip over comments, strings and patterns", () => {
    const said = [
      "// process may await a Promise, as enum or export default",
      '/* import { x } from "../cli/x.ts"; socket._handle */',
      'const a = "the process may await: import(x)";',
      "const b = `a ${`nested Promise ${a}`} process`;",
      "const c = /process \\/\\//.test(a); // Promise",
    ];
    assert.deepEqual(planted({ "engine/a.ts": said.join("\n") }), []);
  });

  it("are kept by the sources", () => assert.deepEqual(violations(SRC), []));
});

describe("blanked text", () => {
  it("keeps every place", () => {
    const source = 'a /* b\nc */ "d\\"e" // f\n`g${{ h: `i` }.h}j` / k / l';
    assert.equal(blanked(source), 'a     \n     "    "     \n` ${{ h: ` ` }.h} ` / k / l');
  });

  it("sees the code after a pattern that ends in slashes", () => {
    assert.equal(blanked("x.replace(/\\/\\//, y); z();"), "x.replace(      , y); z();");
  });
});
