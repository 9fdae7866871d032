/** A server of this process with the dashboard of itself, for the tests of its page. */

import { type DashboardOptions, dashboard } from "../../../src/dashboard/index.ts";
import { type Connection, type ConnectOptions, connect, listen, type Server } from "../../../src/index.ts";

export class ShownServer implements AsyncDisposable {
  readonly server: Server;
  readonly #clients: Connection[] = [];

  private constructor(server: Server) {
    this.server = server;
  }

  /** Serves every path: it sends each message back, and closes with the reason that a message `close REASON` has. */
  static async start(options: DashboardOptions = {}): Promise<ShownServer> {
    const server = await listen("ws://127.0.0.1:0", {
      routes: {
        "/*": {
          message: (connection, message) => {
            const reason = typeof message === "string" ? /^close (.*)$/.exec(message)?.[1] : undefined;
            if (reason === undefined) connection.trySend(message);
            else void connection.close(4_000, reason);
          },
        },
      },
      fetch: (request, client) => panel.fetch(request, client) ?? new Response("elsewhere", { status: 404 }),
    });
    const panel = dashboard(server, options);
    server.route(panel.feedPath, panel.feed);
    return new ShownServer(server);
  }

  /** The address of the page. */
  get page(): string {
    return new URL("/dashboard/", this.server.url.replace("ws:", "http:")).href;
  }

  async client(path: string, options: ConnectOptions = {}): Promise<Connection> {
    const client = await connect(new URL(path, this.server.url).href, options);
    this.#clients.push(client);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.terminate();
    await this.server.close({ drain: 0 });
  }
}
