/** `holdfast serve`: echo and chat over WebSocket, echo of lines over TCP, an HTML page that uses them, and a graceful stop. */

import { createHash, timingSafeEqual } from "node:crypto";
import { hostname } from "node:os";
import { StopSignals } from "../../base/stop-signals.ts";
import { type Dashboard, dashboard } from "../../dashboard/index.ts";
import {
  type Broker,
  type Connection,
  DEFAULTS,
  type Hub,
  type ListenOptions,
  listen,
  type Message,
  type MetricsSnapshot,
  metrics,
  type Server,
  type UpgradeRequest,
} from "../../index.ts";
import { startWorkers, type WorkerEvent } from "../../workers/index.ts";
import { ignoreOutputErrors } from "../broken-pipe.ts";
import { type Command, command } from "../command.ts";
import { cannotListen } from "../listen-error.ts";
import { brokerAt } from "./broker.ts";
import { type SelfSigned, selfSigned } from "./certificate.ts";
import { Chat } from "./chat.ts";
import { reportConnections } from "./connection-report.ts";
import { SERVE_LINE, type ServeFlags } from "./flags.ts";
import { page } from "./page.ts";

// Milliseconds for connections to end after a stop signal. Orchestrators wait 10 s or more before they kill a process.
const DRAIN_TIME = 5_000;

// Milliseconds in which sockets that a worker accepted before its end may complete their opening.
const OPENING_TIME = 2_000;

export const serveCommand: Command = command(SERVE_LINE, (flags) => new ServeCommand().run(flags));

class ServeCommand {
  readonly #servers: Server[] = [];
  readonly #stopSignals = new StopSignals();
  #chat: Chat | undefined;
  /** The metrics of all processes. */
  #measure: () => MetricsSnapshot | Promise<MetricsSnapshot> = () => metrics(process).snapshot();

  /** Starts serving; a signal stops it. Resolves with undefined: the servers keep running. */
  async run(flags: ServeFlags): Promise<undefined> {
    ignoreOutputErrors();
    if (flags.workers !== undefined) {
      const { workers } = flags;
      // In a worker this call does not return: only the first process continues after it.
      const { urls } = await startWorkers({ workers, observe: reportEvent }, async ({ id, broker, metrics: ofAll }) => {
        this.#measure = ofAll;
        const [ws = "", ...others] = await this.#serve(flags, broker);
        const close = (): Promise<void> => {
          this.#reportDrain(`worker ${id} is draining`, "");
          return this.#drain(OPENING_TIME);
        };
        return [{ url: ws, close }, ...others.map((url) => ({ url, close: () => Promise.resolve() }))];
      });
      printAddresses(flags, urls);
      return undefined;
    }
    const certificate = flags.tls ? selfSigned(flags.host) : undefined;
    const urls = await this.#serve(flags, undefined, certificate);
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => this.#stop());
    printAddresses(flags, urls, certificate?.fingerprint);
    return undefined;
  }

  /**
   * Starts the servers. Resolves with their URLs: WebSocket, then TCP if it is on. `broker` joins the chats of the processes, unless the
   * flags name another one.
   */
  async #serve(flags: ServeFlags, broker: Broker | undefined, tls?: SelfSigned): Promise<readonly string[]> {
    const ws = await this.#serveWebSocket(flags, broker, tls);
    return flags.tcpPort === undefined ? [ws] : [ws, await this.#serveTcp(flags, flags.tcpPort, tls)];
  }

  async #serveWebSocket(flags: ServeFlags, broker: Broker | undefined, tls?: SelfSigned): Promise<string> {
    const { origin, token, compress } = flags;
    const chat = new Chat(flags.broker === undefined ? broker : await brokerAt(flags.broker), flags.maxMessageSize);
    this.#chat = chat;
    const panel = flags.dashboard ? servedDashboard(flags, chat.hub) : undefined;
    const fetch: ListenOptions["fetch"] = (request, info) =>
      panel?.fetch(request, info) ?? respond(request, flags, this.#measure);
    return this.#listen(flags, tls === undefined ? "ws" : "wss", flags.port, {
      ...{ tls, origin, compression: compress, fetch },
      authorize: token === undefined ? undefined : (request) => tokenRefusal(request, token),
      routes: {
        "/echo": { observe: flags.verbose ? reportConnections("/echo") : undefined, message: echo },
        "/chat": {
          observe: flags.verbose ? reportConnections("/chat") : undefined,
          open: (connection, request) => chat.join(connection, request),
          message: (connection, message) => chat.publish(connection, message),
        },
        ...(panel === undefined ? {} : { [panel.feedPath]: panel.feed }),
        "/chat/members": { open: (connection) => chat.showMembers(connection), message: () => undefined },
      },
    });
  }

  async #serveTcp(flags: ServeFlags, port: number, tls?: SelfSigned): Promise<string> {
    return this.#listen(flags, tls === undefined ? "tcp" : "tls", port, { tls, framing: "lines", message: echo });
  }

  /** Starts a server with the limits of `flags`. Resolves with its URL. */
  async #listen(flags: ServeFlags, scheme: string, port: number, options: ListenOptions): Promise<string> {
    const { host, maxMessageSize, maxConnections, verbose } = flags;
    // The send queue must have room for the largest message received.
    const maxQueuedBytes = Math.max(maxMessageSize, DEFAULTS.connection.maxQueuedBytes);
    const limits = { maxMessageSize, maxQueuedBytes, maxConnections };
    const observe = verbose ? reportConnections(scheme) : undefined;
    try {
      const address = `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`;
      const server = await listen(address, { observe, ...limits, ...options });
      this.#servers.push(server);
      return server.url;
    } catch (error) {
      const { errno } = error as { readonly errno?: string };
      if (errno === undefined) throw error;
      await this.#drain(0);
      throw cannotListen(`${host}:${port}`, errno);
    }
  }

  /** The first signal drains the servers, a second one exits at once with status 1. */
  #stop(): void {
    const signal = this.#stopSignals.receive(performance.now());
    if (signal === "copy") return;
    if (signal === "second") process.exit(1);
    this.#reportDrain("draining", ", or at once on a second signal");
    void this.#drain(0).then(() => process.exit(0));
  }

  /** Writes to stderr how many connections a stop has to wait for, and for how long; nothing if there are none. */
  #reportDrain(start: string, more: string): void {
    const count = this.#servers.reduce((sum, { connections }) => sum + connections.size, 0);
    if (count === 0) return;
    const connections = count === 1 ? "1 connection" : `${count} connections`;
    process.stderr.write(`holdfast: ${start} ${connections}; ends within ${DRAIN_TIME / 1_000} s${more}\n`);
  }

  /** Stops accepting, and resolves when all connections have ended. `opening` is the option of `Server.close`. */
  async #drain(opening: number): Promise<void> {
    const how = { opening, drain: DRAIN_TIME, reason: "the server is closing" };
    await Promise.all(this.#servers.map((server) => server.close(how)));
    await this.#chat?.[Symbol.asyncDispose]();
  }
}

/** The dashboard of this process. A name in an origin that may connect is one under which the server is reached. */
function servedDashboard({ host, token, readOnly, origin, workers }: ServeFlags, chat: Hub): Dashboard {
  const origins = origin === undefined || origin === "any" ? [] : origin.map((one) => new URL(one).hostname);
  const hosts = [host, hostname(), ...origins];
  return dashboard(process, { token, readOnly, hosts, hubs: { chat }, workers: workers !== undefined });
}

/** Sends a message back. The next one waits while the client does not take what was sent. */
function echo(connection: Connection, message: Message): Promise<void> | undefined {
  if (connection.trySend(message) !== "queued") return undefined;
  // It rejects if the connection ends. Then there is nothing left to do.
  return connection.drain().catch(() => undefined);
}

/** The response to a request without the token. Undefined if the request has it. */
function tokenRefusal(
  { headers, query }: Pick<UpgradeRequest, "headers" | "query">,
  token: string,
): Response | undefined {
  const given = /^Bearer +(.*)$/i.exec(headers["authorization"] ?? "")?.[1] ?? new URLSearchParams(query).get("token");
  // Digests have the same length, and the time of their comparison tells nothing about the token.
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  if (given !== null && timingSafeEqual(digest(given), digest(token))) return undefined;
  return new Response("a token is needed\n", { status: 401, headers: { "WWW-Authenticate": "Bearer" } });
}

function respond(
  { method, url, headers: given }: Request,
  flags: ServeFlags,
  measure: () => MetricsSnapshot | Promise<MetricsSnapshot>,
): Response | Promise<Response> {
  const { pathname, search } = new URL(url);
  const headers = { "Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff" };
  if (pathname === "/echo" || pathname === "/chat" || pathname === "/chat/members") {
    const upgrade = { Upgrade: "websocket", Connection: "Upgrade, close", "Sec-WebSocket-Version": "13" };
    return new Response("expected a WebSocket on this path\n", { status: 426, headers: { ...headers, ...upgrade } });
  }
  if (!["/", "/healthz", "/metrics"].includes(pathname))
    return new Response("not found: try /, /healthz, /metrics, /dashboard/, or a WebSocket on /echo or /chat\n", {
      status: 404,
      headers,
    });
  if (method !== "GET" && method !== "HEAD")
    return new Response(null, { status: 405, headers: { ...headers, Allow: "GET, HEAD" } });
  if (pathname === "/healthz") return new Response("ok\n", { headers });
  if (pathname === "/metrics") {
    const authorization = given.get("authorization") ?? "";
    const query = search.slice(1);
    const refusal =
      flags.token === undefined ? undefined : tokenRefusal({ headers: { authorization }, query }, flags.token);
    return refusal ?? exposition(measure);
  }
  // The page is a single file, and connects only to this server.
  const policy =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'";
  return new Response(page, {
    headers: { ...headers, "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy },
  });
}

async function exposition(measure: () => MetricsSnapshot | Promise<MetricsSnapshot>): Promise<Response> {
  const headers = { "Cache-Control": "no-store" };
  try {
    const measured = await measure();
    return new Response(measured.text(), { headers: { ...headers, "Content-Type": measured.contentType } });
  } catch (error) {
    return new Response(`${(error as Error).message}\n`, {
      status: 503,
      headers: { ...headers, "Content-Type": "text/plain; charset=utf-8" },
    });
  }
}

/** Writes unexpected events of workers to stderr. A killed worker sets exit status 1. */
function reportEvent(event: WorkerEvent): void {
  const said = unexpectedEvent(event);
  if (event.type === "killed") process.exitCode = 1;
  if (said !== undefined) process.stderr.write(`holdfast: worker ${event.worker} (process ${event.pid}) ${said}\n`);
}

function unexpectedEvent(event: WorkerEvent): string | undefined {
  if (event.type === "killed") return `was killed: ${event.reason}`;
  if (event.type === "missed") return `missed ${event.messages} messages of the chat: its queue was full`;
  if (event.type === "ended" && !event.expected) return `ended by ${event.signal ?? `status ${event.exitCode}`}`;
  return undefined;
}

function printAddresses(flags: ServeFlags, [ws = "", tcp]: readonly string[], fingerprint?: string): void {
  const line = { ws, ...(tcp !== undefined && { tcp }), ...(fingerprint !== undefined && { fingerprint }) };
  process.stdout.write(flags.json ? `${JSON.stringify(line)}\n` : serveBanner(flags, ws, tcp, fingerprint));
}

function serveBanner(
  { dashboard: shown, token }: ServeFlags,
  ws: string,
  tcp: string | undefined,
  fingerprint: string | undefined,
): string {
  const http = ws.replace("ws", "http");
  const rows = [
    ["page", `${http}/`],
    ["echo", `${ws}/echo`],
    ["chat", `${ws}/chat`],
    ...(tcp === undefined ? [] : [["lines", `${tcp}  (each line comes back)`]]),
    ["health", `${http}/healthz`],
    ...(shown ? [["dashboard", `${http}/dashboard/${token === undefined ? "" : "?token=TOKEN"}`]] : []),
    ...(fingerprint === undefined
      ? []
      : [["sha256", `${fingerprint}  (the certificate, made now; no client trusts it)`]]),
  ];
  const lines = rows.map(([name = "", address]) => `  ${name.padEnd(11)}${address}`);
  return `holdfast is serving; stop it with Ctrl+C\n${lines.join("\n")}\n`;
}
