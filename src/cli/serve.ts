/** `holdfast serve`: echo and chat over WebSocket, echo of lines over TCP, a page to try them, and an orderly end. */

import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Server as NetServer } from "node:net";
import {
  attach,
  type Connection,
  DEFAULTS,
  type Exchange,
  Group,
  listen,
  type Server,
  startWorkers,
  type WorkerEvent,
} from "../index.js";
import { page } from "./page.js";
import { parseServeFlags, SERVE_USAGE, type ServeFlags } from "./serve-flags.js";
import { speakUnheard } from "./unheard.js";

// How long the connections may take to end once the process was told to: an orchestrator's patience is 10 s and more.
const DRAIN = 5_000;

// How long those who have come to a worker that is to end may take to open, and how often it looks whether they have.
const OPENING = 2_000;
const LOOK = 5;

// Signals closer together than this, in milliseconds, are one: nobody presses Ctrl+C twice as fast.
const SAME_WISH = 250;

export class ServeCommand {
  readonly #http: HttpServer = createServer(answer);
  readonly #servers: Server[] = [];
  #stoppedAt: number | undefined;

  /** Serves until a signal comes. */
  async run(args: readonly string[]): Promise<number | undefined> {
    const flags = parseServeFlags(args);
    if (flags === undefined) {
      process.stdout.write(SERVE_USAGE);
      return 0;
    }
    speakUnheard();
    if (flags.workers !== undefined) {
      const { workers } = flags;
      // Only the first process goes on behind this.
      const { urls } = await startWorkers({ workers, observe: tell }, async ({ exchange }) => {
        const [ws = "", ...others] = await this.#serve(flags, exchange);
        const close = (): Promise<void> => this.#opened().then(() => this.#drain());
        return [{ url: ws, close }, ...others.map((url) => ({ url, close: () => Promise.resolve() }))];
      });
      announce(flags, urls);
      return undefined;
    }
    const urls = await this.#serve(flags, undefined);
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => this.#stop());
    announce(flags, urls);
    return undefined;
  }

  /** Resolves with the addresses. */
  async #serve(flags: ServeFlags, exchange: Exchange | undefined): Promise<readonly string[]> {
    const ws = await this.#serveWebSocket(flags, exchange);
    return flags.tcpPort === undefined ? [ws] : [ws, await this.#serveTcp(flags, flags.tcpPort)];
  }

  async #serveWebSocket({ host, port, maxMessageSize }: ServeFlags, exchange: Exchange | undefined): Promise<string> {
    const chat = new Group(exchange && { name: "chat", exchange });
    const options = echoing(maxMessageSize);
    this.#servers.push(
      attach(this.#http, { ...options, path: "/echo" }, echo),
      attach(this.#http, {
        ...options,
        path: "/chat",
        open: (connection) => chat.join(connection),
        message: (_, data) => void chat.send(data),
      }),
    );
    await listening(this.#http, host, port);
    const address = this.#http.address();
    const bound = typeof address === "object" && address !== null ? address.port : port;
    return `ws://${host.includes(":") ? `[${host}]` : host}:${bound}`;
  }

  async #serveTcp({ host, maxMessageSize }: ServeFlags, port: number): Promise<string> {
    const place = `tcp://${host.includes(":") ? `[${host}]` : host}:${port}`;
    try {
      const server = await listen(place, { framing: "lines", ...echoing(maxMessageSize) }, echo);
      this.#servers.push(server);
      return server.url;
    } catch (error) {
      this.#http.close();
      throw cannotListen(host, port, (error as { readonly errno?: string }).errno);
    }
  }

  /** The first signal drains; a second one does not wait. */
  #stop(): void {
    const now = performance.now();
    // Ctrl+C reaches npm as well, and npm passes it on: two signals, but one wish.
    if (this.#stoppedAt !== undefined && now - this.#stoppedAt < SAME_WISH) return;
    if (this.#stoppedAt !== undefined) process.exit(1);
    this.#stoppedAt = now;
    void this.#drain().then(() => process.exit(0));
  }

  /** Lets nobody in, and resolves when those who have come have got what they came for, or have had their time. */
  async #opened(): Promise<void> {
    // Not as node:http does it: from Node 26 on that destroys who has yet to send a request.
    NetServer.prototype.close.call(this.#http);
    const end = performance.now() + OPENING;
    const attached = this.#servers.filter(({ url }) => url.startsWith("/"));
    const opened = (): number => attached.reduce((sum, { connections }) => sum + connections.size, 0);
    const count = (): Promise<number> => new Promise((resolve) => this.#http.getConnections((_, all) => resolve(all)));
    while (performance.now() < end && (await count()) > opened())
      await new Promise((resolve) => setTimeout(resolve, LOOK));
  }

  async #drain(): Promise<void> {
    const closed = new Promise((resolve) => this.#http.close(resolve));
    this.#http.closeIdleConnections();
    await Promise.all(
      this.#servers.map((server) => server.close({ drain: DRAIN, reason: "the server is going away" })),
    );
    this.#http.closeAllConnections();
    await closed;
  }
}

/** What is taken in has to fit the queue out, or it could not be sent back. */
function echoing(maxMessageSize: number): { readonly maxMessageSize: number; readonly maxQueuedBytes: number } {
  return { maxMessageSize, maxQueuedBytes: Math.max(maxMessageSize, DEFAULTS.maxQueuedBytes) };
}

async function echo(connection: Connection): Promise<void> {
  for await (const message of connection) await connection.send(message);
}

function answer({ method, url = "/" }: IncomingMessage, response: ServerResponse): void {
  const [path] = url.split("?");
  const body = path === "/" ? page : path === "/healthz" ? "ok\n" : undefined;
  const readable = method === "GET" || method === "HEAD";
  response.setHeader("X-Content-Type-Options", "nosniff");
  if (path === "/echo" || path === "/chat") {
    response.writeHead(426, { Upgrade: "websocket", Connection: "Upgrade, close", "Sec-WebSocket-Version": "13" });
    response.end("this path speaks WebSocket\n");
  } else if (body === undefined) {
    response.writeHead(404, { "Content-Type": "text/plain; charset=utf-8" });
    response.end("nothing here: try /, /healthz, or a WebSocket on /echo or /chat\n");
  } else if (readable) {
    const type = path === "/" ? "text/html" : "text/plain";
    response.writeHead(200, {
      "Content-Type": `${type}; charset=utf-8`,
      // The page is this one file, and talks to nobody but this server.
      "Content-Security-Policy":
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'",
    });
    response.end(method === "HEAD" ? undefined : body);
  } else {
    response.writeHead(405, { Allow: "GET, HEAD" });
    response.end();
  }
}

function listening(server: HttpServer, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(cannotListen(host, port, error.code)));
    server.listen(port, host, resolve);
  });
}

function cannotListen(host: string, port: number, errno: string | undefined): Error {
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: "the port is in use; choose another, or 0 for a free one",
    EACCES: "permission denied; ports below 1024 usually need privileges",
    EADDRNOTAVAIL: "this machine does not have that address",
    ENOTFOUND: "the host name does not resolve",
  };
  return new Error(`cannot listen on ${host}:${port}: ${reasons[errno ?? ""] ?? "the system refused"} (${errno})`);
}

/** What happens to workers, for whoever reads the log. */
function tell(event: WorkerEvent): void {
  const said = wordsOf(event);
  if (event.type === "killed") process.exitCode = 1;
  if (said !== undefined) process.stderr.write(`holdfast: worker ${event.worker} (process ${event.pid}) ${said}\n`);
}

function wordsOf(event: WorkerEvent): string | undefined {
  if (event.type === "killed") return `is killed: ${event.reason}`;
  if (event.type === "missed") return `missed ${event.messages} messages of the chat: too much was waiting for it`;
  if (event.type === "ended" && !event.expected) return `ended by ${event.signal ?? `status ${event.exitCode}`}`;
  return undefined;
}

function announce({ json }: ServeFlags, [ws = "", tcp]: readonly string[]): void {
  process.stdout.write(json ? `${JSON.stringify(tcp === undefined ? { ws } : { ws, tcp })}\n` : banner(ws, tcp));
}

function banner(ws: string, tcp: string | undefined): string {
  const http = ws.replace("ws:", "http:");
  const rows = [
    ["page", `${http}/`],
    ["echo", `${ws}/echo`],
    ["chat", `${ws}/chat`],
    ...(tcp === undefined ? [] : [["lines", `${tcp}  (each line comes back)`]]),
    ["health", `${http}/healthz`],
  ];
  const lines = rows.map(([name = "", address]) => `  ${name.padEnd(7)}${address}`);
  return `holdfast is serving; stop it with Ctrl+C\n${lines.join("\n")}\n`;
}
