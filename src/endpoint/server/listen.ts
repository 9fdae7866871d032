/** Starts a server on an address of its own. */

import type { Server as NetServer, Socket } from "node:net";
import { type ConnectionError, LimitError } from "../../base/errors.ts";
import { COUNT, judgeNumber, judgeOptions } from "../../base/judge.ts";
import type { Refusal } from "../../base/refusals.ts";
import { farewellBytes } from "../../connection/close/farewell.ts";
import type { FramedTyping, MessageType, MessageTyping, ReceivedBy } from "../../connection/codec.ts";
import type { Sendable } from "../../connection/contract.ts";
import { Counters } from "../../connection/counters.ts";
import { type SettledOptions, settle } from "../../connection/options.ts";
import { framedProtocol } from "../../connection/protocol.ts";
import { TransportConnection } from "../../connection/transport-connection.ts";
import type { UpgradeRequest } from "../../connection/upgrade-request.ts";
import type { Framing } from "../../engine/framing/framing.ts";
import { settleTrustProxy } from "../../engine/handshake/forwarded.ts";
import { setKeepAlive } from "../../transport/dial/keep-alive.ts";
import { canTakeHandles, prepareTransports, transportOf } from "../../transport/fast/select.ts";
import { createUpgradeServer, type UpgradeServer } from "../../transport/http/upgrade-server.ts";
import { DescriptorGuard } from "../../transport/listen/descriptor-guard.ts";
import { endWith } from "../../transport/listen/last-write.ts";
import { PendingOpenings } from "../../transport/listen/pending-openings.ts";
import { type RefusedListener, rawEndpointsOf } from "../../transport/listen/refused-opening.ts";
import { createTcpServer } from "../../transport/listen/tcp-server.ts";
import { networkOf, systemNetwork } from "../../transport/network.ts";
import { type Address, badAddress, formatAddress, parseAddress } from "../address.ts";
import {
  connectionOptionsOf,
  type Handler,
  judgeCertificate,
  type ListenOptions,
  refuseFraming,
  refuseRequestOptions,
  routeDefaultsOf,
  SERVER_DEFAULTS,
  seesConnections,
  settleArguments,
  settleKeepAlive,
} from "../options.ts";
import { AddressLimits } from "./address-limits.ts";
import { ListeningServer } from "./listening-server.ts";
import { OpeningEvents } from "./opening-events.ts";
import { plainListener } from "./plain-listener.ts";
import { capacityError, Roster, type ServerRoster, SharedPlaces } from "./roster.ts";
import { Rosters } from "./rosters.ts";
import { RouteTable } from "./routes.ts";
import { runHandler } from "./run-handler.ts";
import { socketsOf, sourceOf } from "./server.ts";
import { settleUpgrade } from "./upgrade.ts";

/** A URL that is known to be that of a WebSocket when the program is compiled. Then `request` is never undefined. */
export type WebSocketUrl = `ws:${string}` | `wss:${string}` | `ws+unix:${string}` | `wss+unix:${string}`;

/** The settled options of one listener, and the objects that its connections share. */
interface ListenSetup {
  readonly address: Address;
  readonly given: ListenOptions<unknown, UpgradeRequest>;
  readonly options: SettledOptions;
  readonly maxConnections: number;
  /** Undefined without `perAddress`. */
  readonly addresses: AddressLimits | undefined;
  readonly handler: Handler<unknown, UpgradeRequest> | undefined;
  readonly events: OpeningEvents;
  readonly accepted: (socket: Socket) => void;
}

/** A server that does not listen yet. */
interface Prepared {
  readonly server: NetServer;
  readonly roster: ServerRoster<unknown>;
  readonly routes?: RouteTable;
  readonly takeHandles?: UpgradeServer["takeHandles"];
  readonly plainRequests?: UpgradeServer["plainRequests"];
}

/**
 * Listens on a ws:, wss:, tcp: or tls: address. With port 0, the system chooses a free port; `server.url` contains it. A
 * WebSocket address with a path serves only that path, which may be a pattern such as `/rooms/:room`. `options.routes` and
 * `server.route` serve more paths on the same address.
 *
 * The handler runs for the life of each connection (see `Handler`). Without a handler, the hooks in the options get the messages.
 *
 * Rejects with a TypeError if there is neither a handler nor a hook nor a route, and for an encrypted address without a
 * certificate; with a TypeError or RangeError for an invalid address, pattern or option; and with a TransportError if the address
 * cannot be bound.
 */
export function listen<UserData = unknown>(
  url: WebSocketUrl,
  handler: Handler<UserData, UpgradeRequest>,
): Promise<ListeningServer<UserData>>;
export function listen<
  UserData = unknown,
  Data = Record<string, unknown>,
  In = never,
  Out = Sendable,
  Type extends MessageType = MessageType,
>(
  url: WebSocketUrl,
  options: ListenOptions<UserData, UpgradeRequest, Data, ReceivedBy<In, Type>, Out> & MessageTyping<In, Out, Type>,
  handler?: Handler<UserData, UpgradeRequest, ReceivedBy<In, Type>, Out>,
): Promise<ListeningServer<UserData, ReceivedBy<In, Type>, Out>>;
export function listen<UserData = unknown>(
  url: string | URL,
  handler: Handler<UserData>,
): Promise<ListeningServer<UserData>>;
export function listen<
  UserData = unknown,
  Data = Record<string, unknown>,
  In = never,
  Out = Sendable,
  Type extends MessageType = MessageType,
  const Frames extends Framing | undefined = Framing | undefined,
>(
  url: string | URL,
  options: ListenOptions<UserData, UpgradeRequest | undefined, Data, ReceivedBy<In, Type, Frames>, Out> &
    FramedTyping<In, Out, Type, Frames>,
  handler?: Handler<UserData, UpgradeRequest | undefined, ReceivedBy<In, Type, Frames>, Out>,
): Promise<ListeningServer<UserData, ReceivedBy<In, Type, Frames>, Out>>;
export async function listen<UserData>(
  url: string | URL,
  optionsOrHandler: ListenOptions<UserData, UpgradeRequest> | Handler<UserData, UpgradeRequest>,
  givenHandler?: Handler<UserData, UpgradeRequest>,
): Promise<ListeningServer<UserData>> {
  const { given, handler } = settleArguments("listen", optionsOrHandler, givenHandler);
  const address = parseAddress(url);
  if (address.path.includes("?"))
    throw badAddress(String(url), "expected no query: the client sends the query of a request");
  const { maxConnections = SERVER_DEFAULTS.maxConnections, backlog = SERVER_DEFAULTS.backlog, tls, keepAlive } = given;
  if (address.protocol === "tcp") refuseRequestOptions({ ...given });
  else refuseFraming(given.framing);
  if (tls !== undefined) judgeOptions(tls, "tls");
  if (address.secure) judgeCertificate(tls);
  judgeNumber("backlog", backlog, COUNT);
  const network = networkOf(given.network);
  const counters = new Counters("server", address.protocol);
  const options = settle({ clock: network.clock, ...connectionOptionsOf(given) }, address.protocol, counters);
  const { delay, interval, count } = settleKeepAlive(keepAlive);
  const accepted = (socket: Socket): void => setKeepAlive(socket, delay, interval, count);
  // The type of `data` is known to the caller only.
  const setup = {
    address,
    given,
    options,
    maxConnections,
    addresses: AddressLimits.of(given.perAddress, options.clock),
    handler,
    events: new OpeningEvents(options),
    accepted,
  } as ListenSetup;
  const prepared = address.protocol === "websocket" ? webSocketServer(setup) : tcpServer(setup);
  const { server, takeHandles } = prepared;
  const sockets = socketsOf(server);
  const ofSystem = network === systemNetwork;
  if (ofSystem) await prepareTransports(address);
  const listener = await network.listen(server, address, backlog);
  const handles = ofSystem && canTakeHandles(address) ? takeHandles?.() : undefined;
  if (ofSystem) guardDescriptors(server, setup);
  if (!options.ref) listener.ref(false);
  const urlAddress = address.host === "" ? { ...address, host: "127.0.0.1" } : address;
  const { plainRequests } = prepared;
  const source = sourceOf({
    ...{ clock: options.clock, server, listener, sockets, plainRequests },
    dropSilent: () => handles?.drop(),
  });
  const bound = formatAddress(urlAddress, listener.port);
  const roster = prepared.roster as ServerRoster<UserData>;
  return new ListeningServer(() => bound, roster, source, { counters, maxConnections }, prepared.routes);
}

/**
 * If the process has no free file descriptor, open connections continue, and accepting resumes when a descriptor is free again.
 */
function guardDescriptors(server: NetServer, { events, options }: ListenSetup): void {
  const guard = new DescriptorGuard(options.clock, (error) => {
    events.refused("accept", () => ({ detail: error.message, endpoints: undefined }));
    options.onError(error, { place: "accept", connection: undefined });
  });
  server.on("error", (error) => guard.failed(error)).once("close", () => guard.stop());
}

function webSocketServer(setup: ListenSetup): Prepared {
  const { address, given, options, accepted, events, handler, maxConnections, addresses } = setup;
  const { clock, openTimeout, closeTimeout: linger } = options;
  const { tls, routes: more } = given;
  const places = new SharedPlaces(maxConnections);
  const trustProxy = settleTrustProxy(given.trustProxy);
  const rosters = new Rosters();
  const routes = new RouteTable({
    defaults: routeDefaultsOf(given),
    rosters,
    places,
    addresses,
    events,
    counters: options.counters,
    clock,
    linger,
    trustProxy,
  });
  if (seesConnections(given, handler)) {
    const roster = new Roster(Infinity, clock, places);
    routes.addOwn(address.path, { ...settleUpgrade(given), options, events, roster, addresses, handler });
  }
  if (more !== undefined) judgeOptions(more, "routes");
  for (const [pattern, target] of Object.entries(more ?? {})) routes.add(pattern, target);
  const { server, takeHandles, plainRequests } = createUpgradeServer({
    secure: address.secure,
    tls: tls ?? {},
    clock,
    openTimeout,
    accepted,
    transportOf,
    upgrade: (call) => routes.serve(call),
    plain: plainListener(given, options),
    serves: (target) => routes.serves(target),
    refused: refusedBy(setup, rosters),
    pending: new PendingOpenings(() => places.left),
  });
  return { server, takeHandles, plainRequests, roster: rosters, routes };
}

/**
 * Reports openings that end without a request. If the closing server itself destroys a socket, the reason is `closing`: the
 * client has not left.
 */
function refusedBy(
  { events, maxConnections: maximum }: ListenSetup,
  roster: { readonly closing: boolean },
): RefusedListener {
  return {
    get observed() {
      return events.observed;
    },
    refused: (reason, facts) => {
      const byServer = roster.closing && reason === "disconnected";
      events.refused(byServer ? "closing" : reason, () => {
        const cause = reason === "capacity" ? capacityError(maximum) : undefined;
        return { ...facts(), cause, ...(byServer && { detail: "the server is closing" }) };
      });
    },
  };
}

function tcpServer(setup: ListenSetup): Prepared {
  const { address, given, options, handler, accepted, events, maxConnections, addresses } = setup;
  const places = new SharedPlaces(maxConnections);
  const roster = new Roster<unknown>(Infinity, options.clock, places);
  const pending = new PendingOpenings(() => places.left);
  const protocol = framedProtocol(given.framing, options);
  const refuse = (socket: Socket, reason: Refusal, detail: string, error: ConnectionError): void => {
    const cause = error instanceof LimitError ? error : undefined;
    events.refused(reason, () => ({ detail, cause, endpoints: rawEndpointsOf(socket) }));
    const { clock, closeTimeout: linger } = options;
    const encoder = options.farewell === undefined ? undefined : protocol(options).encoder;
    const last = encoder && farewellBytes(options, encoder, error, undefined);
    if (last !== undefined) endWith(socket, last, { clock, linger, pending });
    else {
      socket.on("error", () => undefined);
      socket.destroy();
    }
  };
  const open = (socket: Socket): void => {
    if (!roster.reservePlace()) {
      const { refusal } = roster;
      if (refusal instanceof LimitError) refuse(socket, "capacity", `${refusal.limit} is reached`, refusal);
      else refuse(socket, "closing", "the server is closing", refusal);
      return;
    }
    const addressPlace = addresses?.take(rawEndpointsOf(socket).remoteAddress);
    if (addressPlace !== undefined && "cause" in addressPlace) {
      roster.releasePlace();
      refuse(socket, "perAddress", addressPlace.detail, addressPlace.cause);
      return;
    }
    const transport = transportOf(socket);
    const connection = new TransportConnection<unknown>({
      ...{ transport, protocol, options, subprotocol: "", extensions: "", data: undefined },
      url: formatAddress(address),
    });
    roster.addConnection(connection, addressPlace);
    runHandler(connection, handler as Handler | undefined, undefined);
  };
  const server = createTcpServer({
    secure: address.secure,
    tls: given.tls ?? {},
    openTimeout: options.openTimeout,
    accepted,
    opened: open,
    refused: refusedBy(setup, roster),
    pending,
  });
  return { server, roster };
}
