/**
 * Writes the report of the public interface, `api/*.api.md`: `npm run api`. With `--check` it writes nothing, and fails if a report is
 * not current. Either way it fails if an exported type leans on one that no entry point exports.
 *
 * The reports are for the review: a change of a public declaration is a change of a report. Needs API Extractor: `npm run peers`.
 */

import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ready, root } from "./ready.mjs";

/** By the name of the report. The first is the main entry point: the others may use what it exports. */
const ENTRIES = {
  holdfast: "index",
  testing: "testing/index",
  workers: "workers/index",
  kernel: "kernel/index",
  redis: "broker/redis/index",
  nats: "broker/nats/index",
  otel: "otel/index",
  dashboard: "dashboard/index",
};

/** Types that are not exported on purpose. */
const HIDDEN = {
  // Programs catch the union ConnectionError, or one of its members.
  ConnectionErrorBase: true,
  // A step of the recursive type ParamsOf.
  NameIn: true,
};

const { values } = parseArgs({ options: { check: { type: "boolean", default: false } } });
await ready();
const home = join(root, ".cache/peers");
if (!existsSync(join(home, "node_modules/@microsoft/api-extractor"))) {
  console.error("needs API Extractor: npm run peers");
  process.exit(1);
}
const { Extractor, ExtractorConfig } = createRequire(join(home, "package.json"))("@microsoft/api-extractor");

/** The names that the main entry point exports, types included. */
const known = new Set();
for (const [name, entry] of Object.entries(ENTRIES)) {
  const problems = [];
  const result = Extractor.invoke(configOf(name, entry), {
    localBuild: !values.check,
    messageCallback(message) {
      message.handled = true;
      const [, symbol] = /The symbol "(\w+)"/.exec(message.text) ?? [];
      const forgotten = message.messageId === "ae-forgotten-export";
      if (forgotten && !(symbol in HIDDEN) && !known.has(symbol)) problems.push(message.text);
      else if (!forgotten && message.logLevel === "error") problems.push(message.text);
    },
  });
  if (values.check && result.apiReportChanged) problems.push(`api/${name}.api.md is not current: npm run api`);
  for (const problem of problems) console.error(`${name}: ${problem}`);
  if (problems.length > 0) process.exitCode = 1;
  if (name === "holdfast") for (const symbol of exportsOf(join(root, "src/index.ts"))) known.add(symbol);
}

function exportsOf(path) {
  const text = readFileSync(path, "utf8");
  const lists = Array.from(text.matchAll(/export (?:type )?\{([^}]*)\}/g), ([, list]) => list.split(","));
  return lists.flat().map((one) => one.trim().replace(/^type /, ""));
}

function configOf(name, entry) {
  const reportTempFolder = join(root, ".cache/api");
  mkdirSync(reportTempFolder, { recursive: true });
  mkdirSync(join(root, "api"), { recursive: true });
  const compilerOptions = {
    ...{ module: "nodenext", moduleResolution: "nodenext", target: "es2022", strict: true, skipLibCheck: true },
    ...{ lib: ["es2023", "esnext.disposable"], types: ["node"] },
  };
  const path = join(root, "dist", `${entry}.d.ts`);
  return ExtractorConfig.prepare({
    configObject: {
      projectFolder: root,
      mainEntryPointFilePath: path,
      newlineKind: "lf",
      compiler: { overrideTsconfig: { compilerOptions, files: [path] } },
      apiReport: {
        enabled: true,
        reportFileName: `${name}.api.md`,
        reportFolder: join(root, "api"),
        reportTempFolder,
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      messages: {
        compilerMessageReporting: { default: { logLevel: "error" } },
        extractorMessageReporting: { default: { logLevel: "none" }, "ae-forgotten-export": { logLevel: "warning" } },
        tsdocMessageReporting: { default: { logLevel: "none" } },
      },
    },
    configObjectFullPath: undefined,
    packageJsonFullPath: join(root, "package.json"),
  });
}
