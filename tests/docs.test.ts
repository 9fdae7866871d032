/** The documents: that their programs compile, their figures are the code's, and their links lead somewhere. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { COMPRESSION_DEFAULTS } from "../src/connection/compression.js";
import { ENDPOINT_DEFAULTS } from "../src/endpoint/options.js";
import { DEFAULTS } from "../src/index.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const DOCUMENTS = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"].concat(
  readdirSync(join(ROOT, "docs")).map((file) => `docs/${file}`),
);
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

describe("the programs in README", () => {
  it("compile against the package", async () => {
    const folder = join(ROOT, ".cache/readme");
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const programs = Array.from(read("README.md").matchAll(/^```ts\n([\s\S]*?)^```$/gm), ([, text = ""]) => text);
    assert.ok(programs.length >= 2);
    for (const [index, text] of programs.entries()) writeFileSync(join(folder, `${index}.ts`), text);
    const config = { extends: "../../tsconfig.json", compilerOptions: { noEmit: true }, include: ["*.ts"] };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));

    const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
    const said = await new Promise((resolve) => {
      execFile(process.execPath, [compiler, "-p", folder], (error, stdout) => resolve(error === null ? "" : stdout));
    });
    assert.equal(said, "");
  });
});

describe("the table of defaults in README", () => {
  it("says what applies, of every option", () => {
    const [, section = ""] = read("README.md").split("\n## Defaults\n");
    const rows = section.split("\n## ")[0]?.matchAll(/^\| (`.*?) \| (.*?) \|/gm) ?? [];
    const said: Record<string, unknown> = {};
    for (const [, options = "", cells = ""] of rows) {
      const values = cells.split(" / ").map(meant);
      for (const [index, name] of options.split(" / ").entries()) said[name.replaceAll("`", "")] = values[index];
      if (options === "`heartbeat`") said["heartbeat"] = { interval: values[0], timeout: values[1] };
    }
    assert.deepEqual(said, { ...DEFAULTS });
  });
});

describe("the tables of limits in docs/security.md", () => {
  const all: Readonly<Record<string, unknown>> = { ...COMPRESSION_DEFAULTS, ...ENDPOINT_DEFAULTS, ...DEFAULTS };
  const rows = Array.from(read("docs/security.md").matchAll(/^\| (`\w.*?) \| (.*?) \| (.*?) \| (.*?) \|$/gm));

  it("say what applies, the reason, and what happens", () => {
    for (const [, options = "", cells = "", why, happens] of rows) {
      const names = options.split(" / ").map((name) => name.replaceAll("`", ""));
      const values = cells.split(" / ").map(meant);
      const [name = ""] = names;
      if (name === "heartbeat") assert.deepEqual({ interval: values[0], timeout: values[1] }, all[name]);
      else assert.deepEqual(Object.fromEntries(names.map((one, index) => [one, values[index]])), pick(all, names));
      assert.ok(why && happens, name);
    }
  });

  it("leave out nothing that bounds", () => {
    const told = rows.flatMap(([, options = ""]) => options.split(" / ").map((name) => name.replaceAll("`", "")));
    // Where hooks are called, what is not compressed, and how long a server that closes waits for others.
    const unbounding = ["highWaterMark", "lowWaterMark", "threshold", "level", "drain"];
    const limits = Object.keys(all).filter((name) => typeof all[name] === "number" && !unbounding.includes(name));
    assert.deepEqual(
      limits.filter((name) => !told.includes(name)),
      [],
    );
  });
});

function pick(from: Readonly<Record<string, unknown>>, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, from[name]]));
}

/** What a cell of the table stands for. */
function meant(cell: string): number | string | boolean {
  if (cell === "never") return Infinity;
  if (cell === "true" || cell === "false") return cell === "true";
  const [, quoted] = /^`"(.*)"`$/.exec(cell) ?? [];
  if (quoted !== undefined) return quoted;
  const [, figure = "", unit = ""] = /^([\d,]+)(?: (s|KiB|MiB))?$/.exec(cell) ?? [];
  const scale: Record<string, number> = { s: 1_000, KiB: 1_024, MiB: 1_048_576, "": 1 };
  return Number(figure.replaceAll(",", "") || Number.NaN) * (scale[unit] ?? Number.NaN);
}

describe("the links between documents", () => {
  for (const document of DOCUMENTS) {
    it(`lead somewhere from ${document}`, () => {
      const links = Array.from(withoutPrograms(read(document)).matchAll(/\]\(([^)\s]+)\)/g), ([, link = ""]) => link);
      assert.deepEqual(
        links.filter((link) => !/^[a-z]+:/.test(link) && !leadsSomewhere(document, link)),
        [],
      );
    });
  }
});

function leadsSomewhere(from: string, link: string): boolean {
  const [path = "", anchor] = link.split("#");
  const target = path === "" ? join(ROOT, from) : join(ROOT, dirname(from), path);
  if (!existsSync(target)) return false;
  if (anchor === undefined) return true;
  const headings = withoutPrograms(readFileSync(target, "utf8")).matchAll(/^#+ (.*)$/gm);
  return Array.from(headings, ([, heading = ""]) => slug(heading)).includes(anchor);
}

/** A heading's anchor, as GitHub makes it. */
function slug(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replaceAll(" ", "-");
}

function withoutPrograms(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, "");
}

describe("the newcomer's map in CONTRIBUTING", () => {
  it("names files and folders that are there", () => {
    const named = read("CONTRIBUTING.md").matchAll(/`((?:src|tests|docs)\/[\w./-]*)`/g);
    const missing = Array.from(named, ([, path = ""]) => path).filter((path) => !existsSync(join(ROOT, path)));
    assert.deepEqual(missing, []);
  });
});
