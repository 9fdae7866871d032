/** The report of `holdfast bench` in a browser. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { compare } from "../../../src/cli/bench/comparison.ts";
import { judge, parseExpectation } from "../../../src/cli/bench/expectation.ts";
import { htmlReport } from "../../../src/cli/bench/html-report.ts";
import type { BenchResult } from "../../../src/cli/bench/result.ts";
import { CHROMIUM, found, wanting } from "../../kit/foreign-programs.ts";
import { SAMPLE_PLAN, sampleResult } from "./sample-result.ts";

const executablePath = found(CHROMIUM);
const strict = process.env["HOLDFAST_REQUIRE_ALL"] === "1";
const skip = executablePath === undefined && !strict && wanting(CHROMIUM);

describe("the page of a result in Chromium", { skip, timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
  let browser: Browser;

  before(async () => {
    browser = await chromium.launch({ executablePath: executablePath ?? CHROMIUM.name, args: ["--no-sandbox"] });
  });
  after(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true });
  });

  /** The page of `result`, and what the browser reported. */
  async function opened(
    result: BenchResult,
    options: { width?: number; colorScheme?: "light" | "dark" } = {},
  ): Promise<{ page: Page; faults: string[] }> {
    const path = join(folder, "report.html");
    const verdicts = judge([parseExpectation("p99<50ms"), parseExpectation("p50<1us")], result);
    writeFileSync(path, htmlReport(result, verdicts, compare(sampleResult({}, SAMPLE_PLAN, 2), result)));
    const { width = 1_000, colorScheme = "light" } = options;
    const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme });
    const faults: string[] = [];
    page.on("console", (message) => void faults.push(message.text()));
    page.on("pageerror", (error) => void faults.push(error.message));
    page.on("request", (request) => void (request.url().startsWith("file:") || faults.push(request.url())));
    await page.goto(pathToFileURL(path).href);
    return { page, faults };
  }

  for (const colorScheme of ["light", "dark"] as const) {
    it(`draws each chart, and has its values as a table, in the ${colorScheme} scheme`, async () => {
      const { page, faults } = await opened(sampleResult(), { colorScheme });
      assert.deepEqual(faults, []);
      const titles = ["Latency over time", "Latency by percentile", "Distribution of latencies", "Messages per second"];
      assert.deepEqual(await page.locator("h2").allTextContents(), titles);
      // A canvas on which something is drawn has more than one colour.
      const drawn = await page.locator("canvas").evaluateAll((canvases) =>
        canvases.map((canvas) => {
          const { width, height } = canvas as unknown as { width: number; height: number };
          const context = (
            canvas as unknown as { getContext(kind: "2d"): { getImageData(...area: number[]): { data: Uint8Array } } }
          ).getContext("2d");
          const { data } = context.getImageData(0, 0, width, height);
          return new Set(new Uint32Array(data.buffer)).size > 10;
        }),
      );
      assert.deepEqual(drawn, [true, true, true, true]);
      assert.deepEqual(
        await page
          .locator(".scroll table")
          .evaluateAll((tables) => tables.map((one) => one.querySelectorAll("tbody tr").length > 5)),
        [true, true, true, true],
      );
      await page.close();
    });
  }

  it("has the summary, the checks, the conditions and the comparison", async () => {
    const { page } = await opened(sampleResult({ lost: 7 }));
    const text = await page.locator("#tables").innerText();
    for (const expected of [
      /p50\s+1 ms/,
      /lost\s+7/,
      /p99<50ms\s+\S+ ms\s+met/,
      /p50<1us\s+1 ms\s+not met/,
      /p50\s+2 ms\s+1 ms\s+0\.5\s+better/,
    ]) {
      assert.match(text, expected);
    }
    await page.close();
  });

  it("shows a text of a server as a text", async () => {
    const hostile = "<img src=x onerror=alert(1)></script><script>alert(1)</script>";
    const { page, faults } = await opened({ ...sampleResult(), reasons: { [hostile]: 1 } });
    assert.deepEqual(faults, []);
    assert.equal(await page.locator("img").count(), 0);
    assert.equal(await page.getByText(hostile).count(), 1);
    await page.close();
  });

  it("fits a phone, and a chart follows the width", async () => {
    const { page, faults } = await opened(sampleResult(), { width: 360 });
    const overflow = (): Promise<number> =>
      page.evaluate(() => {
        const { scrollWidth, clientWidth } = (
          globalThis as unknown as { document: { documentElement: { scrollWidth: number; clientWidth: number } } }
        ).document.documentElement;
        return scrollWidth - clientWidth;
      });
    assert.equal(await overflow(), 0);
    const widthOf = async (): Promise<number> => (await page.locator(".uplot").first().boundingBox())?.width ?? 0;
    const narrow = await widthOf();
    await page.setViewportSize({ width: 900, height: 800 });
    await page.waitForFunction(
      (before) =>
        (
          globalThis as unknown as { document: { querySelector(name: string): { clientWidth: number } } }
        ).document.querySelector(".uplot").clientWidth > before,
      narrow,
    );
    assert.deepEqual(faults, []);
    await page.close();
  });
});
