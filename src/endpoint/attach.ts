/** Puts WebSocket beside a node:http(s) server that somebody else owns. */

import type { Server as HttpServer, IncomingMessage, ServerResponse } from "node:http";
import type { Server as HttpsServer } from "node:https";
import type { Duplex } from "node:stream";
import { settle } from "../connection/options.js";
import { callOf, pathOf, writeRefusal } from "../transport/http-upgrade.js";
import { SocketTransport } from "../transport/socket.js";
import type { Transport } from "../transport/transport.js";
import { type AttachOptions, ENDPOINT_DEFAULTS, type Handler } from "./options.js";
import { Roster } from "./roster.js";
import { Server } from "./server.js";
import { judgeUpgradeOptions, type UpgradeSetup, upgrade } from "./upgrade.js";

// One listener for each server, however often it is attached to: it alone can know that nobody takes a request.
const attached = new WeakMap<object, Attachments>();

/**
 * Takes the upgrade requests for `options.path` of a server that somebody else listens with. A request for a path that
 * nobody took is answered with 404, unless the server has other upgrade listeners. Closing the result closes its
 * connections and leaves the HTTP server as it was.
 */
export function attach<UserData = unknown>(
  httpServer: HttpServer | HttpsServer,
  options: AttachOptions<UserData>,
  handler?: Handler<UserData>,
): Server<UserData> {
  const {
    path,
    origin,
    subprotocols,
    headers,
    compression: _,
    authorize,
    maxConnections = ENDPOINT_DEFAULTS.maxConnections,
    ...rest
  } = options;
  const compression = judgeUpgradeOptions(options);
  const settled = settle(rest as AttachOptions<never>, "websocket");
  const roster = new Roster<UserData>(maxConnections, settled.clock);
  // Not the fast lane, which empties the socket: whoever owns the server may keep its sockets, to destroy them when it ends.
  const transportOf = (socket: Duplex, head: Uint8Array): Transport => new SocketTransport(socket, head);
  const setup: UpgradeSetup<UserData> = {
    upgrade: options,
    options: settled,
    compression,
    roster,
    handler,
  };
  let attachments = attached.get(httpServer);
  if (attachments === undefined) {
    attachments = new Attachments(httpServer);
    attached.set(httpServer, attachments);
  }
  const remove = attachments.add(path, (request, socket, head) => {
    upgrade(setup, callOf(request, socket, head, transportOf));
  });
  return new Server(path ?? "/", roster, { stop: remove, shut: () => Promise.resolve() });
}

type Take = (request: IncomingMessage, socket: Duplex, head: Uint8Array) => void;

class Attachments {
  readonly #server: HttpServer | HttpsServer;
  readonly #takers: { readonly path: string | undefined; readonly take: Take }[] = [];
  /** How many requests of a socket the application has yet to answer. */
  readonly #unanswered = new WeakMap<object, number>();

  constructor(server: HttpServer | HttpsServer) {
    this.#server = server;
  }

  add(path: string | undefined, take: Take): () => void {
    if (path !== undefined && !path.startsWith("/")) {
      throw new TypeError(`Cannot attach to path ${JSON.stringify(path)}: expected one that begins with /`);
    }
    if (this.#takers.some((taker) => taker.path === path)) {
      throw new TypeError(
        `Cannot attach to ${path === undefined ? "every path" : `path ${path}`}: it is taken already`,
      );
    }
    const taker = { path, take };
    if (this.#takers.push(taker) === 1) this.#server.on("upgrade", this.#onUpgrade).on("request", this.#onRequest);
    return () => {
      this.#takers.splice(this.#takers.indexOf(taker), 1);
      if (this.#takers.length === 0) this.#server.off("upgrade", this.#onUpgrade).off("request", this.#onRequest);
    };
  }

  readonly #onUpgrade: Take = (request, socket, head) => {
    const path = pathOf(request.url ?? "");
    const exact = this.#takers.find((taker) => taker.path === path);
    const taker = exact ?? this.#takers.find((other) => other.path === undefined);
    // RFC 9112 9.3.2: answers stand in the order of their requests. One that comes later would stand among the frames.
    if (taker !== undefined && this.#unanswered.has(request.socket)) socket.on("error", () => undefined).destroy();
    else if (taker !== undefined) taker.take(request, socket, head);
    else if (this.#server.listenerCount("upgrade") === 1) nobodyUpgrades(socket);
  };

  readonly #onRequest = ({ socket }: IncomingMessage, response: ServerResponse): void => {
    this.#unanswered.set(socket, (this.#unanswered.get(socket) ?? 0) + 1);
    response.once("close", () => {
      const left = (this.#unanswered.get(socket) ?? 0) - 1;
      if (left > 0) this.#unanswered.set(socket, left);
      else this.#unanswered.delete(socket);
    });
  };
}

/** Answers an upgrade request for a path that nobody serves. */
export function nobodyUpgrades(socket: Duplex): void {
  writeRefusal(socket, { status: 404, fields: [], body: "nothing to connect to here\n" }, 5_000);
}
