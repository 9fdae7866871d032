/** The rules of the house: that each catches what breaks it, and that the sources keep them all. */

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { blanked } from "./blanked.js";
import { violations } from "./house-rules.js";

const SRC = fileURLToPath(new URL("../../src", import.meta.url));

/** The violations in a tree of these files, each of which begins as it should. */
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
        "base/a.ts": 'import { b } from "../engine/b.js";',
        "transport/c.ts": 'export type { D } from "../connection/d.js";',
        "connection/d.ts": 'import {\n  listen,\n} from "../endpoint/listen.js";',
        "endpoint/e.ts": 'import "../observe/f.js";',
        "endpoint/listen.ts": 'import { Connection } from "../index.js";',
        "observe/f.ts": 'import { g } from "../testing/g.js";',
      },
      as: [
        "base/a.ts:2: imports upwards: ../engine/b.js",
        "connection/d.ts:2: imports upwards: ../endpoint/listen.js",
        "endpoint/e.ts:2: imports upwards: ../observe/f.js",
        "endpoint/listen.ts:2: imports upwards: ../index.js",
        "observe/f.ts:2: imports upwards: ../testing/g.js",
        "transport/c.ts:2: imports upwards: ../connection/d.js",
      ],
    },
    "a pure floor that names the world": {
      files: {
        "base/a.ts": "const now = Date.now();",
        "base/b.ts": "const today = new Date();",
        "engine/c.ts": "export async function f() {}",
        "engine/d.ts": "export const f = (): Promise<void> => g();",
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
    "a way in that is not the door": {
      files: {
        "endpoint/group.ts": 'import { Connection } from "../connection/connection.js";',
        "endpoint/reconnect-loop.ts": 'import { connect } from "./connect.js";\nimport { Group } from "./group.js";',
        "endpoint/reconnect.ts": 'import { pair } from "../testing/index.js";',
        "cli/chaos.ts": 'import { pair } from "../testing/pair.js";',
        "cli/serve.ts": 'import { listen } from "../endpoint/listen.js";',
        "dashboard/page.ts": 'import { serve } from "../cli/serve.js";',
      },
      as: [
        "cli/chaos.ts:2: is to come in by the door but imports ../testing/pair.js",
        "cli/serve.ts:2: is to come in by the door but imports ../endpoint/listen.js",
        "dashboard/page.ts:2: is to come in by the door but imports ../cli/serve.js",
        "endpoint/group.ts:2: is to come in by the door but imports ../connection/connection.js",
        "endpoint/reconnect-loop.ts:2: is to come in by the door but imports ./connect.js",
        "endpoint/reconnect-loop.ts:3: is to come in by the door but imports ./group.js",
        "endpoint/reconnect.ts:2: is to come in by the door but imports ../testing/index.js",
      ],
    },
    "a door that does something": {
      files: {
        "index.ts": 'export { a } from "./base/a.js";\nexport const b = 1;',
        "testing/index.ts": 'export * from "./pair.js";',
      },
      as: ["index.ts: does more than re-export", "testing/index.ts: does more than re-export"],
    },
    "a file that grew too long": {
      files: { "base/a.ts": "\n".repeat(350) },
      as: ["base/a.ts: has 352 lines, and so two reasons to change"],
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
    "words that the house does without": {
      files: { "cli/a.ts": 'export default 1;\nenum B {}\nconst c = await import("./d.js");' },
      as: ["cli/a.ts:2: has a default export", "cli/a.ts:3: has an enum", "cli/a.ts:4: imports while it runs"],
    },
    "a package, for the library has none": {
      files: { "transport/a.ts": 'import { WebSocket } from "ws";' },
      as: ["transport/a.ts:2: imports a package: ws"],
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
      "index.ts": 'export { listen } from "./endpoint/listen.js";\nexport type { Data } from "./engine/protocol.js";',
      "base/time.ts": "export const valid = (at: Date): boolean => at instanceof Date;",
      "engine/mask.ts": 'import { concat } from "../base/bytes.js";\nimport type { Data } from "./protocol.js";',
      "transport/socket.ts": 'import { Socket } from "node:net";',
      "connection/view.ts": 'import type { Duplex } from "node:stream";',
      "endpoint/group.ts": 'import { type Connection } from "../index.js";',
      "endpoint/reconnect.ts": 'import { connect } from "../index.js";\nimport { judge } from "./reconnect-policy.js";',
      "testing/pair.ts": 'import { Connection } from "../connection/connection.js";',
      "cli/main.ts":
        '!#!/usr/bin/env node\n/** A reason. */\nimport { listen } from "../index.js";\nimport { a } from "./a.js";\n',
      "cli/chaos.ts": 'import { chaosProxy } from "../testing/index.js";',
    };
    assert.deepEqual(planted(kept), []);
  });

  it("do not trip over comments, strings and patterns", () => {
    const said = [
      "// process may await a Promise, as enum or export default",
      '/* import { x } from "../cli/x.js"; socket._handle */',
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

  it("sees the code behind a pattern that ends in slashes", () => {
    assert.equal(blanked("x.replace(/\\/\\//, y); z();"), "x.replace(      , y); z();");
  });
});
