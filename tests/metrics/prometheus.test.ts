/** Prometheus itself and prom-client: that they take our text, and that a real Prometheus scrapes `holdfast serve`. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, it } from "node:test";
import { Counter, Registry } from "prom-client";
import { connect, listen, metrics } from "../../src/index.ts";
import { needed, PROMETHEUS, PROMTOOL } from "../kit/foreign-programs.ts";
import { Prometheus } from "../kit/prometheus.ts";
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
    const jobs = { holdfast: new URL(serving.http).host };
    await using scraping = await Prometheus.start(prometheus, { jobs, interval: "500ms" });
    const [sample] = await scraping.until(async () => {
      const found = await scraping.query('holdfast_messages_total{direction="in",role="server"}');
      return found.length > 0 ? found : undefined;
    });
    assert.equal(sample?.value, 1);
    assert.deepEqual(await scraping.targets(), [["up", ""]]);
  });
});
