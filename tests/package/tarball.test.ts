/** The tarball that is published: what it holds, that it is always the same, and that it works where it is installed. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, existsSync, readdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { newFolder, pack, project, ROOT, run } from "./packed.ts";

const packed = pack();
const installed = packed.then(async (tarball) => project(tarball, PROGRAMS));
/** The folder of the installed package. */
const home = async (): Promise<string> => join(await installed, "node_modules/holdfast");

/** Budgets in bytes: 5 to 10 % above the size when they were set. The command line is a third of the first. */
const MAX_TARBALL = 2_200_000;
const MAX_BUNDLE = 80_000;

const PROGRAMS = {
  "client.mjs": `export { connect } from "holdfast";`,
  "required.cjs": `
const { connect, listen } = require("holdfast");
const { pair } = require("holdfast/testing");
require("holdfast/workers");
require("holdfast/kernel");
(async () => {
  const server = await listen("ws://127.0.0.1:0", async (connection) => connection.send(await connection.receive()));
  const connection = await connect(server.url);
  await connection.send("hello");
  console.log(await connection.receive(), typeof pair);
  await connection.close();
  await server.close();
})();
`,
  "imported.mjs": `
import * as holdfast from "holdfast";
import { createRequire } from "node:module";
console.log(createRequire(import.meta.url)("holdfast").connect === holdfast.connect);
`,
};

const filesOf = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

describe("the tarball", () => {
  it("is the same, byte for byte, wherever and whenever it is packed", async () => {
    // Another folder, other times and another state of the build, as on another machine.
    const copy = newFolder();
    const { files } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { files: string[] };
    const needed = files.filter((name) => name !== "dist").concat("README.md", "LICENSE", "tools");
    const configs = readdirSync(ROOT).filter((name) => /^(package|tsconfig).*\.json$/.test(name));
    for (const name of [...needed, ...configs]) {
      cpSync(join(ROOT, name), join(copy, name), { recursive: true });
    }
    symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"), "junction");
    const digest = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");
    assert.equal(digest(await pack(copy)), digest(await packed));
  });

  it("is not larger than its budget", async () => {
    const size = statSync(await packed).size;
    assert.ok(size < MAX_TARBALL, `${size} bytes: if that is meant, raise the budget`);
  });

  it("bundles connect, minified and compressed, within its budget", async (t) => {
    const peers = join(ROOT, ".cache/peers/node_modules");
    if (!existsSync(join(peers, "esbuild"))) {
      if (process.env["HOLDFAST_REQUIRE_ALL"] === "1") throw new Error("needs esbuild: npm run peers");
      return t.skip("needs esbuild: npm run peers");
    }
    const { buildSync } = createRequire(join(peers, "x.js"))("esbuild") as {
      buildSync(options: object): { readonly outputFiles: readonly { readonly contents: Uint8Array }[] };
    };
    const entryPoints = [join(await installed, "client.mjs")];
    const form = { bundle: true, minify: true, write: false, format: "esm", platform: "node", target: "node20" };
    const [bundle] = buildSync({ entryPoints, ...form }).outputFiles;
    const size = gzipSync(bundle?.contents ?? "", { level: 9 }).length;
    assert.ok(size < MAX_BUNDLE, `${size} bytes: if that is meant, raise the budget`);
    return undefined;
  });

  it("is loaded by require and by import, as one module", async () => {
    const folder = await installed;
    // Node 20 and 22 print a warning when the first program requires an ES module.
    const said = await run(process.execPath, ["--disable-warning=ExperimentalWarning", "required.cjs"], folder);
    assert.equal(said, "hello function\n");
    assert.equal(await run(process.execPath, ["imported.mjs"], folder), "true\n");
  });

  it("names the package that an entry point needs, if it is not installed", async () => {
    const folder = await installed;
    for (const [entry, needed] of [
      ["redis", "redis"],
      ["nats", "@nats-io/transport-node"],
    ] as const) {
      const load = run(process.execPath, ["--input-type=module", "-e", `import "holdfast/${entry}";`], folder);
      await assert.rejects(load, new RegExp(`Cannot find package '${needed}' imported from .*holdfast`));
    }
  });

  it("has no link in its documents that leads nowhere", async () => {
    const folder = await home();
    const documents = filesOf(folder).filter((path) => path.endsWith(".md"));
    assert.ok(documents.length > 5);
    const dead = documents.flatMap((path) => {
      const text = readFileSync(path, "utf8").replace(/^```[\s\S]*?^```$/gm, "");
      return Array.from(text.matchAll(/\]\(([^)\s#]+)[^)]*\)/g), ([, link = ""]) => link)
        .filter((link) => !/^[a-z]+:/.test(link) && !existsSync(join(dirname(path), link)))
        .map((link) => `${path.slice(folder.length + 1)}: ${link}`);
    });
    assert.deepEqual(dead, []);
  });

  it("has for each module and each declaration a map that ends in its source", async () => {
    const outputs = filesOf(join(await home(), "dist")).filter((path) => /\.(js|d\.ts)$/.test(path));
    assert.ok(outputs.length > 300);
    const broken = outputs.filter((path) => {
      const [, name = ""] = /\n\/\/# sourceMappingURL=(.*)\s*$/.exec(readFileSync(path, "utf8")) ?? [];
      const map = join(dirname(path), name);
      if (name === "" || !existsSync(map)) return true;
      const { sources } = JSON.parse(readFileSync(map, "utf8")) as { sources: string[] };
      return sources.length !== 1 || !existsSync(join(dirname(map), sources[0] ?? ""));
    });
    assert.deepEqual(broken, []);
  });
});
