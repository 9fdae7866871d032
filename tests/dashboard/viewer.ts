/** A viewer of the feed, for tests, and a server that has one. */

import assert from "node:assert/strict";
import type {
  ActionMessage,
  FeedMessage,
  HelloMessage,
  NextMessage,
  ResultMessage,
  UpdateMessage,
} from "../../src/dashboard/feed.ts";
import { type Dashboard, type DashboardOptions, dashboard } from "../../src/dashboard/index.ts";
import {
  type Connection,
  type ConnectOptions,
  connect,
  type ListeningServer,
  type ListenOptions,
  listen,
} from "../../src/index.ts";

/** A server with `/echo` and the dashboard of itself. */
export class Shown implements AsyncDisposable {
  readonly server: ListeningServer;
  readonly panel: Dashboard;

  private constructor(server: ListeningServer, panel: Dashboard) {
    this.server = server;
    this.panel = panel;
  }

  static async start(options: DashboardOptions = {}, given: ListenOptions = {}): Promise<Shown> {
    let panel: Dashboard | undefined;
    const server = await listen("ws://127.0.0.1:0", {
      routes: {
        "/echo": { message: (connection, message) => void connection.trySend(message) },
        "/busy": { message: () => new Promise<void>(() => undefined) },
        "/silent": { handler: (connection) => connection.closed.then(() => undefined) },
      },
      fetch: (request, info) => panel?.fetch(request, info) ?? new Response("elsewhere", { status: 404 }),
      ...given,
    });
    panel = dashboard(server, options);
    server.route(panel.feedPath, panel.feed);
    return new Shown(server, panel);
  }

  get http(): string {
    return this.server.url.replace("ws:", "http:").replace(/\/$/, "");
  }

  get ws(): string {
    return this.server.url.replace(/\/$/, "");
  }

  client(path: string = "/echo", options: ConnectOptions = {}): Promise<Connection> {
    return connect(`${this.ws}${path}`, options);
  }

  view(options: ConnectOptions = {}): Promise<Watching> {
    return Watching.open(`${this.ws}${this.panel.feedPath}`, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.panel.close();
    await this.server.close({ drain: 100 });
  }
}

/** A viewer of the feed. */
export class Watching implements AsyncDisposable {
  readonly connection: Connection;
  readonly hello: HelloMessage;
  readonly #results: ResultMessage[] = [];
  #request = 0;

  private constructor(connection: Connection, hello: HelloMessage) {
    this.connection = connection;
    this.hello = hello;
  }

  static async open(url: string, options: ConnectOptions = {}): Promise<Watching> {
    const connection = await connect(url, { maxMessageSize: 16 * 1_048_576, ...options });
    const hello = JSON.parse(String(await connection.receive())) as FeedMessage;
    assert.equal(hello.type, "hello");
    return new Watching(connection, hello as HelloMessage);
  }

  /** The answer to a question. */
  async next(question: Omit<NextMessage, "type"> = {}): Promise<UpdateMessage> {
    await this.connection.send(JSON.stringify({ type: "next", ...question }));
    return (await this.#receive("update")) as UpdateMessage;
  }

  /** Asks until an answer is as wanted. */
  async until(
    wanted: (update: UpdateMessage) => boolean,
    question: Omit<NextMessage, "type"> = {},
  ): Promise<UpdateMessage> {
    for (;;) {
      const update = await this.next(question);
      if (wanted(update)) return update;
    }
  }

  async act(
    action: ActionMessage["action"],
    connection: number,
    more: Partial<ActionMessage> = {},
  ): Promise<ResultMessage> {
    this.#request += 1;
    const request = this.#request;
    await this.connection.send(JSON.stringify({ type: "action", action, connection, request, ...more }));
    const result = (await this.#receive("result")) as ResultMessage;
    assert.equal(result.request, request);
    return result;
  }

  async #receive(type: FeedMessage["type"]): Promise<FeedMessage> {
    for (;;) {
      const message = JSON.parse(String(await this.connection.receive({ timeout: 20_000 }))) as FeedMessage;
      if (message.type === type) return message;
      if (message.type === "result") this.#results.push(message);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.connection.close();
  }
}
