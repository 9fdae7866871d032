/** Limits the time of openings on an application's HTTP server, and no other time: uploads and answers may be slow. */

import type { EventEmitter } from "node:events";
import { Server as HttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Server as HttpsServer } from "node:https";
import { Server as NetServer, type Socket } from "node:net";
import { Server as TlsServer } from "node:tls";
import { isObject, kindOf } from "../../base/forms.ts";
import type { Instant } from "../../base/time.ts";
import type { OpeningLimit } from "../listen/opening-limit.ts";

// Node handles these requests differently if there is a listener. So our listener exists only while the application has one.
const CONDITIONAL_EVENTS: readonly string[] = ["connect", "checkContinue", "checkExpectation"];

const EVERY_ADDRESS: readonly string[] = ["::", "0.0.0.0"];

const SERVER_METHODS: readonly string[] = ["on", "off", "prependListener", "listeners", "listenerCount", "close"];

/** Throws TypeError for an object without `upgrade` requests: the app of a framework, or a server of plain TCP or TLS. */
export function judgeHttpServer(server: unknown): void {
  const hasMethods = isObject(server) && SERVER_METHODS.every((name) => typeof server[name] === "function");
  const prototype: unknown = hasMethods ? Object.getPrototypeOf(server) : undefined;
  if (hasMethods && prototype !== NetServer.prototype && prototype !== TlsServer.prototype) return;
  throw new TypeError(
    `Cannot attach to ${kindOf(server)}: expected a server of node:http or node:https; a framework has one below its app`,
  );
}

/** True if the sockets of `server` use TLS. */
export function isSecure(server: unknown): boolean {
  return server instanceof TlsServer || server instanceof HttpsServer;
}

/** The address at which an HTTP server listens now. Undefined if it does not listen. For all addresses of the host, 127.0.0.1. */
export function httpAddress(
  server: NetServer,
): { secure: boolean; host: string; port: number; socketPath: string | undefined } | undefined {
  const bound = server.address();
  if (bound === null) return undefined;
  // In Bun, a server of node:https is no server of node:tls.
  const secure = isSecure(server);
  if (typeof bound === "string") return { secure, host: "localhost", port: 0, socketPath: bound };
  const host = EVERY_ADDRESS.includes(bound.address) ? "127.0.0.1" : bound.address;
  return { secure, host, port: bound.port, socketPath: undefined };
}

/** Starts and ends `limit` for each socket that `server` accepts from now on, until the returned function is called. */
export function limitOpenings(server: EventEmitter, limit: OpeningLimit, now: () => Instant): () => void {
  const secure = server instanceof HttpsServer;
  // Other servers, such as HTTP/2, have no requests after which a socket could be idle.
  if (!secure && !(server instanceof HttpServer)) return () => undefined;
  /** The number of requests in progress per socket: not answered, or not received to their end. */
  const inProgress = new WeakMap<Socket, number>();
  const onConditionalRequest = ({ socket }: IncomingMessage): void => limit.done(socket);
  const onConnection = (socket: Socket): void => limit.begin(socket, now(), secure ? "tls" : "request");
  const onSecureConnection = (socket: Socket): void => limit.secured(socket);
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    const { socket } = request;
    limit.done(socket);
    inProgress.set(socket, (inProgress.get(socket) ?? 0) + 1);
    // Not `response.closed`, which Deno lacks.
    let answered = false;
    const onClose = (): void => {
      // The body may still arrive long after the answer. The server's `requestTimeout` limits that.
      if (!answered || !request.complete) return;
      request.off("close", onClose);
      const others = (inProgress.get(socket) ?? 0) - 1;
      inProgress.set(socket, others);
      if (others === 0) limit.idle(socket);
    };
    response.once("close", () => {
      answered = true;
      onClose();
    });
    request.on("close", onClose);
  };
  const onListenerAdded = (name: string, listener: unknown): void => {
    if (
      CONDITIONAL_EVENTS.includes(name) &&
      listener !== onConditionalRequest &&
      !server.listeners(name).includes(onConditionalRequest)
    )
      server.on(name, onConditionalRequest);
  };
  const onListenerRemoved = (name: string): void => {
    if (CONDITIONAL_EVENTS.includes(name) && server.listenerCount(name) === 1) server.off(name, onConditionalRequest);
  };
  for (const name of CONDITIONAL_EVENTS) if (server.listenerCount(name) > 0) server.on(name, onConditionalRequest);
  server.on("newListener", onListenerAdded).on("removeListener", onListenerRemoved);
  server.on("connection", onConnection).on("request", onRequest);
  if (secure) server.on("secureConnection", onSecureConnection);
  return () => {
    server.off("newListener", onListenerAdded).off("removeListener", onListenerRemoved);
    server.off("connection", onConnection).off("request", onRequest).off("secureConnection", onSecureConnection);
    for (const name of CONDITIONAL_EVENTS) server.off(name, onConditionalRequest);
    limit.stop();
  };
}
