/** A page in headless Chromium: what it reports, and what axe-core finds in it. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout } from "node:timers/promises";
import { type Browser, chromium, type Page } from "playwright-core";
import { CHROMIUM, found } from "./foreign-programs.ts";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

const LONGEST_WAIT = 20_000;
const POLL = 50;

export interface PageOptions {
  /** @default 1440 */
  readonly width?: number;
  /** @default "light" */
  readonly colorScheme?: "light" | "dark";
  readonly reducedMotion?: "reduce" | "no-preference";
}

/** What axe-core reports about an element. */
export interface AxeFinding {
  readonly rule: string;
  readonly at: readonly string[];
}

export function launchChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: found(CHROMIUM) ?? CHROMIUM.name, args: ["--no-sandbox"] });
}

/** A page of its own context, so with cookies of its own. */
export class BrowserPage implements AsyncDisposable {
  readonly page: Page;
  /** Messages on the console, errors that nothing caught, and violations of the policy. */
  readonly faults: string[] = [];

  private constructor(page: Page) {
    this.page = page;
    page.on("console", (message) => void this.faults.push(message.text()));
    page.on("pageerror", (error) => void this.faults.push(error.message));
  }

  static async open(browser: Browser, url: string, options: PageOptions = {}): Promise<BrowserPage> {
    const { width = 1_440, colorScheme = "light", reducedMotion = "no-preference" } = options;
    const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme, reducedMotion });
    page.setDefaultTimeout(LONGEST_WAIT);
    const opened = new BrowserPage(page);
    await page.goto(url);
    return opened;
  }

  /**
   * Injects axe-core through the DevTools protocol, which the policy of the page does not concern, and runs it with `options`, such as
   * `{ runOnly: ["color-contrast"] }`.
   */
  async axe(options: object = {}): Promise<AxeFinding[]> {
    const session = await this.page.context().newCDPSession(this.page);
    try {
      await session.send("Runtime.evaluate", { expression: readFileSync(AXE, "utf8") });
      const { result, exceptionDetails } = await session.send("Runtime.evaluate", {
        expression: `axe.run(${JSON.stringify(options)}).then(({ violations }) =>
          violations.map(({ id, nodes }) => ({ rule: id, at: nodes.map(({ html }) => html) })))`,
        ...{ awaitPromise: true, returnByValue: true },
      });
      if (exceptionDetails !== undefined) throw new Error(exceptionDetails.exception?.description);
      return result.value as AxeFinding[];
    } finally {
      await session.detach();
    }
  }

  /** Waits until this expression is true in the page. Playwright's own way evaluates a text there, which a strict policy forbids. */
  async until(expression: string): Promise<void> {
    const deadline = performance.now() + LONGEST_WAIT;
    while ((await this.page.evaluate(expression)) !== true) {
      if (performance.now() > deadline) throw new Error(`is not true in time: ${expression}`);
      await setTimeout(POLL);
    }
  }

  /** By how many pixels the page is wider than its window. */
  overflow(): Promise<number> {
    return this.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.context().close();
  }
}
