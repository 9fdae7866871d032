/** The HTTP interface that changes the faults of a running `holdfast chaos`: on loopback only, and not usable by web pages. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { ChaosFaults, ChaosProxy } from "../../testing/index.ts";

// In characters. All faults together need a tenth of that.
const MAX_BODY = 4_096;

const LOCAL_HOST = /^(127\.0\.0\.1|localhost)(:\d+)?$/;

/** Starts the HTTP server on 127.0.0.1. Resolves with it when it listens; rejects if it cannot listen. */
export async function chaosControl(proxy: ChaosProxy, port: number): Promise<Server> {
  const server = createServer((request, response) => void handle(proxy, request, response));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return server;
}

async function handle(proxy: ChaosProxy, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    // Security: a web page in a browser could otherwise send these requests. Its Host differs (DNS rebinding), or its
    // Content-Type is that of a form, because a browser asks first before it sends JSON to another origin.
    if (!LOCAL_HOST.test(request.headers.host ?? ""))
      return respond(response, 403, { error: "expected the Host 127.0.0.1 or localhost" });
    if (request.method === "GET" && request.url === "/") return respond(response, 200, stateOf(proxy));
    if (request.method !== "POST") return respond(response, 405, { error: "expected GET / or POST" });
    if (request.headers["content-type"] !== "application/json")
      return respond(response, 415, { error: "expected Content-Type: application/json" });
    const body = await bodyOf(request);
    const known = await performAction(proxy, request.url ?? "", body);
    return known
      ? respond(response, 200, stateOf(proxy))
      : respond(response, 404, { error: "expected /faults, /heal, /reset or /fin" });
  } catch (error) {
    respond(response, 400, { error: error instanceof Error ? error.message : String(error) });
  }
}

/** Performs the action of `path`. Resolves with false for an unknown path. */
async function performAction(proxy: ChaosProxy, path: string, body: string): Promise<boolean> {
  if (path === "/faults") await proxy.set(parseFaults(body));
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
    if (body.length > MAX_BODY) throw new RangeError(`Cannot use a body of more than ${MAX_BODY} characters`);
  }
  return body;
}

/** Parses the faults. JSON has no Infinity, so the string "Infinity" stands for it. */
function parseFaults(body: string): ChaosFaults {
  const faults: unknown = JSON.parse(body, (_, value) => (value === "Infinity" ? Infinity : value));
  if (typeof faults !== "object" || faults === null || Array.isArray(faults)) {
    throw new TypeError("Cannot use the body as faults: expected an object");
  }
  return faults;
}

/** The state in each answer: address, seed, current faults and counts. */
export function stateOf({ address, seed, faults, counts }: ChaosProxy): object {
  return { address, seed, faults, counts };
}

function respond(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "Content-Type": "application/json", Connection: "close" });
  response.end(`${JSON.stringify(body, (_, value) => (value === Infinity ? "Infinity" : value))}\n`);
}
