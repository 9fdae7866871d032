/** Connections under the fake timers of vitest and jest, each in its own program and with its own way to load the package. */

import assert from "node:assert/strict";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { ChildProgram } from "../kit/child-process.ts";
import { JEST, needed, type Program, VITEST } from "../kit/foreign-programs.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

/** A test file: `load` is the statement that loads the package, before the timers are fake or after. */
const testFile = (framework: string, fake: string, load: "before" | "after"): string => {
  const loading = `const { connect, listen } = await import("holdfast");`;
  return `
${framework}
it("exchanges messages", async () => {
  ${load === "before" ? loading : ""}
  ${fake}.useFakeTimers();
  ${load === "after" ? loading : ""}
  const server = await listen("ws://127.0.0.1:0", async (connection) => {
    for await (const message of connection) await connection.send(message);
  });
  const connection = await connect(server.url);
  for (const message of ["one", "two"]) {
    await connection.send(message);
    expect(await connection.receive()).toBe(message);
  }
  await connection.close();
  await server.close();
  ${fake}.useRealTimers();
}, 60_000);
`;
};

interface Framework {
  readonly program: Program;
  readonly imports: string;
  readonly fake: string;
  readonly file: string;
  readonly node: readonly string[];
  readonly args: readonly string[];
}

const FRAMEWORKS: Readonly<Record<string, Framework>> = {
  vitest: {
    program: VITEST,
    imports: `import { expect, it, vi } from "vitest";`,
    fake: "vi",
    file: "exchange.test.mjs",
    node: [],
    args: ["run", "--root"],
  },
  jest: {
    program: JEST,
    imports: `import { expect, it, jest } from "@jest/globals";`,
    fake: "jest",
    file: "exchange.test.js",
    // As in docs/testing.md: without it jest cannot load an ES module.
    node: ["--experimental-vm-modules"],
    args: ["--rootDir"],
  },
};

describe("the fake timers of", () => {
  for (const [name, framework] of Object.entries(FRAMEWORKS)) {
    for (const load of ["before", "after"] as const) {
      it(`${name} stop no connection of a library that was loaded ${load} them`, { timeout: 120_000 }, async (t) => {
        const path = needed(t, framework.program);
        if (path === undefined) return;
        const { imports, fake, file, node, args } = framework;
        const folder = join(ROOT, ".cache/fake-timers", `${name}-${load}`);
        rmSync(folder, { recursive: true, force: true });
        mkdirSync(join(folder, "node_modules/@jest"), { recursive: true });
        const modules = join(ROOT, ".cache/peers/node_modules");
        for (const one of ["vitest", "@jest/globals"])
          symlinkSync(join(modules, one), join(folder, "node_modules", one));
        symlinkSync(ROOT, join(folder, "node_modules/holdfast"));
        writeFileSync(join(folder, "package.json"), `{ "type": "module" }`);
        writeFileSync(join(folder, file), testFile(imports, fake, load));

        const { status, stdout, stderr } = await ChildProgram.run(path, [...args, folder], { node, stderr: "kept" });
        assert.equal(status, 0, stdout + stderr);
        assert.doesNotMatch(stdout + stderr, /HOLDFAST/);
      });
    }
  }
});
