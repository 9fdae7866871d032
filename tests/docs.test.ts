/** The documents: that their programs compile, their figures are the code's, and their links lead somewhere. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { END_CAUSES } from "../src/base/end-causes.ts";
import { ERROR_PLACES } from "../src/base/error-context.ts";
import { PROTOCOL_ERROR_REASONS } from "../src/base/protocol-reasons.ts";
import { REFUSALS } from "../src/base/refusals.ts";
import { METRICS } from "../src/base/vocabulary.ts";
import { ClosedError, DEFAULTS, HandshakeError } from "../src/index.ts";
import { reconnectKindOf } from "../src/reconnect/cause.ts";
import { VERDICTS } from "../src/reconnect/policy.ts";
import { brokersDocument } from "./brokers-document.ts";
import { cliDocument } from "./cli/document.ts";
import { closingDocument } from "./closing-document.ts";
import { endsDocument } from "./ends/document.ts";
import { TARGETS } from "./fuzz/targets.ts";
import { metricsDocument } from "./metrics/document.ts";
import { rulesFile } from "./monitoring/alerts.ts";
import { dashboardFile } from "./monitoring/dashboard.ts";
import { metricsOf, PANEL_ROWS } from "./monitoring/panels.ts";
import { type Fuzz, type KnownFault, proofDocument } from "./proof-document.ts";
import { topicFailuresDocument } from "./topics-document.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const DOCUMENTS = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"].concat(
  readdirSync(join(ROOT, "docs"))
    .filter((file) => file.endsWith(".md"))
    .map((file) => `docs/${file}`),
);
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

describe("the programs in README, docs/addresses.md, docs/topics.md and docs/dashboard.md", () => {
  it("compile against the package", async () => {
    const folder = join(ROOT, ".cache/readme");
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const documents = ["README.md", "docs/addresses.md", "docs/topics.md", "docs/dashboard.md"].map(read).join("\n");
    const programs = Array.from(documents.matchAll(/^```ts\n([\s\S]*?)^```$/gm), ([, text = ""]) => text);
    assert.ok(programs.length >= 2);
    for (const [index, text] of programs.entries()) writeFileSync(join(folder, `${index}.ts`), text);
    const config = {
      extends: "../../tsconfig.json",
      compilerOptions: { noEmit: true, noUnusedLocals: false },
      include: ["*.ts"],
    };
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
    assert.deepEqual(said, { ...DEFAULTS.connection });
  });
});

describe("the tables of limits in docs/security.md", () => {
  const { client, server, compression, connection } = DEFAULTS;
  const all: Readonly<Record<string, unknown>> = {
    ...client,
    ...server,
    ...server.close,
    ...Object.fromEntries(Object.entries(server.perAddress).map(([name, value]) => [`perAddress.${name}`, value])),
    ...compression,
    ...connection,
  };
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
    // Where hooks are called, how messages are compressed, how a server closes, and a limit of the kernel.
    const unbounding = ["highWaterMark", "lowWaterMark", "threshold", "level", "serverWindowBits", "clientWindowBits"];
    unbounding.push("drain", "opening", "code", "backlog");
    const limits = Object.keys(all).filter((name) => typeof all[name] === "number" && !unbounding.includes(name));
    assert.deepEqual(
      limits.filter((name) => !told.includes(name)),
      [],
    );
  });
});

describe("the table of causes in docs/reconnect.md", () => {
  const [, section = ""] = read("docs/reconnect.md").split("\n## The policy\n");
  const rows = Array.from(
    (section.split("\n### ")[0] ?? "").matchAll(/^\| `([\w-]+)` \| (.*?) \| (final|passing) \| (.*?) \|$/gm),
  );
  const whatOf = (kind: string): string => rows.find(([, name]) => name === kind)?.[2] ?? "";
  const numbersIn = (text: string): number[] => Array.from(text.matchAll(/\b\d{3,4}\b/g), ([found]) => Number(found));
  const NOTHING = { reason: "", wasClean: true, headers: {}, lived: 0 };

  it("has the verdict of the default policy and a reason for each kind", () => {
    assert.deepEqual(Object.fromEntries(rows.map(([, kind = "", , verdict]) => [kind, verdict])), VERDICTS);
    for (const [, kind, what, , why] of rows) assert.ok(what && why, kind);
  });

  it("names the final close codes", () => {
    const final = Array.from({ length: 4_000 }, (_, n) => 1_000 + n).filter((code) => {
      const error = new ClosedError({ closeCode: code, by: "peer", wasClean: true });
      const facts = { ...NOTHING, phase: "session", error, code, by: "peer", status: undefined } as const;
      return reconnectKindOf(facts) === "closed-for-good";
    });
    assert.deepEqual(numbersIn(whatOf("closed-for-good")), final);
  });

  it("names the final statuses", () => {
    const [refused = "", others = ""] = whatOf("refused-for-good").split("; ");
    const exceptions = numbersIn(refused.split("but for")[1] ?? "");
    const all = Array.from({ length: 500 }, (_, n) => 100 + n);
    const final = all.filter((status) => {
      const error = new HandshakeError({ problem: "x", phase: "upgrade", status });
      const facts = { ...NOTHING, phase: "upgrade", error, code: undefined, by: undefined, status } as const;
      return reconnectKindOf(facts) === "refused-for-good";
    });
    const client = all.filter((status) => status >= 400 && status < 500 && !exceptions.includes(status));
    assert.deepEqual(
      final,
      [...numbersIn(others), ...client].sort((one, other) => one - other),
    );
  });
});

describe("the table of places in docs/failures.md", () => {
  it("has each place that onError can be called from, and no other", () => {
    assert.deepEqual(namesIn("docs/failures.md", "Errors of your own code").sort(), Object.keys(ERROR_PLACES).sort());
  });
});

describe("the table of refusals in docs/failures.md", () => {
  it("has each reason with its status, and no other", () => {
    const [, section = ""] = read("docs/failures.md").split("\n## Refusals\n");
    const rows = section.split("\n## ")[0]?.matchAll(/^\| `(\w+)` \| (\w+) \| \S.* \| \S.* \| `tests.* \|$/gm) ?? [];
    const said = Array.from(rows, ([, reason = "", status = ""]) => [reason, Number(status) || status]);
    assert.equal(said.length, Object.keys(REFUSALS).length, "each reason stands there once");
    assert.deepEqual(Object.fromEntries(said), { ...REFUSALS });
  });
});

describe("the table of reasons in docs/failures.md", () => {
  it("has each reason of a ProtocolError with its code, and no other", () => {
    const [, section = ""] = read("docs/failures.md").split("\n### PROTOCOL\n");
    const rows = section.split("\n### ")[0]?.matchAll(/^\| `([\w-]+)` \| (\w+) \| \S.* \| `tests.* \|$/gm) ?? [];
    const said = Array.from(rows, ([, reason = "", code = ""]) => [reason, Number(code) || code]);
    assert.equal(said.length, Object.keys(PROTOCOL_ERROR_REASONS).length, "each reason stands there once");
    assert.deepEqual(Object.fromEntries(said), { ...PROTOCOL_ERROR_REASONS });
  });
});

/** The names in the first column of a section's table. */
function namesIn(document: string, heading: string): string[] {
  const [, section = ""] = read(document).split(`\n## ${heading}\n`);
  const rows = section.split("\n## ")[0]?.matchAll(/^\| (`.*?) \|/gm) ?? [];
  const cells = Array.from(rows, ([, cell = ""]) => cell).filter((cell) => cell !== "`place`");
  return cells.flatMap((cell) => cell.split(" / ").map((name) => name.replaceAll("`", "")));
}

function pick(from: Readonly<Record<string, unknown>>, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, from[name]]));
}

/** The meaning of a cell of the table. */
function meant(cell: string): number | string | boolean {
  if (cell === "never" || cell === "no limit") return Infinity;
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

/** The package has the documents, but not the tests and tools: to those a document refers by their path, without a link. */
const NOT_PACKED = /^(\.\.\/)?(tests|tools|bench|conformance|proof|\.ci)\//;

function leadsSomewhere(from: string, link: string): boolean {
  const [path = "", anchor] = link.split("#");
  if (NOT_PACKED.test(path)) return false;
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

it("the page about the end of a connection is the table that the code has", () => {
  assert.equal(read("docs/closing.md"), closingDocument(), "npm run docs writes it");
});

it("the page about brokers has what each of them can promise", () => {
  assert.equal(read("docs/brokers.md"), brokersDocument(), "npm run docs writes it");
});

it("the page about what each side gets is generated from the table that the matrix of ends checks", () => {
  assert.equal(read("docs/ends.md"), endsDocument(), "npm run docs writes it");
});

it("docs/topics-failures.md has the failures of topics and the tests that produce them", () => {
  assert.equal(read("docs/topics-failures.md"), topicFailuresDocument(), "npm run docs writes it");
});

it("the page about metrics has the vocabulary", () => {
  assert.equal(read("docs/metrics.md"), metricsDocument(), "npm run docs writes it");
});

describe("the files for monitoring", () => {
  it("are written from the vocabulary", () => {
    assert.equal(read("monitoring/holdfast.rules.yml"), rulesFile(), "npm run docs writes it");
    assert.equal(read("monitoring/holdfast.dashboard.json"), dashboardFile(), "npm run docs writes it");
  });

  it("have a panel for each metric", () => {
    const used = new Set(PANEL_ROWS.flatMap(({ panels }) => panels.flatMap(metricsOf)));
    const missing = Object.keys(METRICS).filter((name) => !used.has(name));
    assert.deepEqual(missing, [], "a new metric needs a panel in tests/monitoring/panels.ts");
  });
});

describe("the table of causes in docs/failures.md", () => {
  it("has each cause of an end, and no other", () => {
    const [, section = ""] = read("docs/failures.md").split("\n## Causes of an end\n");
    const rows = section.split("\n## ")[0]?.matchAll(/^\| (`.*?) \| \S.* \|$/gm) ?? [];
    const cells = Array.from(rows, ([, cell = ""]) => cell).filter((cell) => cell !== "`cause`");
    const said = cells.flatMap((cell) => cell.split(", ").map((name) => name.replaceAll("`", "")));
    assert.deepEqual(said.sort(), Object.keys(END_CAUSES).sort());
  });
});

it("the page about the command line is made from the manuals of the commands", async () => {
  assert.equal(read("docs/cli.md"), await cliDocument(), "npm run docs writes it");
});

it("the page of proofs is written from the recorded results", () => {
  assert.equal(read("docs/proof.md"), proofDocument(ROOT), "npm run docs writes it");
});

it("each fuzz target was run, and the fuzzer has made inputs and reached code", () => {
  const { targets } = JSON.parse(read("proof/results/fuzz.json")) as Fuzz;
  assert.deepEqual(Object.keys(targets).sort(), Object.keys(TARGETS).sort());
  const idle = Object.entries(targets).filter(([, { inputs, edges }]) => inputs === 0 || edges === 0);
  assert.deepEqual(idle, []);
});

it("each known fault that is mended names a test", () => {
  for (const { fault, state, test } of JSON.parse(read("proof/faults.json")) as readonly KnownFault[])
    assert.ok(state === "open" ? test === undefined : test !== undefined && existsSync(join(ROOT, test)), fault);
});
