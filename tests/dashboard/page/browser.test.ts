/** The page of the dashboard in Chromium. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { connect } from "../../../src/index.ts";
import { BrowserPage, launchChromium } from "../../kit/browser-page.ts";
import { ChildProgram } from "../../kit/child-process.ts";
import { CHROMIUM, found, wanting } from "../../kit/foreign-programs.ts";
import { portIn, ServeProcess } from "../../kit/serve-process.ts";
import { ShownServer } from "./shown-server.ts";

const strict = process.env["HOLDFAST_REQUIRE_ALL"] === "1";
const skip = found(CHROMIUM) === undefined && !strict && wanting(CHROMIUM);
const MAIN = fileURLToPath(new URL("../../../src/cli/main.js", import.meta.url));
const HOSTILE = '<img src=x onerror="document.title=1">';
const VIEWS = ["overview", "connections", "ended", "system", "causes"];

/** The texts of a column of the table with this caption. */
function column(page: Page, caption: string, heading: string): Promise<string[]> {
  // A string: this program has no types of a browser.
  return page.evaluate(`(() => {
    const table = [...document.querySelectorAll("table.rows")].find((one) => one.caption.textContent === ${JSON.stringify(caption)});
    const at = [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent.replace(/[▼▲]/, "") === ${JSON.stringify(heading)});
    return [...table.tBodies[0].rows].map((row) => row.cells[at].textContent);
  })()`);
}

const rowsOf = (page: Page, text: string) => page.locator("table.rows tbody tr", { hasText: text });

describe("the page of the dashboard", { skip, timeout: 180_000 }, () => {
  let browser: Browser;
  before(async () => {
    browser = await launchChromium();
  });
  after(() => browser?.close());

  describe("of holdfast serve, under the load of holdfast bench", () => {
    let serving: ServeProcess;
    let load: ChildProgram;
    let opened: BrowserPage;
    let page: Page;
    before(async () => {
      serving = await ServeProcess.start("--no-tcp");
      const bench = [
        "bench",
        `${serving.addresses.ws}/echo`,
        "--connections",
        "60",
        "--rate",
        "1000",
        "--pace",
        "timer",
        "--duration",
        "90s",
      ];
      load = new ChildProgram(MAIN, bench, { stderr: "kept" });
      opened = await BrowserPage.open(browser, `${serving.http}/dashboard`);
      page = opened.page;
    });
    after(async () => {
      await opened?.[Symbol.asyncDispose]();
      await load?.[Symbol.asyncDispose]();
      await serving?.[Symbol.asyncDispose]();
    });

    it("shows its numbers, and breaks no rule of its policy", async () => {
      await page.getByText("live", { exact: true }).waitFor();
      await page.locator(".chart").first().waitFor();
      assert.ok((await page.locator(".chart").count()) >= 11);
      assert.equal(await page.locator(".chart table").count(), await page.locator(".chart canvas").count());
      await opened.until("Number(document.querySelector('.chart .legend tbody td').textContent) >= 60");
      assert.deepEqual(opened.faults, []);
    });

    it("draws its charts", async () => {
      // Each chart is drawn in every other second.
      await opened.until(`[...document.querySelectorAll(".chart canvas")].every((canvas) => {
        // A copy, because Chromium warns of a canvas that is read more than once.
        const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
        copy.drawImage(canvas, 0, 0);
        const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
        return new Set(new Uint32Array(data.buffer)).size > 5;
      })`);
    });

    it("shows at most 50 connections, sorted by the heading that was pressed, and says so", async () => {
      await page.getByRole("link", { name: /^Connections/ }).click();
      await page.getByText("the first 50").waitFor();
      const heading = page.locator("th", { hasText: /^id/ });
      await heading.getByRole("button").click();
      await page.locator("th[aria-sort=ascending]", { hasText: /^id/ }).waitFor();
      await opened.until(`(() => {
        const ids = [...document.querySelectorAll("table.rows tbody th")].map((one) => Number(one.textContent));
        return ids.length === 50 && ids.every((id, at) => at === 0 || id > ids[at - 1]);
      })()`);
      await heading.getByRole("button").click();
      await page.locator("th[aria-sort=descending]", { hasText: /^id/ }).waitFor();
      await opened.until(`(() => {
        const ids = [...document.querySelectorAll("table.rows tbody th")].map((one) => Number(one.textContent));
        return ids.every((id, at) => at === 0 || id < ids[at - 1]);
      })()`);
    });

    it("shows a client by the filter", async () => {
      await using client = await connect(`${serving.addresses.ws}/chat`);
      await page.getByRole("searchbox").fill("/chat");
      await opened.until(`document.querySelectorAll("table.rows tbody tr").length === 1`);
      assert.deepEqual(await column(page, "Connections", "path"), ["/chat"]);
      await client.close();
      await page.getByText("No connection matches the filter.").waitFor();
      await page.getByRole("searchbox").fill("");
      await page.getByText("the first 50").waitFor();
    });

    it("stands still while it is paused, and has what it missed afterwards", async () => {
      await page.getByRole("button", { name: "Pause" }).click();
      await page.getByText(/^paused at/).waitFor();
      const measures = "performance.getEntriesByName('holdfast-update').length";
      // An answer to a question that was asked before may still come.
      await page.waitForTimeout(1_100);
      const before = await page.evaluate(measures);
      await page.waitForTimeout(2_100);
      assert.equal(await page.evaluate(measures), before);
      await page.getByRole("button", { name: "Continue" }).click();
      await opened.until(`${measures} > ${before}`);
      assert.deepEqual(opened.faults, []);
    });

    it("explains one connection: limits, kernel, events, frames", async () => {
      await page.getByRole("link", { name: "Connections" }).click();
      await rowsOf(page, "/echo").first().getByRole("link").click();
      await page.getByRole("heading", { name: /^Connection \d+/ }).waitFor();
      assert.ok((await page.getByRole("meter").count()) > 0);
      assert.ok(
        (await column(page, "Limits of the connection, and how near they are", "limit")).includes("maxQueuedBytes"),
      );
      if (process.platform === "linux") await page.getByText("ESTABLISHED").waitFor();
      assert.ok((await column(page, "Events of the connection", "event")).includes("opened"));
      await page.getByRole("button", { name: "Ping" }).click();
      await page.getByText(/^ping of connection \d+: .*ms/).waitFor();
      await page.getByRole("button", { name: "Trace" }).click();
      await opened.until("document.querySelectorAll('section[aria-label^=Frames] tbody tr').length > 3");
      await page.getByRole("button", { name: "End trace" }).click();
      await page.getByRole("button", { name: "Trace", exact: true }).waitFor();
    });

    it("closes a connection after a confirmation, and shows it with its cause", async () => {
      const dialog = page.getByRole("dialog");
      await page.getByRole("button", { name: "Close…" }).click();
      await dialog.getByRole("button", { name: "Cancel" }).click();
      await dialog.waitFor({ state: "detached" });
      await page.getByRole("button", { name: "Close…" }).click();
      await dialog.getByLabel("Code").fill("4321");
      await dialog.getByLabel("Reason").fill("by the test");
      await dialog.getByRole("button", { name: "Close", exact: true }).click();
      await page.getByText(/^Ended at/).waitFor();
      assert.match(await page.locator(".end").innerText(), /by this side: local\..*Code 4321, reason “by the test”/);
      await page.getByRole("link", { name: "Ended", exact: true }).click();
      const row = rowsOf(page, "by the test");
      await row.waitFor();
      await row.getByRole("link", { name: "local" }).click();
      await page.locator("tr.chosen", { hasText: "local" }).waitFor();
      assert.deepEqual(opened.faults, []);
    });

    it("saves the rows of a table", async () => {
      await page.getByRole("link", { name: "Ended", exact: true }).click();
      const saving = page.waitForEvent("download");
      await page.getByRole("button", { name: "CSV of Ended connections" }).click();
      const text = readFileSync(await (await saving).path(), "utf8");
      assert.match(text, /^at,id,cause,by,code,reason,.*\r\n.*,local,local,4321,by the test,/s);
    });

    it("survives a restart of the server", async () => {
      const port = portIn(serving.addresses.ws);
      await serving[Symbol.asyncDispose]();
      await page.getByText(/^The connection to the server is lost/).waitFor();
      await page.getByText("not connected").waitFor();
      serving = new ServeProcess(["serve", "--port", String(port), "--no-tcp", "--json"]);
      await serving.until((text) => text.includes("\n"));
      await page.getByText(/^The server has started again/).waitFor();
      await page.getByText("live", { exact: true }).waitFor();
      assert.equal(await page.getByText(/^The connection to the server is lost/).count(), 0);
      // Chromium reports an attempt that failed on its console.
      assert.deepEqual(
        opened.faults.filter((text) => !/ERR_CONNECTION_REFUSED|WebSocket connection to/.test(text)),
        [],
      );
    });
  });

  it("shows every text of a peer as a text", async () => {
    await using shown = await ShownServer.start();
    await using opened = await BrowserPage.open(browser, shown.page);
    const { page } = opened;
    const client = await shown.client(`/${encodeURI(HOSTILE)}`);
    const other = await shown.client("/quiet", { subprotocols: ["=1+1"] }).catch(() => undefined);
    await page.getByRole("link", { name: /^Connections/ }).click();
    await rowsOf(page, "img").waitFor();
    await client.send(`close ${HOSTILE}`);
    await page.getByRole("link", { name: "Ended", exact: true }).click();
    const row = rowsOf(page, HOSTILE);
    await row.waitFor();
    await row.getByRole("link").first().click();
    await page.getByText(`reason “${HOSTILE}”`).waitFor();
    assert.equal(await page.locator("img").count(), 0);
    assert.notEqual(await page.title(), "1");
    assert.deepEqual(opened.faults, []);
    other?.terminate();
  });

  it("has no actions when it is read-only", async () => {
    await using shown = await ShownServer.start({ readOnly: true });
    await shown.client("/quiet");
    await using opened = await BrowserPage.open(browser, `${shown.page}#/connections`);
    const { page } = opened;
    await page.getByText("read only").waitFor();
    await rowsOf(page, "/quiet").getByRole("link").click();
    await page.getByRole("heading", { name: "Limits" }).waitFor();
    assert.equal(await page.getByRole("button", { name: /Close|Ping|Trace|Stop/ }).count(), 0);
  });

  it("says that there are too many viewers, and comes in when one leaves", async () => {
    await using shown = await ShownServer.start({ maxViewers: 1 });
    const first = await BrowserPage.open(browser, shown.page);
    await first.page.getByText("live", { exact: true }).waitFor();
    await using second = await BrowserPage.open(browser, shown.page);
    await second.page.getByText(/as many viewers as it allows/).waitFor();
    await first[Symbol.asyncDispose]();
    await second.page.getByText("live", { exact: true }).waitFor();
  });

  it("takes the token from its address once, and asks for it when the server has another one", async () => {
    const serving = await ServeProcess.start("--no-tcp", "--token", "the-first-token-");
    const port = portIn(serving.addresses.ws);
    await using opened = await BrowserPage.open(browser, `${serving.http}/dashboard?token=the-first-token-`);
    const { page } = opened;
    await page.getByText("live", { exact: true }).waitFor();
    assert.doesNotMatch(page.url(), /token/);
    await serving[Symbol.asyncDispose]();
    await using other = new ServeProcess([
      "serve",
      "--port",
      String(port),
      "--no-tcp",
      "--json",
      "--token",
      "the-second-token",
    ]);
    await other.until((text) => text.includes("\n"));
    await page.getByLabel("Token").fill("the-second-token");
    await page.getByRole("button", { name: "Enter" }).click();
    await page.getByText("live", { exact: true }).waitFor();
  });

  describe("for everyone", () => {
    let shown: ShownServer;
    before(async () => {
      shown = await ShownServer.start();
      await shown.client("/some/path");
      const ended = await shown.client(`/${"long-".repeat(30)}`);
      await ended.send("close enough");
      await ended.closed;
    });
    after(() => shown?.[Symbol.asyncDispose]());

    // The colours are most of the time: they differ by scheme, and not by width.
    const contrast = "color-contrast";
    for (const [name, options, rules] of [
      ["in the light scheme", { colorScheme: "light" }, {}],
      ["in the dark scheme", { colorScheme: "dark" }, { runOnly: [contrast] }],
      ["on a phone", { width: 360, colorScheme: "light" }, { rules: { [contrast]: { enabled: false } } }],
    ] as const) {
      it(`has nothing that axe-core finds, and is not wider than its window, ${name}`, async () => {
        await using opened = await BrowserPage.open(browser, shown.page, options);
        const { page } = opened;
        await page.getByText("live", { exact: true }).waitFor();
        for (const view of VIEWS) {
          await page.evaluate(`location.hash = "#/${view}"`);
          await page.locator("main h2").first().waitFor();
          assert.deepEqual(await opened.axe(rules), [], view);
          assert.equal(await opened.overflow(), 0, view);
        }
        await page.evaluate('location.hash = "#/connections"');
        await rowsOf(page, "/some/path").getByRole("link").click();
        await page.getByRole("button", { name: "Close…" }).click();
        await page.getByRole("dialog").waitFor();
        assert.deepEqual(await opened.axe(rules), [], "the dialog");
        await page.getByRole("button", { name: "Cancel" }).click();
        await page.getByRole("button", { name: "Trace" }).click();
        await page.getByRole("button", { name: "End trace" }).waitFor();
        assert.deepEqual(await opened.axe(rules), [], "one connection");
        assert.equal(await opened.overflow(), 0, "one connection");
        await page.getByRole("button", { name: "End trace" }).click();
      });
    }

    it("can be used with the keyboard alone", async () => {
      await using opened = await BrowserPage.open(browser, shown.page);
      const { page } = opened;
      await page.getByText("live", { exact: true }).waitFor();
      const focused = (): Promise<string> => page.evaluate("document.activeElement.textContent");
      /** Presses Tab until the element with this text has the focus. */
      const reach = async (text: RegExp): Promise<void> => {
        for (let pressed = 0; pressed < 60; pressed += 1) {
          await page.keyboard.press("Tab");
          if (text.test(await focused())) return;
        }
        assert.fail(`Tab does not reach ${text}`);
      };
      await reach(/^To the content$/);
      await reach(/^Connections/);
      assert.equal(await page.evaluate("getComputedStyle(document.activeElement).outlineStyle"), "solid");
      await page.keyboard.press("Enter");
      await rowsOf(page, "/some/path").waitFor();
      assert.equal(await page.evaluate("document.activeElement.id"), "view");
      await reach(/^path$/);
      await page.keyboard.press("Enter");
      await page.locator("th[aria-sort=ascending]", { hasText: "path" }).waitFor();
      await reach(/^\d+$/);
      await page.keyboard.press("Enter");
      await page.getByRole("button", { name: "Close…" }).waitFor();
      await reach(/^Close…$/);
      await page.keyboard.press("Enter");
      await page.getByRole("dialog").waitFor();
      await page.keyboard.press("Escape");
      await page.getByRole("dialog").waitFor({ state: "detached" });
    });

    it("does not move when the user wants no motion, and speaks only when something has happened", async () => {
      await using opened = await BrowserPage.open(browser, shown.page, { reducedMotion: "reduce" });
      const { page } = opened;
      await page.getByText("live", { exact: true }).waitFor();
      assert.equal(await page.evaluate("getComputedStyle(document.querySelector('nav a')).transitionDuration"), "0s");
      await page.evaluate(`
        globalThis.spoken = 0;
        const watcher = new MutationObserver((all) => { globalThis.spoken += all.length; });
        for (const region of document.querySelectorAll("[role=status], [role=alert], [aria-live]"))
          watcher.observe(region, { childList: true, subtree: true, characterData: true });
      `);
      const updates = "performance.getEntriesByName('holdfast-update').length";
      const before = Number(await page.evaluate(updates));
      await opened.until(`${updates} >= ${before + 3}`);
      assert.equal(await page.evaluate("globalThis.spoken"), 0);
    });
  });
});
