/** The HTTP by which a running `holdfast chaos` is told of other faults: on loopback only, and not by web pages. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { ChaosFaults, ChaosProxy } from "../testing/index.js";

// The faults together have a tenth of that.
const LARGEST_BODY = 4_096;

const HERE = /^(127\.0\.0\.1|localhost)(:\d+)?$/;

/** Begins to answer on 127.0.0.1; the server, when it listens. */
export async function chaosControl(proxy: ChaosProxy, port: number): Promise<Server> {
  const server = createServer((request, response) => void answer(proxy, request, response));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return server;
}

async function answer(proxy: ChaosProxy, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    // A page that a browser has open could otherwise send this: its host would be another, or its type that of a form.
    if (!HERE.test(request.headers.host ?? "")) return say(response, 403, { error: "not for another host" });
    if (request.method === "GET" && request.url === "/") return say(response, 200, stateOf(proxy));
    if (request.method !== "POST") return say(response, 405, { error: "expected GET / or POST" });
    if (request.headers["content-type"] !== "application/json") return say(response, 415, { error: "expected JSON" });
    const body = await bodyOf(request);
    const known = await act(proxy, request.url ?? "", body);
    return known
      ? say(response, 200, stateOf(proxy))
      : say(response, 404, { error: "expected /faults, /heal, /reset or /fin" });
  } catch (error) {
    say(response, 400, { error: error instanceof Error ? error.message : String(error) });
  }
}

/** Does what the path says; false if there is no such path. */
async function act(proxy: ChaosProxy, path: string, body: string): Promise<boolean> {
  if (path === "/faults") await proxy.set(parsed(body));
  else if (path === "/heal") await proxy.heal();
  else if (path === "/reset") proxy.reset();
  else if (path === "/fin") proxy.fin();
  else return false;
  return true;
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) {
    body += chunk;
    if (body.length > LARGEST_BODY) throw new RangeError(`Cannot use a body of more than ${LARGEST_BODY} characters`);
  }
  return body;
}

/** JSON has no number for what never ends, so it is a word there. */
function parsed(body: string): ChaosFaults {
  const faults: unknown = JSON.parse(body, (_, value) => (value === "Infinity" ? Infinity : value));
  if (typeof faults !== "object" || faults === null || Array.isArray(faults)) {
    throw new TypeError("Cannot use that for faults: expected an object");
  }
  return faults;
}

/** What goes wrong, and what has happened. */
export function stateOf({ address, seed, faults, counts }: ChaosProxy): object {
  return { address, seed, faults, counts };
}

function say(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "Content-Type": "application/json", Connection: "close" });
  response.end(`${JSON.stringify(body, (_, value) => (value === Infinity ? "Infinity" : value))}\n`);
}
