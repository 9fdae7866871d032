/** Prometheus itself and prom-client: that they take our text, and that a real Prometheus scrapes `holdfast serve`. */

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Counter, Registry } from "prom-client";
import { connect, listen, metrics } from "../../src/index.ts";
import { needed, PROMETHEUS, PROMTOOL } from "../kit/foreign-programs.ts";
import { ServeProcess } from "../kit/serve-process.ts";

/** Of a process that has used servers and clients. */
async function usedText(): Promise<string> {
  await using server = await listen("ws://127.0.0.1:0", {
    message: (connection, data) => void connection.trySend(data),
  });
  await using tcp = await listen("tcp://127.0.0.1:0", { framing: "lines", message: () => undefined });
  await using client = await connect(server.url);
  await using other = await connect(tcp.url, { framing: "lines" });
  await client.send("hello");
  await client.receive();
  await other.send("line");
  return metrics(process).text();
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe("the text for Prometheus", () => {
  it("is accepted by promtool, without a remark", async (t) => {
    const promtool = needed(t, PROMTOOL);
    if (promtool === undefined) return;
    const { status, stdout, stderr } = spawnSync(promtool, ["check", "metrics"], {
      input: await usedText(),
      encoding: "utf8",
    });
    assert.deepEqual([status, stdout, stderr], [0, "", ""]);
  });

  it("follows the text of prom-client on one page, which promtool accepts", async (t) => {
    const promtool = needed(t, PROMTOOL);
    if (promtool === undefined) return;
    const register = new Registry();
    new Counter({ name: "orders_total", help: "Orders.", registers: [register] }).inc();
    const page = `${await register.metrics()}\n${metrics(process).text()}`;
    const { status, stdout, stderr } = spawnSync(promtool, ["check", "metrics"], { input: page, encoding: "utf8" });
    assert.deepEqual([status, stdout, stderr], [0, "", ""]);
    assert.match(page, /^orders_total 1$/m);
    assert.match(page, /^holdfast_build_info/m);
  });

  it("has at most 400 series in a process with servers and clients", async () => {
    const lines = (await usedText()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    assert.ok(lines.length <= 400, `${lines.length} series`);
  });
});

describe("holdfast serve", () => {
  it("has with --workers a text of at most 400 series that promtool accepts", async (t) => {
    const promtool = needed(t, PROMTOOL);
    if (promtool === undefined) return;
    await using serving = await ServeProcess.start("--workers", "2");
    await using chat = await connect(`${serving.addresses.ws}/chat`);
    await chat.send("hello");
    const input = await (await fetch(`${serving.http}/metrics`)).text();
    const { status, stdout, stderr } = spawnSync(promtool, ["check", "metrics"], { input, encoding: "utf8" });
    assert.deepEqual([status, stdout, stderr], [0, "", ""]);
    const series = input.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    assert.ok(series.length > 200 && series.length <= 400, `${series.length} series`);
  });

  it("is scraped by Prometheus, which then answers a query", async (t) => {
    const prometheus = needed(t, PROMETHEUS);
    if (prometheus === undefined) return;
    await using serving = await ServeProcess.start("--no-tcp");
    await using client = await connect(`${serving.addresses.ws}/echo`);
    await client.send("hello");
    await client.receive();
    const folder = mkdtempSync(join(tmpdir(), "holdfast-prometheus-"));
    const port = await freePort();
    const target = new URL(serving.http).host;
    const config = {
      global: { scrape_interval: "500ms" },
      scrape_configs: [{ job_name: "holdfast", static_configs: [{ targets: [target] }] }],
    };
    // JSON is YAML.
    writeFileSync(join(folder, "prometheus.yml"), JSON.stringify(config));
    const program = spawn(
      prometheus,
      [
        `--config.file=${join(folder, "prometheus.yml")}`,
        `--storage.tsdb.path=${join(folder, "data")}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      { stdio: "ignore" },
    );
    const ended = new Promise((resolve) => program.once("exit", resolve));
    try {
      const query = encodeURIComponent('holdfast_messages_total{direction="in",role="server"}');
      let value: string | undefined;
      while (value === undefined) {
        await new Promise((resolve) => setTimeout(resolve, 200));
        const response = await fetch(`http://127.0.0.1:${port}/api/v1/query?query=${query}`).catch(() => undefined);
        if (!response?.ok) continue;
        const { data } = (await response.json()) as { data: { result: { value: [number, string] }[] } };
        value = data.result[0]?.value[1];
      }
      assert.equal(value, "1");
      const up = await fetch(`http://127.0.0.1:${port}/api/v1/targets`);
      const { data } = (await up.json()) as { data: { activeTargets: { health: string; lastError: string }[] } };
      assert.deepEqual(
        data.activeTargets.map(({ health, lastError }) => [health, lastError]),
        [["up", ""]],
      );
    } finally {
      program.kill();
      await ended;
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
