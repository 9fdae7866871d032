/** A real browser on the page of `holdfast serve`, and on pages of other origins, which are refused. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, it, type TestContext } from "node:test";
import { type Browser, chromium, type Page } from "playwright-core";
import { listen } from "../../src/index.ts";
import { CHROMIUM, needed } from "../kit/foreign-programs.ts";
import { portIn, ServeProcess } from "../kit/serve-process.ts";
import { compressed } from "./compressed.ts";
import { exchanges } from "./exchanges.ts";
import { QUIET } from "./page.ts";
import { CHROMIUM_PAGE } from "./peers.ts";

exchanges(CHROMIUM_PAGE, "client");
compressed(CHROMIUM_PAGE, "client");

const WINDOWS = process.platform === "win32" && "signals are POSIX";

let browser: Browser | undefined;

/** The browser, started by the first test that needs it. */
async function started(t: TestContext): Promise<Browser | undefined> {
  const executablePath = needed(t, CHROMIUM);
  if (executablePath === undefined) return undefined;
  browser ??= await chromium.launch({ executablePath, args: [...QUIET] });
  return browser;
}

/** The page of a server with both of its sockets open, and its console errors. */
async function opened(browser: Browser, { http }: ServeProcess): Promise<{ page: Page; complaints: string[] }> {
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => void (message.type() === "error" && complaints.push(message.text())));
  page.on("pageerror", ({ message }) => void complaints.push(message));
  await page.goto(http);
  for (const room of ["chat", "echo"]) await page.locator(`#${room}-state.open`).waitFor();
  return { page, complaints };
}

/** Waits for the last line of a log that contains `text`, and returns it. */
async function logged(page: Page, room: "chat" | "echo", text: string): Promise<string | null> {
  const line = page.locator(`#${room}-log > *`).filter({ hasText: text }).last();
  await line.waitFor();
  return await line.textContent();
}

describe("Chromium", { timeout: 120_000 }, () => {
  let serving: ServeProcess;
  before(async () => {
    serving = await ServeProcess.start();
  });
  after(async () => {
    await browser?.close();
    await serving[Symbol.asyncDispose]();
  });

  it("shows the page, whose /echo sends back what is typed", async (t) => {
    const browser = await started(t);
    if (browser === undefined) return;
    const { page, complaints } = await opened(browser, serving);
    await page.locator("#echo-input").fill("héllo 𝄞");
    await page.locator("#echo-send").click();
    assert.match((await logged(page, "echo", "héllo")) ?? "", /^héllo 𝄞/);
    await page.locator("#echo-input").fill("again");
    await page.locator("#echo-input").press("Enter");
    await logged(page, "echo", "again");
    assert.equal(await page.locator("#echo-log > *").count(), 2);
    assert.equal(await page.locator("#chat-log > *").count(), 0);
    // A browser requests an icon, which a page need not have.
    assert.deepEqual(
      complaints.filter((text) => !text.includes("404")),
      [],
    );
    await page.close();
  });

  it("shows what one page says in /chat on every page, its own too", async (t) => {
    const browser = await started(t);
    if (browser === undefined) return;
    const [ann, ben] = [(await opened(browser, serving)).page, (await opened(browser, serving)).page];
    await ann.locator("#chat-input").fill("anybody here?");
    await ann.locator("#chat-send").click();
    for (const page of [ann, ben]) assert.equal(await logged(page, "chat", "anybody"), "anybody here?");
    await ben.locator("#chat-input").fill("<b>I am</b>");
    await ben.locator("#chat-send").click();
    for (const page of [ann, ben]) assert.equal(await logged(page, "chat", "I am"), "<b>I am</b>");
    await ann.close();
    await ben.locator("#chat-input").fill("alone");
    await ben.locator("#chat-send").click();
    await logged(ben, "chat", "alone");
    await ben.close();
  });

  it("is refused when the page is another host's", async (t) => {
    const browser = await started(t);
    if (browser === undefined) return;
    const elsewhere = createServer((_request, response) => {
      response.setHeader("Content-Type", "text/html");
      response.end("<title>elsewhere</title>");
    });
    elsewhere.listen(0, "127.0.0.1");
    await once(elsewhere, "listening");
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/`);
    const { ws } = serving.addresses;
    assert.deepEqual(await page.evaluate(attempt, `${ws}/echo`), ["error", 1006]);
    await using open = await listen("ws://127.0.0.1:0", { origin: "any", open: () => undefined });
    assert.deepEqual(await page.evaluate(attempt, open.url), ["open", 1000]);
    await page.close();
    elsewhere.close();
    elsewhere.closeAllConnections();
    await once(elsewhere, "close");
  });

  it("is told that the server goes away", { skip: WINDOWS }, async (t) => {
    const browser = await started(t);
    if (browser === undefined) return;
    await using leaving = await ServeProcess.start();
    const { page } = await opened(browser, leaving);
    leaving.signal("SIGTERM");
    for (const room of ["chat", "echo"]) {
      const state = page.locator(`#${room}-state.closed`);
      await state.waitFor();
      assert.match((await state.textContent()) ?? "", /1001/);
      assert.ok(await page.locator(`#${room}-send`).isDisabled());
    }
    assert.equal((await leaving.exit).status, 0);
    await page.close();
  });

  it("connects again when the server comes back", { skip: WINDOWS }, async (t) => {
    const browser = await started(t);
    if (browser === undefined) return;
    await using leaving = await ServeProcess.start();
    const { page } = await opened(browser, leaving);
    leaving.signal("SIGTERM");
    for (const room of ["chat", "echo"]) await page.locator(`#${room}-state.closed`).waitFor();
    await leaving.exit;
    await using _back = await ServeProcess.start("--port", String(portIn(leaving.addresses.ws)));
    for (const room of ["chat", "echo"]) await page.locator(`#${room}-state.open`).waitFor();
    await page.locator("#echo-input").fill("again");
    await page.locator("#echo-send").click();
    await logged(page, "echo", "again");
    assert.equal(await page.locator("#echo-log > *").count(), 1);
    await page.close();
  });
});

// This function runs in the browser. The types of Node lack its names.
interface Socket {
  onopen: () => void;
  onerror: () => void;
  onclose: (event: { code: number }) => void;
  close(code: number): void;
}
declare const WebSocket: new (url: string) => Socket;

/** Whether the socket opened, and how it ended. */
function attempt(url: string): Promise<unknown> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url);
    let first = "";
    socket.onopen = () => {
      first ||= "open";
      socket.close(1000);
    };
    socket.onerror = () => {
      first ||= "error";
    };
    socket.onclose = ({ code }) => resolve([first, code]);
  });
}
