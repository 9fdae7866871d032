/** The dashboard of a server or of the process, as an application mounts it. */

import { isObject, kindOf } from "../base/forms.ts";
import {
  type Connection,
  type Message,
  processMetrics,
  type Server,
  serverMetricsOf,
  type UpgradeRequest,
} from "../core.ts";
import { metrics, type ProcessObject } from "../metrics/metrics.ts";
import { fetchListener } from "../transport/http/fetch-handler.ts";
import type { IncomingMessage, ServerResponse } from "../transport/node-types.ts";
import { Access, type AccessRefusal } from "./access.ts";
import { DASHBOARD_CLOSED, Monitor } from "./monitor.ts";
import { type DashboardOptions, type SettledDashboard, settleDashboard } from "./options.ts";
import { builtPage, type Page } from "./page.ts";
import { tableOf } from "./tables.ts";

/** The longest message of a viewer, in bytes. */
const MAX_VIEWER_MESSAGE = 4_096;

/** An update with all of the history has at most about 2 MB, if the peers choose the longest texts. */
const MAX_QUEUED = 8 * 1_048_576;

/** What `fetch` needs to know of a client in addition to the Request. */
export interface DashboardClient {
  /** The IP address of the client. */
  readonly remoteAddress: string;
}

/** The feed of the dashboard: a route of `listen`, or with `path: feedPath` options of `attach`. */
export interface DashboardFeed {
  readonly authorize: (
    request: Pick<UpgradeRequest, "path" | "host" | "origin" | "headers" | "remoteAddress">,
  ) => Promise<Response | undefined>;
  readonly open: (connection: Connection) => void;
  readonly message: (connection: Connection, message: Message) => void;
  readonly maxConnections: number;
  readonly maxMessageSize: number;
  readonly maxQueuedBytes: number;
  // A route has the options of its server unless it sets them.
  readonly origin: "same-host";
  readonly messageType: "any";
  readonly compression: false;
  readonly streaming: false;
  readonly autoPong: true;
  readonly trace: false;
}

const FORBIDDEN_METHOD = { status: 405, headers: { Allow: "GET, HEAD" } } as const;

/** Nothing of the dashboard is cached or framed, no type is guessed, and other sites cannot use it. */
const GUARDS = {
  "Cache-Control": "no-store",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
} as const;

/** A dashboard that can be mounted in a server. */
export class Dashboard implements Disposable {
  /** The path of the page, as in the options. */
  readonly path: string;
  /** The path of the feed. */
  readonly feedPath: string;
  readonly #options: SettledDashboard;
  readonly #access: Access;
  readonly #monitor: Monitor;
  readonly #listener: (request: IncomingMessage, response: ServerResponse) => void;

  /** @internal */
  constructor(monitor: Monitor, options: SettledDashboard) {
    this.path = options.path;
    this.feedPath = `${options.path}/feed`;
    this.#options = options;
    this.#access = new Access(options);
    this.#monitor = monitor;
    this.#listener = fetchListener<DashboardClient>({
      handler: (request, client) => this.fetch(request, client) ?? new Response(null, { status: 404 }),
      infoOf: ({ socket }) => ({ remoteAddress: socket.remoteAddress ?? "" }),
      failed: () => undefined,
    });
  }

  /**
   * The feed, for the path `feedPath`: `routes: { [panel.feedPath]: panel.feed }` of `listen`, `server.route(panel.feedPath, panel.feed)`,
   * or `attach(httpServer, { path: panel.feedPath, ...panel.feed })`.
   */
  get feed(): DashboardFeed {
    const monitor = this.#monitor;
    return {
      authorize: async ({ path, host, origin, headers, remoteAddress }) => {
        const refusal = await this.#access.judge({ path, host, origin, headers, remoteAddress });
        if (refusal !== undefined) return refused(refusal);
        return monitor.closed ? plain(503, DASHBOARD_CLOSED) : undefined;
      },
      open: (connection) => monitor.join(connection),
      message: (connection, message) => monitor.receive(connection, message),
      maxConnections: this.#options.maxViewers,
      maxMessageSize: MAX_VIEWER_MESSAGE,
      maxQueuedBytes: MAX_QUEUED,
      ...{
        origin: "same-host",
        messageType: "any",
        compression: false,
        streaming: false,
        autoPong: true,
        trace: false,
      },
    };
  }

  /**
   * Answers a request for the page or a table. Undefined for the path of something else: for the `fetch` of a server,
   * `(request, info) => panel.fetch(request, info) ?? app.fetch(request)`. `client` has the address of the client; it is judged, so it
   * must be that of the socket, or the one that a trusted proxy has reported.
   */
  fetch(request: Request, client: DashboardClient): Promise<Response> | undefined {
    const url = new URL(request.url);
    return this.#covers(url.pathname) ? this.#respond(request, url, client) : undefined;
  }

  /**
   * The same for the objects of node:http and Express: `if (!panel.request(request, response)) next()`. Returns false, and does nothing,
   * for the path of something else.
   */
  request(request: IncomingMessage, response: ServerResponse): boolean {
    const [path = ""] = (request.url ?? "").split("?");
    if (!this.#covers(path)) return false;
    this.#listener(request, response);
    return true;
  }

  /** Ends the samples and the counting for each connection, and closes the viewers with 1001. Later requests are answered with 503. */
  close(): void {
    this.#monitor.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #covers(path: string): boolean {
    return path === this.path || path.startsWith(`${this.path}/`);
  }

  async #respond({ method, headers }: Request, url: URL, { remoteAddress }: DashboardClient): Promise<Response> {
    if (method !== "GET" && method !== "HEAD") return new Response(null, FORBIDDEN_METHOD);
    const fields = Object.fromEntries(headers);
    const { pathname, host, searchParams } = url;
    const asked = {
      ...{ path: pathname, host: fields["host"] ?? host, origin: fields["origin"], headers: fields, remoteAddress },
    };
    const token = searchParams.get("token");
    const page = pathname === this.path || pathname === `${this.path}/`;
    if (token !== null && page) {
      // The token must not stay in the address bar, the history and the logs of proxies.
      const cookie = this.#access.cookieFor(token, url.protocol === "https:");
      if (cookie !== undefined) return seeOther(`${this.path}/`, { "Set-Cookie": cookie });
    }
    const refusal = await this.#access.judge(asked);
    if (refusal !== undefined) return refused(refusal);
    if (this.#monitor.closed) return plain(503, DASHBOARD_CLOSED);
    if (page) return pathname === this.path ? seeOther(`${this.path}/`) : shown(builtPage());
    const file = tableOf(this.#monitor, pathname.slice(this.path.length + 1), searchParams);
    if (file !== undefined) {
      const { status, type, body } = file;
      return new Response(body, { status, headers: { ...GUARDS, "Content-Type": type } });
    }
    // A browser does not tell a page why its WebSocket was refused. This answer does.
    if (pathname === this.feedPath && this.#monitor.viewers >= this.#options.maxViewers)
      return plain(503, "there are as many viewers as maxViewers allows");
    if (pathname === this.feedPath) return plain(426, "expected a WebSocket on this path", { Upgrade: "websocket" });
    return plain(404, "not found");
  }
}

function shown(page: Page | undefined): Response {
  if (page === undefined) return plain(503, "this build of the package has no page; the feed and the tables work");
  const headers = { ...GUARDS, "Content-Security-Policy": page.policy, "Content-Type": "text/html; charset=utf-8" };
  return new Response(page.html, { headers });
}

function seeOther(location: string, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(null, { status: 303, headers: { ...GUARDS, ...headers, Location: location } });
}

function refused({ status, text }: AccessRefusal): Response {
  return plain(status, text, status === 401 ? { "WWW-Authenticate": "Bearer" } : {});
}

function plain(status: number, text: string, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(`${text}\n`, {
    status,
    headers: { ...GUARDS, ...headers, "Content-Type": "text/plain; charset=utf-8" },
  });
}

/**
 * The dashboard of a server, or with `process` that of all servers and clients of this process. It samples once a second from this call
 * on, and keeps 10 minutes. Each connection counts its messages from this call on. docs/dashboard.md shows how it is mounted.
 *
 * ```ts
 * const panel = dashboard(process);
 * await listen("ws://127.0.0.1:9000", {
 *   message: (connection, message) => void connection.trySend(message),
 *   routes: { [panel.feedPath]: panel.feed },
 *   fetch: (request, info) => panel.fetch(request, info) ?? new Response("not found", { status: 404 }),
 * });
 * ```
 *
 * Its timers do not keep the process alive. Throws TypeError for anything else than a server of this library and `process`, and TypeError
 * or RangeError for an invalid option.
 */
export function dashboard(
  of: Pick<Server, "url" | "close" | "unref"> | ProcessObject,
  options: DashboardOptions = {},
): Dashboard {
  const settled = settleDashboard(options);
  const source = of === process ? processMetrics : isObject(of) ? serverMetricsOf(of) : undefined;
  if (source === undefined)
    throw new TypeError(`Cannot show ${kindOf(of)}: expected a server of this library, or process`);
  return new Dashboard(new Monitor(source, of === process ? "process" : "server", metrics(of), settled), settled);
}
