/** Accepts one upgrade request that the application has routed itself: the base of `attach`, without a server. */

import { isBytes } from "../../base/bytes.ts";
import { HandshakeError } from "../../base/errors.ts";
import { isObject, kindOf } from "../../base/forms.ts";
import { judgeOptions } from "../../base/judge.ts";
import type { MessageType, MessageTyping, ReceivedBy } from "../../connection/codec.ts";
import type { Connection, Sendable } from "../../connection/contract.ts";
import { processBudget } from "../../connection/memory-budget.ts";
import { settle } from "../../connection/options.ts";
import { handledRejection } from "../../connection/time/pending-calls.ts";
import { TransportConnection } from "../../connection/transport-connection.ts";
import { withoutStack } from "../../transport/errors-without-stack.ts";
import { sharedTransportOf } from "../../transport/fast/select.ts";
import { type UpgradeCall, upgradeCallOf } from "../../transport/http/upgrade.ts";
import type { Duplex, IncomingMessage } from "../../transport/node-types.ts";
import { type LooseConnections, looseConnections } from "../metric-sources.ts";
import type { AcceptOptions } from "../options.ts";
import { AddressLimits } from "./address-limits.ts";
import { OpeningEvents } from "./opening-events.ts";
import {
  type RefusedUpgrade,
  refuseDisconnected,
  settleUpgrade,
  type UpgradeOutcome,
  type UpgradePlaces,
  type UpgradeSetup,
  upgrade,
} from "./upgrade.ts";

/**
 * Accepts one upgrade request of an HTTP server that the application owns, as `handleUpgrade` of ws does: for a router of the
 * application's own, or for a framework. `request`, `socket` and `head` are the arguments of the event `upgrade` of node:http,
 * node:https, or node:http2 with `allowHTTP1`. The application decides about the path; `origin`, `authorize` and all other options
 * apply as with `attach`.
 *
 * ```ts
 * server.on("upgrade", (request, socket, head) => {
 *   if (request.url !== "/chat") return void socket.destroy();
 *   accept(request, socket, head, options).then(chat, () => undefined);
 * });
 * ```
 *
 * The promise resolves with the open connection. Nothing is lost before the application uses it: received messages wait in its
 * inbox. The connection belongs to the application: no server closes it, so close it before the process ends.
 *
 * A refused request is answered, as with `attach`. `observe` gets the event `refused`, and the promise rejects with a HandshakeError
 * that has the `status` and the reason in `refusal`. This rejection without a handler is not an unhandled rejection, so no peer can
 * end the process.
 *
 * Rejects with a TypeError for other arguments than those of the event, and if the request was already accepted, also by `attach`.
 * Nothing is answered then. To save time and memory, pass the same `options` object each time: its values are read once.
 */
export function accept<UserData = unknown, In = never, Out = Sendable, Type extends MessageType = MessageType>(
  request: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
  options: AcceptOptions<UserData, ReceivedBy<In, Type>, Out> & MessageTyping<In, Out, Type> = NO_OPTIONS,
): Promise<Connection<UserData, ReceivedBy<In, Type>, Out>> {
  return acceptAny(request, socket, head, options as AcceptOptions<UserData>) as Promise<
    Connection<UserData, unknown, unknown>
  > as Promise<Connection<UserData, ReceivedBy<In, Type>, Out>>;
}

function acceptAny<UserData>(
  request: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
  options: AcceptOptions<UserData>,
): Promise<Connection<UserData>> {
  let outcome: UpgradeOutcome<UserData> | Promise<UpgradeOutcome<UserData>>;
  try {
    outcome = acceptWith(setupOf(options), request, socket, head);
  } catch (error) {
    return Promise.reject(error);
  }
  if (outcome instanceof TransportConnection) return Promise.resolve(outcome);
  const connection = Promise.resolve(outcome).then((decided) => {
    if (decided instanceof TransportConnection) return decided;
    return handledRejection(refusalError(decided));
  });
  connection.catch(() => undefined);
  return connection;
}

/**
 * Accepts one upgrade request, as `accept` does, before it returns: the response with status 101 is written and the socket has its
 * error listener. For frameworks that call a function such as `handleUpgrade` and use its result at once. Returns undefined if the
 * request was refused; it is answered then, and `observe` has the reason.
 *
 * Throws a TypeError as `accept` rejects, and for the option `authorize`, which may take time.
 */
export function acceptSync<UserData = unknown, In = never, Out = Sendable, Type extends MessageType = MessageType>(
  request: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
  options: Omit<AcceptOptions<UserData, ReceivedBy<In, Type>, Out>, "authorize"> &
    MessageTyping<In, Out, Type> = NO_OPTIONS,
): Connection<UserData, ReceivedBy<In, Type>, Out> | undefined {
  const setup = setupOf(options as AcceptOptions<UserData>);
  if (setup.upgrade.authorize !== undefined)
    throw new TypeError("Cannot use authorize with acceptSync: it may take time, so use accept");
  const outcome = acceptWith(setup, request, socket, head);
  const connection: unknown = outcome instanceof TransportConnection ? outcome : undefined;
  return connection as Connection<UserData, ReceivedBy<In, Type>, Out> | undefined;
}

const NO_OPTIONS: Readonly<Record<never, never>> = Object.freeze({});

const SETUPS = new WeakMap<object, UpgradeSetup<never>>();

/** Validates `options` at their first use. Connections with the same settings share memory. */
function setupOf<UserData>(options: AcceptOptions<UserData>): UpgradeSetup<UserData> {
  judgeOptions(options);
  const known = SETUPS.get(options) as UpgradeSetup<UserData> | undefined;
  if (known !== undefined) return known;
  const { origin, subprotocols, headers, compression, authorize, trustProxy, perAddress, ...rest } = options;
  const settled = settle(rest, "websocket", accepted().counters);
  const setup: UpgradeSetup<UserData> = {
    ...settleUpgrade(options),
    options: settled,
    events: new OpeningEvents(settled),
    roster: NO_ROSTER,
    addresses: AddressLimits.of(perAddress, settled.clock),
    handler: undefined,
  };
  SETUPS.set(options, setup as unknown as UpgradeSetup<never>);
  return setup;
}

function accepted(): LooseConnections {
  return looseConnections("server", "websocket");
}

/** There is no server that bounds or closes the connections. */
const NO_ROSTER: UpgradePlaces<unknown> = {
  closing: false,
  get refusal() {
    return processBudget.refusal();
  },
  reservePlace: () => processBudget.admits(),
  releasePlace: () => undefined,
  // The end is reported once: there is no handler that could outlive the connection.
  addConnection: (connection, addressPlace) =>
    accepted().add(connection as TransportConnection<never>, addressPlace && (() => addressPlace.release())),
  onClosing: () => () => undefined,
};

function acceptWith<UserData>(
  setup: UpgradeSetup<UserData>,
  request: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
): UpgradeOutcome<UserData> | Promise<UpgradeOutcome<UserData>> {
  judgeUpgrade(request, socket, head);
  if (isClaimed(socket)) throw new TypeError("Cannot accept: the request of this socket was already accepted");
  claim(socket);
  const call = callOf(request, socket, head);
  // The peer can cause this while a router of the application waits for something, so it is no misuse.
  if (socket.destroyed)
    return refuseDisconnected(setup, call, "the client disconnected before the request was accepted");
  return upgrade(setup, call, {});
}

// Sockets whose upgrade request was accepted or refused.
const CLAIMED = new WeakSet<Duplex>();

/** True if the request of `socket` was already accepted or refused. */
export function isClaimed(socket: Duplex): boolean {
  return CLAIMED.has(socket);
}

export function claim(socket: Duplex): void {
  CLAIMED.add(socket);
}

/** The call of an upgrade request on an HTTP server of the application. */
export function callOf(request: IncomingMessage, socket: Duplex, head: Uint8Array): UpgradeCall {
  return upgradeCallOf(request, socket, head, sharedTransportOf, { raw: request });
}

const SOCKET_METHODS: readonly string[] = ["on", "off", "write", "end", "destroy", "pause", "resume"];

function judgeUpgrade(request: unknown, socket: unknown, head: unknown): void {
  const isRequest =
    isObject(request) &&
    typeof request["url"] === "string" &&
    Array.isArray(request["rawHeaders"]) &&
    "method" in request;
  if (!isRequest) {
    const hint = "a framework has the request of node:http below its own, such as request.raw";
    throw new TypeError(`Cannot accept ${kindOf(request)}: expected the request of an upgrade event; ${hint}`);
  }
  if (!isObject(socket) || !SOCKET_METHODS.every((name) => typeof socket[name] === "function"))
    throw new TypeError(`Cannot accept: expected the socket of the upgrade event, got ${kindOf(socket)}`);
  if (!isBytes(head))
    throw new TypeError(`Cannot accept: expected the Buffer of the upgrade event as head, got ${kindOf(head)}`);
}

function refusalError({ reason, status, detail, cause }: RefusedUpgrade): HandshakeError {
  const facts = { problem: detail, phase: "upgrade", status, refusal: reason } as const;
  return withoutStack(() => new HandshakeError(facts, cause && { cause }));
}
