/**
 * The page of the dashboard in Chromium, with a server under load: `npm run dashboard -- time` measures how long the page works for an
 * update, `npm run dashboard -- pictures FOLDER` makes its pictures.
 */

import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ready, root } from "./ready.mjs";

const USAGE = `npm run dashboard -- time [--connections N]
npm run dashboard -- pictures FOLDER [--connections N] [--minutes N]
`;
const MAIN = join(root, "dist/cli/main.js");
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { connections: { type: "string" }, minutes: { type: "string", default: "10" } },
});
const [task, folder] = positionals;
if (!(task === "time" || (task === "pictures" && folder !== undefined))) {
  process.stderr.write(USAGE);
  process.exit(2);
}
await ready();
const { chromium } = await import("playwright-core");
const children = [];

/** Starts a command of holdfast. Its output comes line by line. */
function holdfast(...args) {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "ignore"] });
  children.push(child);
  return child;
}

async function served() {
  const child = holdfast("serve", "--port", "0", "--no-tcp", "--json", "--max-connections", "30000");
  const line = await new Promise((resolve) => child.stdout.setEncoding("utf8").once("data", resolve));
  return JSON.parse(line).ws;
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** How long the page works for an update in each view. */
async function measured(browser, page, connections) {
  const results = {};
  for (const view of ["overview", "connections", "ended", "causes", "system"]) {
    const opened = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    await opened.goto(`${page}#/${view}`);
    await opened.locator("main h2").first().waitFor();
    // The first updates have all of the history, and the program is not compiled yet.
    await pause(5_000);
    const session = await opened.context().newCDPSession(opened);
    // Processor time of the page's thread: what else runs on the machine does not count.
    await session.send("Performance.enable", { timeDomain: "threadTicks" });
    const counters = async () =>
      Object.fromEntries(
        (await session.send("Performance.getMetrics")).metrics.map(({ name, value }) => [name, value]),
      );
    await opened.evaluate("performance.clearMeasures()");
    const before = await counters();
    await pause(20_000);
    const after = await counters();
    const times = await opened.evaluate(
      "performance.getEntriesByName('holdfast-update').map(({ duration }) => duration)",
    );
    times.sort((a, b) => a - b);
    const each = (name) => Number((((after[name] - before[name]) * 1_000) / times.length).toFixed(2));
    results[view] = {
      updates: times.length,
      p50: Number(times[Math.floor(times.length / 2)].toFixed(1)),
      max: Number(times.at(-1).toFixed(1)),
      script: each("ScriptDuration"),
      layout: Number((each("LayoutDuration") + each("RecalcStyleDuration")).toFixed(2)),
      total: each("TaskDuration"),
    };
    await opened.close();
  }
  process.stdout.write(
    `${connections} connections; ${cpus()[0]?.model}, ${cpus().length} cores; Chromium ${browser.version()}. Milliseconds for an update: p50 and max by the clock, the others of the processor:\n`,
  );
  console.table(results);
}

const PICTURES = [
  { name: "overview-light", view: "overview", width: 1_280, height: 860, colorScheme: "light" },
  { name: "overview-dark", view: "overview", width: 1_280, height: 860, colorScheme: "dark" },
  { name: "connections-light", view: "connections", width: 1_280, height: 620, colorScheme: "light" },
  { name: "connection-dark", view: "connection", width: 1_280, height: 900, colorScheme: "dark" },
  { name: "ended-light", view: "ended", width: 1_280, height: 620, colorScheme: "light" },
  { name: "phone-light", view: "overview", width: 360, height: 740, colorScheme: "light" },
  { name: "phone-dark", view: "connections", width: 360, height: 740, colorScheme: "dark" },
];

async function pictures(browser, page) {
  mkdirSync(folder, { recursive: true });
  for (const { name, view, width, height, colorScheme } of PICTURES) {
    const opened = await browser.newPage({ viewport: { width, height }, colorScheme });
    await opened.goto(`${page}#/${view === "connection" ? "connections" : view}`);
    await opened.locator("main h2").first().waitFor();
    if (view === "connection") {
      await opened.locator("table.rows tbody a").first().click();
      await opened.getByRole("button", { name: "Trace" }).click();
    }
    await pause(2_500);
    // A third of the size of a PNG. Playwright itself does not write it.
    const session = await opened.context().newCDPSession(opened);
    const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: 70 });
    writeFileSync(join(folder, `${name}.webp`), Buffer.from(data, "base64"));
    await opened.close();
  }
}

try {
  const ws = await served();
  const page = `${ws.replace("ws", "http")}/dashboard`;
  const minutes = task === "time" ? 1 : Number(values.minutes);
  const connections = Number(values.connections ?? (task === "time" ? 10_000 : 400));
  const rate = task === "time" ? 2_000 : 500;
  const load = (...args) => holdfast("bench", ...args, "--duration", `${minutes * 60 + 240}s`, "--json");
  load(`${ws}/echo`, "--connections", String(connections), "--rate", String(rate), "--pace", "timer");
  load(`${ws}/chat`, "--work", "broadcast", "--connections", "50", "--rate", "20", "--slow", "3", "--pace", "timer");
  load(`${ws}/echo`, "--work", "connect", "--connections", "10", "--rate", "5", "--pace", "timer");
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox"],
  });
  await pause(minutes * 60_000);
  if (task === "time") await measured(browser, page, connections);
  else await pictures(browser, page);
  await browser.close();
} finally {
  for (const child of children) child.kill();
}
