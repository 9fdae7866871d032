/** Prometheus' own tool: that it accepts the rules, and that each rule fires when it should and at no other time. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { needed, PROMTOOL } from "../kit/foreign-programs.ts";
import { type AlertRule, alertRules, rulesFile } from "./alerts.ts";
import { select } from "./queries.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

type AlertName = AlertRule["alert"];

/** Values of a series, one each 15 s, in promtool's notation: `0+15x240` begins at 0 and adds 15, 240 times. */
type Series = Readonly<Record<string, string>>;

interface Check {
  /** As a duration since the first value. */
  readonly at: string;
  /** How the value of the alert is printed; undefined if the alert does not fire. */
  readonly value?: string;
}

interface Case {
  readonly alert: AlertName;
  readonly series: Series;
  readonly checks: readonly Check[];
}

const TARGET = { job: "chat", instance: "one:9000" };
const MORE = Object.entries(TARGET).map(([label, value]) => `${label}="${value}"`);

const opened = select("holdfast_connections_opened_total", { role: "server", protocol: "websocket" }, MORE);
const started = select("holdfast_started_timestamp_seconds", {}, MORE);
const slow = select("holdfast_connections_slow", { role: "server" }, MORE);
const open = select("holdfast_connections", { role: "server", protocol: "websocket", state: "open" }, MORE);
const overflow = select("holdfast_overflow_total", { policy: "drop-oldest" }, MORE);
const ends = (by: string, cause: string): string =>
  select("holdfast_connections_closed_total", { role: "server", by, cause }, MORE);
const closeWait = select("holdfast_tcp_sockets", { state: "close_wait" }, MORE);
const delayed = (le: string): string => select("holdfast_loop_blocked_seconds_bucket", {}, [...MORE, `le="${le}"`]);

// Long before the first value.
const OLD = "-100000+0x400";
const never = (...times: readonly string[]): Check[] => times.map((at) => ({ at }));

function connectionsSlow(count: number, lost: Series = { [overflow]: "0+1x100" }): Series {
  return { [slow]: `${count}+0x100`, [open]: "100+0x100", ...{ [ends("local", "overflow")]: "0+0x100" }, ...lost };
}

/** Ends in 15 s: of peers that have vanished, and others. */
function endsOf(vanished: number, others: number, more: Series = {}): Series {
  return {
    [ends("local", "heartbeat.timeout")]: `0+${vanished}x100`,
    [ends("peer", "peer")]: `0+${others}x100`,
    [delayed("0.0625")]: "0+750x100",
    [delayed("2")]: "0+750x100",
    [delayed("+Inf")]: "0+750x100",
    ...more,
  };
}

const CASES: Readonly<Record<string, Case>> = {
  "ReconnectStorm fires at 50 new connections per second where 1 is usual": {
    alert: "ReconnectStorm",
    series: { [started]: OLD, [opened]: "0+15x240 4350+750x40" },
    checks: [...never("59m", "60m", "61m"), { at: "63m", value: "50" }],
  },
  "ReconnectStorm fires just above 10 per second": {
    alert: "ReconnectStorm",
    series: { [started]: OLD, [opened]: "0+15x240 3757.5+157.5x40" },
    checks: [{ at: "64m", value: "10.5" }],
  },
  "ReconnectStorm does not fire at 9.9 per second, although it is far more than usual": {
    alert: "ReconnectStorm",
    series: { [started]: OLD, [opened]: "0+1.5x240 508.5+148.5x60" },
    checks: never("61m", "64m", "70m"),
  },
  "ReconnectStorm does not fire at 100 per second where 21 are usual": {
    alert: "ReconnectStorm",
    series: { [started]: OLD, [opened]: "0+315x240 77100+1500x80" },
    checks: never("62m", "64m", "70m", "79m"),
  },
  "ReconnectStorm fires at 110 per second where 21 are usual, and still after twenty minutes": {
    alert: "ReconnectStorm",
    series: { [started]: OLD, [opened]: "0+315x240 77250+1650x100" },
    checks: [
      { at: "64m", value: "110" },
      { at: "80m", value: "110" },
    ],
  },
  "ReconnectStorm does not fire when a burst of half a minute is over": {
    alert: "ReconnectStorm",
    series: { [started]: OLD, [opened]: "0+15x240 4350+750x1 5115+15x40" },
    checks: never("61m", "61m30s", "62m", "63m", "65m"),
  },
  "ReconnectStorm does not fire while the clients of a new process come, nor after that": {
    alert: "ReconnectStorm",
    series: { [started]: "0+0x400", [opened]: "0+1500x20 30300+300x300" },
    checks: never("1m", "2m", "5m", "6m", "9m", "10m", "11m", "15m", "20m", "40m", "70m"),
  },
  "ReconnectStorm does not fire when the clients return after a restart": {
    alert: "ReconnectStorm",
    series: { [started]: "-100000+0x240 3600+0x100", [opened]: "0+15x240 0+1500x12 18015+15x80" },
    checks: never("60m", "61m", "62m", "63m", "65m", "69m", "70m", "71m", "75m"),
  },
  "ReconnectStorm fires when they still return after ten minutes": {
    alert: "ReconnectStorm",
    series: { [started]: "-100000+0x240 3600+0x100", [opened]: "0+15x240 0+15x20 1800+1500x60" },
    checks: [...never("66m", "69m"), { at: "72m", value: "100" }],
  },

  "SlowConsumers fires if 6 of 100 are slow and messages are lost, after 2 minutes": {
    alert: "SlowConsumers",
    series: connectionsSlow(6),
    checks: [...never("1m", "2m"), { at: "3m", value: "6%" }],
  },
  "SlowConsumers does not fire if 5 of 100 are slow": {
    alert: "SlowConsumers",
    series: connectionsSlow(5),
    checks: never("3m", "10m", "20m"),
  },
  "SlowConsumers does not fire if half are slow and nothing is lost": {
    alert: "SlowConsumers",
    series: connectionsSlow(50, { [overflow]: "7+0x100" }),
    checks: never("3m", "10m", "20m"),
  },
  "SlowConsumers fires if connections end because their peers take nothing": {
    alert: "SlowConsumers",
    series: connectionsSlow(50, { [overflow]: "0+0x100", [ends("local", "writeTimeout")]: "0+1x100" }),
    checks: [{ at: "4m", value: "50%" }],
  },
  "SlowConsumers does not fire on a server without connections": {
    alert: "SlowConsumers",
    series: { [slow]: "0+0x100", [open]: "0+0x100", [overflow]: "0+1x100", [ends("local", "overflow")]: "0+0x100" },
    checks: never("3m", "10m", "20m"),
  },
  "SlowConsumers ends with a restart": {
    alert: "SlowConsumers",
    series: {
      ...{ [slow]: "9+0x20 0+0x80", [open]: "100+0x100", [overflow]: "0+10x20 0+0x80" },
      [ends("local", "overflow")]: "0+0x100",
    },
    checks: [{ at: "4m", value: "9%" }, ...never("6m", "8m", "12m")],
  },

  "ConnectionsNotClosed fires if 11 sockets are in CLOSE_WAIT for ten minutes": {
    alert: "ConnectionsNotClosed",
    series: { [closeWait]: "0+0x40 11+0x100" },
    checks: [...never("10m", "15m", "19m"), { at: "21m", value: "11" }],
  },
  "ConnectionsNotClosed does not fire at 10": {
    alert: "ConnectionsNotClosed",
    series: { [closeWait]: "10+0x100" },
    checks: never("5m", "11m", "24m"),
  },
  "ConnectionsNotClosed does not fire if there are many, but each is closed": {
    alert: "ConnectionsNotClosed",
    series: {
      [closeWait]: "500 90 300 2 700 4 80 0 500 90 300 2 700 4 80 0 500 90 300 2 700 4 80 0 500 90 300 2 700 4 80 0",
    },
    checks: never("3m", "5m", "7m"),
  },
  "ConnectionsNotClosed does not fire in the first 5 minutes": {
    alert: "ConnectionsNotClosed",
    series: { [closeWait]: "200+0x100" },
    checks: [...never("1m", "4m"), { at: "6m", value: "200" }],
  },
  "ConnectionsNotClosed ends with a restart": {
    alert: "ConnectionsNotClosed",
    series: { [closeWait]: "200+0x40 _ _ 0+0x60" },
    checks: [{ at: "10m", value: "200" }, ...never("11m", "15m", "20m")],
  },

  "PeersVanish fires if a third of the ends had a peer that no longer answered": {
    alert: "PeersVanish",
    series: endsOf(1, 2),
    checks: [...never("2m", "5m"), { at: "12m", value: "33.33%" }],
  },
  "PeersVanish does not fire at 3 in 10": {
    alert: "PeersVanish",
    series: endsOf(3, 7),
    checks: never("12m", "20m", "24m"),
  },
  "PeersVanish does not fire for a handful of ends": {
    alert: "PeersVanish",
    series: endsOf(0, 0, { [ends("local", "heartbeat.timeout")]: "0+0x20 1+1x8 9+0x70" }),
    checks: never("8m", "12m", "20m"),
  },
  "PeersVanish does not fire if this process has stalled": {
    alert: "PeersVanish",
    series: endsOf(5, 1, { [delayed("0.0625")]: "0+700x100", [delayed("2")]: "0+705x100" }),
    checks: never("12m", "20m", "24m"),
  },
  "PeersVanish does not fire at the start, before anything has ended": {
    alert: "PeersVanish",
    series: endsOf(0, 0),
    checks: never("1m", "10m", "20m"),
  },
  "PeersVanish does not fire if a process restarts after counting many": {
    alert: "PeersVanish",
    series: {
      ...endsOf(0, 1),
      [ends("local", "heartbeat.timeout")]: "5000+0x40 0+0x60",
    },
    checks: never("9m", "10m", "11m", "16m", "24m"),
  },
};

/** Runs `use` with a folder that is removed afterwards. */
function withFolder(use: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-promtool-"));
  try {
    use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function promtool(t: TestContext, folder: string, ...args: readonly string[]): string | undefined {
  const path = needed(t, PROMTOOL);
  if (path === undefined) return undefined;
  const { status, stdout, stderr } = spawnSync(path, args, { cwd: folder, encoding: "utf8" });
  assert.equal(status, 0, stdout + stderr);
  return stdout;
}

/** What promtool expects of an alert that fires with `value`. */
function firing(rule: AlertRule, value: string): object {
  const extra = rule.alert === "ConnectionsNotClosed" ? { state: "close_wait" } : {};
  const annotations = Object.entries(rule.annotations).map(([name, text]) => {
    const filled = text
      .replaceAll(/\{\{ \$labels\.(\w+) \}\}/g, (_, label: string) => TARGET[label as "job"])
      .replaceAll(/\{\{ \$value [^}]*\}\}/g, value);
    return [name, filled];
  });
  return {
    exp_labels: { ...rule.labels, ...TARGET, ...extra },
    exp_annotations: Object.fromEntries(annotations) as object,
  };
}

describe("promtool", () => {
  it("accepts the rules", (t) =>
    withFolder((folder) => {
      writeFileSync(join(folder, "holdfast.rules.yml"), rulesFile());
      const said = promtool(t, folder, "check", "rules", "holdfast.rules.yml");
      if (said !== undefined) assert.match(said, /SUCCESS: 4 rules found/);
    }));

  it("accepts what docs/monitoring.md shows, by the commands that it shows", (t) =>
    withFolder((folder) => {
      const text = readFileSync(join(ROOT, "docs/monitoring.md"), "utf8");
      const [, config = ""] = /^```yaml\n([\s\S]*?)^```$/m.exec(text) ?? [];
      const [, commands = ""] = /^```sh\n([\s\S]*?)^```$/m.exec(text) ?? [];
      // As npm installs the package.
      const installed = join(folder, "node_modules/holdfast/monitoring");
      mkdirSync(installed, { recursive: true });
      copyFileSync(join(ROOT, "monitoring/holdfast.rules.yml"), join(installed, "holdfast.rules.yml"));
      writeFileSync(join(folder, "prometheus.yml"), config);
      const lines = commands.trimEnd().split("\n");
      assert.equal(lines.length, 2);
      for (const line of lines) {
        const [program, ...args] = line.split(" ");
        assert.equal(program, "promtool");
        const said = promtool(t, folder, ...args);
        if (said !== undefined) assert.match(said, /SUCCESS/);
      }
    }));
});

describe("the rules, by promtool", () => {
  for (const [what, { alert, series, checks }] of Object.entries(CASES)) {
    it(what, (t) =>
      withFolder((folder) => {
        const rule = alertRules().find((one) => one.alert === alert);
        assert.ok(rule);
        writeFileSync(join(folder, "holdfast.rules.yml"), rulesFile());
        const test = {
          rule_files: ["holdfast.rules.yml"],
          evaluation_interval: "15s",
          tests: [
            {
              interval: "15s",
              input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
              alert_rule_test: checks.map(({ at, value }) => ({
                eval_time: at,
                alertname: alert,
                exp_alerts: value === undefined ? [] : [firing(rule, value)],
              })),
            },
          ],
        };
        // JSON is YAML.
        writeFileSync(join(folder, "tests.yml"), JSON.stringify(test));
        promtool(t, folder, "test", "rules", "tests.yml");
      }),
    );
  }
});
