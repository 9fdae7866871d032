/** Checks docs/failures.md: it has every error, limit, symptom and fault, and the tests that it names exist. */

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { FindingKind } from "../../src/cli/doctor/diagnosis.ts";
import { type ConnectionError, type ConnectPhase, DEFAULTS } from "../../src/index.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const text = readFileSync(join(ROOT, "docs/failures.md"), "utf8");

// Records, so that a name that is added to one of these types and not here does not compile.
const CODES: Record<ConnectionError["code"], true> = {
  ...{ CLOSED: true, TIMEOUT: true, PROTOCOL: true, HANDSHAKE: true, LIMIT: true, TRANSPORT: true, IN_DOUBT: true },
};
const PHASES: Record<ConnectPhase, true> = {
  ...{ dns: true, queue: true, tcp: true, proxy: true, tls: true, upgrade: true },
};
const ILLNESSES: Record<FindingKind, true> = {
  ...{ "close-wait": true, "half-open": true, "send-queue": true, "receive-queue": true },
  ...{ "accept-queue": true, unanswered: true, descriptors: true, "zero-window": true, lossy: true, far: true },
};

const missing = (names: readonly string[], written: (name: string) => string): string[] =>
  names.filter((name) => !text.includes(written(name)));

describe("the document of failures", () => {
  it("has a chapter for each code", () => {
    assert.deepEqual(
      missing(Object.keys(CODES), (code) => `\n### ${code}\n`),
      [],
    );
  });

  it("has every limit of time, phase and illness", () => {
    const lengths = Object.keys(DEFAULTS.connection).filter(
      (name) => name.endsWith("Timeout") && name !== "midFrameTimeout",
    );
    const limits = [...lengths, "lifetime", "heartbeat.timeout", "readDeadline", "writeDeadline"];
    assert.deepEqual(
      missing(limits, (limit) => `\`${limit}\``),
      [],
    );
    assert.deepEqual(
      missing(Object.keys(PHASES), (phase) => `| \`${phase}\``),
      [],
    );
    assert.deepEqual(
      missing(Object.keys(ILLNESSES), (illness) => `| \`${illness}\`: `),
      [],
    );
  });

  it("names existing tests in every row, and every file of tests/faults", () => {
    const named = Array.from(text.matchAll(/`(tests\/[^`]*)`/g), ([, path = ""]) => path);
    assert.deepEqual(
      named.filter((path) => !existsSync(join(ROOT, path))),
      [],
    );
    // The rows of this chapter lead to rows of the others.
    const [before = "", causes = ""] = text.split(/^## Causes of an end$/m);
    const others = before + causes.slice(causes.indexOf("\n## "));
    const rows = others.split("\n").filter((line) => line.startsWith("| ") && !line.includes("shown by"));
    assert.deepEqual(
      rows.filter((row) => !row.includes("`tests/")),
      [],
    );
    const faults = readdirSync(join(ROOT, "tests/faults")).filter((file) =>
      /(?<!failures|scenarios)\.test\.ts$/.test(file),
    );
    assert.deepEqual(
      faults.filter((file) => !named.includes(`tests/faults/${file}`)),
      [],
    );
  });
});
