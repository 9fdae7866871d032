/** A peer that is a page in a browser. */

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { chromium } from "playwright-core";
import type { Open } from "./foreign-peer.ts";
import type { Order, Told } from "./speakers/orders.ts";

export const QUIET: readonly string[] = [
  ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
];
const MODULES = ["/socket.js", "/orders.js"];

/** Runs the browser at `executablePath`, with a page that carries out orders. */
export function page(executablePath: string): Open {
  return async (tell, gone) => {
    const server = createServer(({ url = "/" }, response) => {
      const module = MODULES.includes(url);
      response.setHeader("Content-Type", module ? "text/javascript" : "text/html");
      response.end(module ? readFileSync(new URL(`speakers${url}`, import.meta.url)) : "<!doctype html>");
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const browser = await chromium.launch({ executablePath, args: [...QUIET] });
    browser.on("disconnected", () => gone(new Error("the browser is gone")));
    const page = await browser.newPage();
    await page.exposeFunction("tell", (told: Told) => tell(told));
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    // A string: the compiler would replace import() in a function by a helper that the page does not have.
    await page.evaluate('import("/socket.js").then(({ sockets }) => { window.obey = sockets(window.tell); })');
    tell({ told: "ready", version: browser.version() });
    return {
      order: (order) => {
        page.evaluate(obeyed, order).catch(gone);
      },
      end: async () => {
        await browser.close();
        server.close();
        server.closeAllConnections();
        await once(server, "close");
      },
    };
  };
}

// This function runs in the browser.
interface Window {
  readonly obey: (order: Order) => void;
}

function obeyed(order: Order): void {
  (globalThis as unknown as Window).obey(order);
}
