/** Accepts WebSocket connections on an HTTP server that the application owns. */

import type { MessageType, MessageTyping, ReceivedBy } from "../../connection/codec.ts";
import type { Sendable } from "../../connection/contract.ts";
import { Counters } from "../../connection/counters.ts";
import { type SettledOptions, settle } from "../../connection/options.ts";
import type { UpgradeRequest } from "../../connection/upgrade-request.ts";
import { type PathParams, type PathPattern, parsePattern } from "../../engine/handshake/path-pattern.ts";
import { type PathMatch, PathTable } from "../../engine/handshake/path-table.ts";
import { judgeRequest } from "../../engine/handshake/request.ts";
import { systemClock } from "../../transport/clock.ts";
import { prepareTransports } from "../../transport/fast/select.ts";
import { httpAddress, isSecure, judgeHttpServer, limitOpenings } from "../../transport/http/openings.ts";
import { watchUnclaimed } from "../../transport/http/unclaimed-upgrade.ts";
import { pathOfTarget, requestFacts, type UpgradeCall } from "../../transport/http/upgrade.ts";
import { OpeningLimit } from "../../transport/listen/opening-limit.ts";
import { rawEndpointsOf } from "../../transport/listen/refused-opening.ts";
import type {
  Duplex,
  Http2SecureServer,
  HttpServer,
  HttpsServer,
  IncomingMessage,
  ServerResponse,
} from "../../transport/node-types.ts";
import { formatAddress } from "../address.ts";
import { type AttachOptions, type Handler, SERVER_DEFAULTS, settleArguments } from "../options.ts";
import { callOf, claim, isClaimed } from "./accept.ts";
import { AddressLimits } from "./address-limits.ts";
import { OpeningEvents, refusedBySeveral } from "./opening-events.ts";
import { Roster } from "./roster.ts";
import { Server } from "./server.ts";
import { refusePath, settleUpgrade, type UpgradeSetup, upgrade } from "./upgrade.ts";

// One `upgrade` listener per HTTP server for all its attachments: it can detect that no attachment serves the path of a request.
const attachmentsByServer = new WeakMap<object, Attachments>();

/**
 * Accepts the upgrade requests for `options.path`, which may be a pattern as in `routes` of `listen`, on an HTTP server that the
 * application owns: one of node:http, node:https, or node:http2 with `allowHTTP1`. To close the returned server closes its
 * connections; the HTTP server continues as before.
 *
 * A request for another path is answered with 404. If the HTTP server has other `upgrade` listeners, the 404 is sent after
 * `openTimeout`, and only if no listener has used the socket by then. A listener uses a socket if it destroys or ends it, writes
 * to it, reads or pauses it, or adds a listener for `error`, `data` or `readable`.
 *
 * Each socket that the HTTP server accepts from now on must send the whole head of its first request within `openTimeout`, with
 * the TLS handshake included. Otherwise it is closed, also if the request is not for a WebSocket. The limit does not apply to
 * bodies and responses. The number of these sockets is not bounded here: they belong to the HTTP server, and only connections and
 * requests that wait for `authorize` count for `maxConnections`.
 *
 * Throws TypeError if `httpServer` is not an HTTP server (for example, if it is the app of a framework), if there is neither a
 * handler nor a hook, and if `options.path` does not begin with `/` or is attached to this server already.
 */
export function attach<UserData = unknown>(
  httpServer: HttpServer | HttpsServer | Http2SecureServer,
  handler: Handler<UserData, UpgradeRequest>,
): Server<UserData>;
export function attach<UserData = unknown, In = never, Out = Sendable, Type extends MessageType = MessageType>(
  httpServer: HttpServer | HttpsServer | Http2SecureServer,
  options: AttachOptions<UserData, ReceivedBy<In, Type>, Out> & MessageTyping<In, Out, Type>,
  handler?: Handler<UserData, UpgradeRequest, ReceivedBy<In, Type>, Out>,
): Server<UserData, ReceivedBy<In, Type>, Out>;
export function attach<UserData>(
  httpServer: HttpServer | HttpsServer | Http2SecureServer,
  optionsOrHandler: AttachOptions<UserData> | Handler<UserData, UpgradeRequest>,
  givenHandler?: Handler<UserData, UpgradeRequest>,
): Server<UserData> {
  judgeHttpServer(httpServer);
  const { given: options, handler } = settleArguments("attach", optionsOrHandler, givenHandler);
  const {
    path,
    origin,
    subprotocols,
    headers,
    compression: _,
    authorize,
    trustProxy,
    perAddress,
    maxConnections = SERVER_DEFAULTS.maxConnections,
    ...rest
  } = options;
  const counters = new Counters("server", "websocket");
  const settled = settle(rest, "websocket", counters);
  const roster = new Roster<UserData>(maxConnections, settled.clock);
  const events = new OpeningEvents(settled);
  const setup: UpgradeSetup<UserData> = {
    ...settleUpgrade(options),
    options: settled,
    events,
    roster,
    addresses: AddressLimits.of(perAddress, settled.clock),
    handler,
  };
  let attachments = attachmentsByServer.get(httpServer);
  if (attachments === undefined) {
    attachments = new Attachments(httpServer as HttpServer);
    attachmentsByServer.set(httpServer, attachments);
  }
  const own = attachments;
  const remove = own.add({
    path: path === undefined ? undefined : parsePattern(path),
    events,
    options: settled,
    serve: (call, params) => void upgrade(setup, call, params),
  });
  // During the `opening` time of `close`, upgrade requests are still accepted: the HTTP server continues to accept sockets, and
  // only the application may stop that.
  roster.onClosing(remove);
  const url = (): string => {
    const address = httpAddress(httpServer);
    return address === undefined ? "" : formatAddress({ ...address, protocol: "websocket", path: path ?? "/" });
  };
  // Connections that open before its result use the public transport.
  void prepareTransports({ secure: isSecure(httpServer), socketPath: undefined });
  const source = {
    clock: settled.clock,
    stopAccepting: () => undefined,
    countSockets: () => Promise.resolve(roster.connections.size + roster.reserved + own.waiting),
    destroySockets: () => Promise.resolve(),
  };
  return new Server(url, roster, source, { counters, maxConnections });
}

interface Attachment {
  /** Undefined: it serves every path for which there is no other attachment. */
  readonly path: PathPattern | undefined;
  readonly events: OpeningEvents;
  readonly options: SettledOptions;
  readonly serve: (call: UpgradeCall, params: PathParams) => void;
}

class Attachments {
  // A server of node:http2 with `allowHTTP1` emits the same events for requests of HTTP/1.1.
  readonly #server: HttpServer;
  readonly #attachments: Attachment[] = [];
  readonly #table = new PathTable<Attachment>();
  /** The number of requests of a socket that the application has not answered yet. */
  readonly #unanswered = new WeakMap<object, number>();

  /** Limits the opening time of the server's sockets while there are attachments. */
  #limit: OpeningLimit | undefined;
  #removeLimit: () => void = () => undefined;

  constructor(server: HttpServer) {
    this.#server = server;
  }

  /** The number of sockets that have not sent the whole head of their first request. */
  get waiting(): number {
    return this.#limit?.waiting ?? 0;
  }

  /** Adds an attachment. The returned function removes it. */
  add(attachment: Attachment): () => void {
    const { path } = attachment;
    if (path === undefined) {
      if (this.#everyPath !== undefined) throw new TypeError("Cannot attach to every path: it is already attached");
    } else {
      const conflict = this.#table.conflictOf(path)?.source;
      if (conflict !== undefined) {
        const problem = conflict === path.source ? "it is already attached" : `it conflicts with ${conflict}`;
        throw new TypeError(`Cannot attach to path ${path.source}: ${problem}`);
      }
      this.#table.add(path, attachment);
    }
    if (this.#attachments.push(attachment) === 1) this.#start(attachment.options);
    return () => {
      this.#attachments.splice(this.#attachments.indexOf(attachment), 1);
      if (path !== undefined) this.#table.remove(path);
      if (this.#attachments.length === 0) this.#stop();
    };
  }

  #start({ clock }: SettledOptions): void {
    this.#limit = new OpeningLimit({
      clock,
      openTimeout: () => this.#maxOf("openTimeout"),
      expired: (socket, reason, detail) => {
        refusedBySeveral(this.#events(), reason, () => ({ detail, endpoints: rawEndpointsOf(socket) }));
      },
      // Not reported: browsers open spare connections and may close them unused. That is not the opening of a WebSocket.
      disconnected: () => undefined,
    });
    this.#removeLimit = limitOpenings(this.#server, this.#limit, () => clock.now());
    // First in the list of listeners: `watchUntaken` must record the state of the socket before another listener uses it.
    this.#server.prependListener("upgrade", this.#onUpgrade).on("request", this.#onRequest);
  }

  #stop(): void {
    this.#removeLimit();
    this.#server.off("upgrade", this.#onUpgrade).off("request", this.#onRequest);
  }

  /** The longest limit of all attachments. It applies to sockets and requests that belong to no single attachment. */
  #maxOf(limit: "openTimeout" | "closeTimeout"): number {
    return Math.max(...this.#attachments.map(({ options }) => options[limit]));
  }

  get #everyPath(): Attachment | undefined {
    return this.#attachments.find((one) => one.path === undefined);
  }

  /** The attachment that serves the path of a request target. */
  #match(target: string): PathMatch<Attachment> | "malformed" | undefined {
    const found = this.#table.match(pathOfTarget(target));
    if (typeof found === "object") return found;
    const every = this.#everyPath;
    return every === undefined ? found : { value: every, params: {} };
  }

  /** The observers of openings that belong to no single attachment. Each observer is in the list once. */
  #events(): OpeningEvents[] {
    const observers = new Map(this.#attachments.map(({ options, events }) => [options.observe, events]));
    return [...observers.values()];
  }

  readonly #onUpgrade = (request: IncomingMessage, socket: Duplex, head: Uint8Array): void => {
    this.#limit?.done(request.socket);
    // An earlier listener of the application has called `accept`.
    if (isClaimed(socket)) return;
    const found = this.#match(request.url ?? "");
    if (typeof found !== "object") {
      const [events, linger, openTimeout] = [this.#events(), this.#maxOf("closeTimeout"), this.#maxOf("openTimeout")];
      const [first] = this.#attachments;
      const clock = first?.options.clock ?? systemClock;
      const refuse = (): void => refusePath(events, callOf(request, socket, head), { clock, linger }, found);
      if (this.#server.listenerCount("upgrade") === 1 || first === undefined) refuse();
      else watchUnclaimed(socket, clock, openTimeout, refuse);
    } else if (this.#unanswered.has(request.socket)) {
      // RFC 9112 section 9.3.2: responses are sent in the order of the requests. The response to the earlier request would be
      // sent between the frames of the WebSocket.
      const detail = "an earlier request of the same connection has not been answered (RFC 9112 9.3.2)";
      found.value.events.refused("request", () => {
        return { detail, endpoints: rawEndpointsOf(request.socket), request: requestFacts(request) };
      });
      socket.on("error", () => undefined).destroy();
    } else {
      claim(socket);
      found.value.serve(callOf(request, socket, head), found.params);
    }
  };

  readonly #onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    const { socket } = request;
    this.#reportMissingUpgrade(request);
    this.#unanswered.set(socket, (this.#unanswered.get(socket) ?? 0) + 1);
    response.once("close", () => {
      const remaining = (this.#unanswered.get(socket) ?? 0) - 1;
      if (remaining > 0) this.#unanswered.set(socket, remaining);
      else this.#unanswered.delete(socket);
    });
  };

  /**
   * Reports a WebSocket request without the `Upgrade` field: proxies remove it unless they are configured to forward it. The
   * application answers the request.
   */
  #reportMissingUpgrade(request: IncomingMessage): void {
    if (request.headers["sec-websocket-key"] === undefined) return;
    const found = this.#match(request.url ?? "");
    if (typeof found !== "object") return;
    const facts = requestFacts(request);
    const result = judgeRequest(facts);
    if (result.accepted) return;
    const { reason, problem, clause } = result;
    const detail = `${problem} (${clause}), so the application answers`;
    found.value.events.refused(reason, () => {
      return { detail, endpoints: rawEndpointsOf(request.socket), request: facts };
    });
  }
}
