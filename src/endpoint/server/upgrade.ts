/** Turns an upgrade request on a node:http server into a connection, or refuses it. */

import { ERROR_PLACES, type ErrorPlace } from "../../base/error-context.ts";
import { type ConnectionError, LimitError, TimeoutError } from "../../base/errors.ts";
import { kindOf, present } from "../../base/forms.ts";
import { judgeFunction } from "../../base/judge.ts";
import type { Refusal } from "../../base/refusals.ts";
import { between, type Clock, type Instant } from "../../base/time.ts";
import { type SettledCompression, settleCompression } from "../../connection/compression/options.ts";
import type { SettledOptions } from "../../connection/options.ts";
import { webSocketProtocol } from "../../connection/protocol.ts";
import { TransportConnection } from "../../connection/transport-connection.ts";
import type { UpgradeRequest } from "../../connection/upgrade-request.ts";
import { answerDeflate } from "../../engine/deflate/negotiation.ts";
import { formatExtensions } from "../../engine/handshake/extension.ts";
import {
  type ExtraHeaders,
  extraFields,
  type HeaderFields,
  judgeSubprotocols,
  responseHeaders,
  selectProtocol,
} from "../../engine/handshake/fields-to-send.ts";
import {
  type ForwardedClient,
  forwardedClient,
  settleTrustProxy,
  type TrustedProxies,
} from "../../engine/handshake/forwarded.ts";
import { type OriginPolicy, originAllowed } from "../../engine/handshake/origin.ts";
import type { PathParams } from "../../engine/handshake/path-pattern.ts";
import type { Accepted, RequestFacts } from "../../engine/handshake/request.ts";
import {
  pathOfTarget,
  type RefusalAnswer,
  sha1Base64,
  switching,
  type UpgradeCall,
} from "../../transport/http/upgrade.ts";
import type { Endpoints } from "../../transport/transport.ts";
import { unlessAborted, WaitLimit } from "../../transport/wait-limit.ts";
import { type Handler, SERVER_DEFAULTS, type UpgradeOptions } from "../options.ts";
import type { AddressLimits, AddressPlace } from "./address-limits.ts";
import { isAdmission } from "./admission.ts";
import { type OpeningEvents, refusedBySeveral } from "./opening-events.ts";
import { NEVER_ABORTS, ReceivedRequest } from "./received-request.ts";
import { refusalAnswerOf } from "./refusal-response.ts";
import { runHandler } from "./run-handler.ts";

/** Validated options with defaults. */
export interface SettledUpgrade<UserData> {
  readonly origin: OriginPolicy;
  readonly subprotocols: readonly string[];
  readonly headers: HeaderFields;
  readonly authorize: UpgradeOptions<UserData>["authorize"];
  readonly trustProxy: TrustedProxies | undefined;
}

/** The places and connections of a server, as an upgrade uses them. `Roster` has the meaning of each member. */
export interface UpgradePlaces<UserData> {
  readonly closing: boolean;
  readonly refusal: ConnectionError;
  reservePlace(): boolean;
  releasePlace(): void;
  addConnection(connection: TransportConnection<UserData>, addressPlace?: AddressPlace): void;
  onClosing(listener: () => void): () => void;
}

/** A request that did not become a connection. It is answered, unless the client has left. */
export interface RefusedUpgrade {
  readonly reason: Refusal;
  readonly status: number | undefined;
  readonly detail: string;
  /** The limit that was reached. Undefined for other reasons. */
  readonly cause?: LimitError | undefined;
}

export type UpgradeOutcome<UserData> = TransportConnection<UserData> | RefusedUpgrade;

/** The parts that all upgrades on one server share. */
export interface UpgradeSetup<UserData> {
  readonly upgrade: SettledUpgrade<UserData>;
  readonly compression: SettledCompression | undefined;
  readonly options: SettledOptions;
  readonly events: OpeningEvents;
  readonly roster: UpgradePlaces<UserData>;
  /** Undefined without `perAddress`. */
  readonly addresses: AddressLimits | undefined;
  readonly handler: Handler<UserData, UpgradeRequest> | undefined;
}

/**
 * Validates the options and adds the defaults. An invalid option throws here, in the call that creates the server, and not at the
 * first client.
 */
export function settleUpgrade<UserData>(
  options: UpgradeOptions<UserData>,
): Pick<UpgradeSetup<UserData>, "upgrade" | "compression"> {
  const { origin: given, subprotocols, headers, compression } = { ...SERVER_DEFAULTS, ...present(options) };
  const { authorize } = options;
  const origin = Array.isArray(given) ? [...given] : given;
  const policy = typeof origin === "function" || origin === "same-host" || origin === "any" || Array.isArray(origin);
  if (!policy) {
    const shown = typeof origin === "string" ? JSON.stringify(origin) : kindOf(origin);
    const problem = `Cannot use origin ${shown}: expected "same-host", "any", a list of origins or a function`;
    throw typeof origin === "string" ? new RangeError(problem) : new TypeError(problem);
  }
  judgeSubprotocols(subprotocols);
  const trustProxy = settleTrustProxy(options.trustProxy);
  if (authorize !== undefined) judgeFunction("authorize", authorize);
  const upgrade = { origin, subprotocols: [...subprotocols], headers: extraFields(headers), authorize, trustProxy };
  return { upgrade, compression: settleCompression("server", compression) };
}

const CLIENT_LEFT = new Error("the client has left");
const LEAVE_EVENTS = ["end", "close", "error"] as const;

// How long a client that was refused because of `maxConnections` or `memoryBudget` should wait before the next request, in seconds.
const RETRY_HEADERS: ExtraHeaders = { "Retry-After": "5" };

const CLOSING = "the server is closing";
const SERVER_CLOSES = new Error(CLOSING);

/**
 * Answers one request. Returns the outcome, without `authorize` at once. Never throws or rejects: every failure is answered on
 * the socket. A failure of the library's or the application's code is also reported to `onError`.
 */
export function upgrade<UserData>(
  setup: UpgradeSetup<UserData>,
  call: UpgradeCall,
  params: PathParams,
): UpgradeOutcome<UserData> | Promise<UpgradeOutcome<UserData>> {
  const { judged: result } = call;
  if (!result.accepted) {
    const { reason, status, problem, headers, clause } = result;
    return refuse(setup, call, reason, textAnswer(status, problem, headers), `${problem} (${clause})`);
  }
  if (!setup.roster.reservePlace()) {
    const { refusal } = setup.roster;
    if (!(refusal instanceof LimitError)) return refuse(setup, call, "closing", textAnswer(503, CLOSING, {}), CLOSING);
    const answer = textAnswer(503, "too many connections", RETRY_HEADERS);
    return refuse(setup, call, "capacity", answer, `${refusal.limit} is reached`, refusal);
  }
  const addressPlace = setup.addresses?.take(endpointsOf(call, setup.upgrade.trustProxy).remoteAddress);
  if (addressPlace !== undefined && "cause" in addressPlace) {
    const { retryAfter, detail, cause } = addressPlace;
    const answer = textAnswer(429, "too many connections of this address", { "Retry-After": String(retryAfter) });
    const outcome = refuse(setup, call, "perAddress", answer, detail, cause);
    setup.roster.releasePlace();
    return outcome;
  }
  if (setup.upgrade.authorize === undefined) {
    // Decided synchronously, so the client cannot leave before the decision, and the socket needs no listeners for that.
    const opening = { call, accepted: result, params, request: undefined, addressPlace, since: undefined };
    return carryOut(
      setup,
      opening,
      () => originRefusal(setup, result) ?? { left: false, ...consent(undefined as UserData) },
    );
  }
  const request = new ReceivedRequest(call, result, endpointsOf(call, setup.upgrade.trustProxy), params);
  const opening = { call, accepted: result, params, request, addressPlace, since: setup.options.clock.now() };
  return decide(setup, opening, setup.upgrade.authorize).then(
    (decision) => carryOut(setup, opening, () => decision),
    (error) => carryOut(setup, opening, () => ({ left: false, place: "authorize", error })),
  );
}

/** A valid request that has a place. `request` is undefined until application code needs it. */
interface Opening<Request extends ReceivedRequest | undefined = ReceivedRequest | undefined> {
  readonly call: UpgradeCall;
  readonly accepted: Accepted;
  readonly params: PathParams;
  readonly request: Request;
  readonly addressPlace: AddressPlace | undefined;
  /** When `authorize` was called. Undefined without it: then the request is answered at once. */
  readonly since: Instant | undefined;
}

/** Carries out a decision. Afterwards the reserved places belong to a connection, or are free. */
function carryOut<UserData>(
  setup: UpgradeSetup<UserData>,
  opening: Opening,
  decisionOf: () => Decision<UserData>,
): UpgradeOutcome<UserData> {
  const { roster } = setup;
  const { call, accepted, params, addressPlace } = opening;
  let outcome: UpgradeOutcome<UserData>;
  try {
    const decision = decisionOf();
    if (decision.left) outcome = refuseDisconnected(setup, call, "the client disconnected during authorize");
    else if ("place" in decision) outcome = answerFailure(setup, call, accepted, decision.place, decision.error);
    else if ("answer" in decision) outcome = refuse(setup, call, decision.reason, decision.answer, decision.detail);
    else if (roster.closing) outcome = refuse(setup, call, "closing", textAnswer(503, CLOSING, {}), CLOSING);
    else outcome = openConnection(setup, call, accepted, decision);
  } catch (error) {
    outcome = answerFailure(setup, call, accepted, "upgrade", error);
  }
  if (!(outcome instanceof TransportConnection)) {
    roster.releasePlace();
    addressPlace?.release();
    return outcome;
  }
  const { counters, clock } = setup.options;
  counters.handshakeDone(opening.since === undefined ? 0 : between(opening.since, clock.now()));
  roster.addConnection(outcome, addressPlace);
  const { request = new ReceivedRequest(call, accepted, outcome.endpoints, params) } = opening;
  request.signal = NEVER_ABORTS;
  runHandler(outcome, setup.handler, request);
  return outcome;
}

/** Code of the library or of the application failed. Calls `onError`, and answers with 500. */
function answerFailure<UserData>(
  setup: UpgradeSetup<UserData>,
  call: UpgradeCall,
  { path }: Accepted,
  place: ErrorPlace,
  error: unknown,
): RefusedUpgrade {
  const { remoteAddress, remotePort } = endpointsOf(call, setup.upgrade.trustProxy);
  setup.options.onError(error, { place, connection: undefined, path, remoteAddress, remotePort });
  return refuse(setup, call, "failed", textAnswer(500, "internal error", {}), `${ERROR_PLACES[place]} failed`);
}

function refuse<UserData>(
  setup: UpgradeSetup<UserData>,
  call: UpgradeCall,
  reason: Refusal,
  answer: RefusalAnswer,
  detail: string,
  cause?: LimitError,
): RefusedUpgrade {
  const { status, fields } = answer;
  setup.events.refused(reason, () => {
    const endpoints = endpointsOf(call, setup.upgrade.trustProxy);
    return { detail, cause, endpoints, request: call.request, answer: { status, fields } };
  });
  const { clock, closeTimeout } = setup.options;
  call.refuse(answer, { clock, linger: closeTimeout });
  return { reason, status, detail, cause };
}

/** The client disconnected before its request was decided. Destroys the socket. */
export function refuseDisconnected<UserData>(
  setup: UpgradeSetup<UserData>,
  call: UpgradeCall,
  detail: string,
): RefusedUpgrade {
  const { request } = call;
  setup.events.refused("disconnected", () => {
    return { detail, endpoints: endpointsOf(call, setup.upgrade.trustProxy), request };
  });
  call.socket().destroy();
  return { reason: "disconnected", status: undefined, detail };
}

/**
 * Answers an upgrade request for a path that no server takes, with 404, or with 400 if the path is `malformed`. The socket is
 * destroyed after `linger` milliseconds at the latest.
 */
export function refusePath(
  events: Iterable<OpeningEvents>,
  call: UpgradeCall,
  bound: { readonly clock: Clock; readonly linger: number; readonly trustProxy?: TrustedProxies | undefined },
  malformed?: "malformed",
): void {
  const { request } = call;
  const path = pathOfTarget(request.target);
  const answer = malformed ? textAnswer(400, MALFORMED_PATH, {}) : textAnswer(404, "nothing to connect to here", {});
  const refused = malformed
    ? ({ reason: "request", detail: `${MALFORMED_PATH} (RFC 3986 2.1)`, request, answer } as const)
    : ({ reason: "path", detail: `nothing serves ${path}`, request, answer } as const);
  refusedBySeveral(events, refused.reason, () => ({ ...refused, endpoints: endpointsOf(call, bound.trustProxy) }));
  call.refuse(answer, bound);
}

const MALFORMED_PATH = "the percent-encoded characters of the path are malformed or not UTF-8";

type Decision<UserData> =
  | { readonly left: true }
  | { readonly left: false; readonly place: ErrorPlace; readonly error: unknown }
  | { readonly left: false; readonly reason: Refusal; readonly answer: RefusalAnswer; readonly detail: string }
  | ({ readonly left: false } & Consent<UserData>);

/** What a request is accepted with. */
interface Consent<UserData> {
  readonly data: UserData;
  /** Fields of the response in addition to those of the server. */
  readonly headers: HeaderFields;
  /** Undefined: the first of the server's subprotocols that the client offers. Empty: none. */
  readonly subprotocol: string | undefined;
}

function consent<UserData>(data: UserData): Consent<UserData> {
  return { data, headers: [], subprotocol: undefined };
}

/** Throws TypeError if the response would contradict the request. */
function consentOf<UserData>(answer: unknown, { protocols }: Accepted): Consent<UserData> {
  if (!isAdmission(answer)) return consent(answer as UserData);
  const { data, headers, subprotocol } = answer;
  if (subprotocol && !protocols.includes(subprotocol)) {
    throw new TypeError(`Cannot admit with subprotocol ${JSON.stringify(subprotocol)}: the client did not offer it`);
  }
  return { data: data as UserData, headers, subprotocol };
}

/** Returns the refusal of a request whose origin may not connect, for any user. Undefined if the origin is allowed. */
function originRefusal<UserData>(
  { upgrade: { origin } }: UpgradeSetup<UserData>,
  accepted: Accepted,
): Decision<UserData> | undefined {
  try {
    if (originAllowed(accepted.origin, accepted.host, origin)) return undefined;
  } catch (error) {
    return { left: false, place: "origin", error };
  }
  const detail = `Origin ${accepted.origin} is not allowed where Host is ${accepted.host} (origin: ${policyName(origin)})`;
  return { left: false, reason: "origin", answer: textAnswer(403, "this origin may not connect", {}), detail };
}

function policyName(policy: OriginPolicy): string {
  return typeof policy === "function"
    ? "a function"
    : typeof policy === "string"
      ? policy
      : `one of ${policy.join(", ")}`;
}

/**
 * Checks the origin, then calls `authorize`. The wait ends after `openTimeout`, when the client leaves, or when the server
 * closes.
 */
async function decide<UserData>(
  setup: UpgradeSetup<UserData>,
  { call, accepted, request }: Opening<ReceivedRequest>,
  authorize: NonNullable<UpgradeOptions<UserData>["authorize"]>,
): Promise<Decision<UserData>> {
  const socket = call.socket();
  const { options, roster } = setup;
  const refused = originRefusal(setup, accepted);
  if (refused !== undefined) return refused;
  const { clock, openTimeout } = options;
  const expired = (): TimeoutError => {
    const facts = { operation: "accept", limit: "openTimeout", bound: openTimeout, after: openTimeout } as const;
    return new TimeoutError({ ...facts, retriable: false });
  };
  const limit = new WaitLimit(clock, openTimeout, expired);
  const onLeave = (): void => limit.abort(CLIENT_LEFT);
  const removeListener = roster.onClosing(() => limit.abort(SERVER_CLOSES));
  // A client that has sent its FIN counts as gone too: it could never answer a Close frame of this side.
  for (const event of LEAVE_EVENTS) socket.on(event, onLeave);
  const callAuthorize = async (): Promise<Decision<UserData>> => {
    request.signal = limit.signal;
    const answer = await authorize(request);
    const refusal = await refusalAnswerOf(answer);
    if (refusal === undefined) return { left: false, ...consentOf<UserData>(answer, accepted) };
    return { left: false, reason: "authorize", answer: refusal, detail: `authorize answered ${refusal.status}` };
  };
  try {
    return await unlessAborted(callAuthorize(), limit.signal);
  } catch (error) {
    const { aborted, reason } = limit.signal;
    if (!aborted || error !== reason) throw error;
    if (reason === CLIENT_LEFT) return { left: true };
    if (reason === SERVER_CLOSES)
      return { left: false, reason: "closing", answer: textAnswer(503, CLOSING, {}), detail: CLOSING };
    const detail = `authorize did not settle within openTimeout (${openTimeout} ms)`;
    return { left: false, reason: "authorizeTimeout", answer: textAnswer(503, "no answer in time", {}), detail };
  } finally {
    limit.end();
    removeListener();
    for (const event of LEAVE_EVENTS) socket.off(event, onLeave);
  }
}

function openConnection<UserData>(
  setup: UpgradeSetup<UserData>,
  call: UpgradeCall,
  accepted: Accepted,
  { data, headers: added, subprotocol }: Consent<UserData>,
): TransportConnection<UserData> {
  const { subprotocols, headers: standard } = setup.upgrade;
  const protocol =
    subprotocol === undefined ? selectProtocol(accepted.protocols, subprotocols) : subprotocol || undefined;
  const headers = added.length === 0 ? standard : [...standard, ...added];
  const { compression } = setup;
  const deflate = compression && answerDeflate(accepted.extensions, compression.terms[0]);
  const extensions = deflate === undefined ? [] : [deflate.extension];
  const fields = responseHeaders(accepted, { protocol, extensions, headers }, sha1Base64);
  const transport = call.accept(switching(fields, accepted.expectsContinue));
  const client = clientOf(call.request, transport.endpoints, setup.upgrade.trustProxy);
  const ends = client === undefined ? transport.endpoints : { ...transport.endpoints, ...client };
  const opened = { request: call.request, ends, fields, offered: accepted.protocols };
  setup.events.accepted({ ...opened, subprotocol: protocol ?? "" });
  return new TransportConnection({
    transport,
    protocol: webSocketProtocol("server", compression && deflate && { ...compression, agreement: deflate.agreement }),
    options: setup.options,
    url: urlOf(transport.endpoints.secure, accepted),
    subprotocol: protocol ?? "",
    extensions: formatExtensions(extensions),
    data,
    client,
  });
}

/** The addresses of a call. Behind a trusted proxy the remote ones are those of the client. */
function endpointsOf(call: UpgradeCall, trustProxy: TrustedProxies | undefined): Endpoints {
  const endpoints = call.endpoints();
  const client = clientOf(call.request, endpoints, trustProxy);
  return client === undefined ? endpoints : { ...endpoints, ...client };
}

/** The client behind a trusted proxy. Undefined if it is the peer of the socket. */
function clientOf(
  { rawHeaders }: RequestFacts,
  { remoteAddress }: Endpoints,
  trustProxy: TrustedProxies | undefined,
): ForwardedClient | undefined {
  return trustProxy && forwardedClient(trustProxy, rawHeaders, remoteAddress);
}

let lastUrl = "";

/**
 * Returns a copy. A string made of parts of the request would keep the whole request in memory. Most URLs are equal to the one
 * before, which is returned again.
 */
function urlOf(secure: boolean, { host, path, query }: Accepted): string {
  const url = `${secure ? "wss" : "ws"}://${host}${path}${query && `?${query}`}`;
  if (url !== lastUrl) lastUrl = Buffer.from(url, "latin1").toString("latin1");
  return lastUrl;
}

function textAnswer(status: number, body: string, headers: ExtraHeaders): RefusalAnswer {
  return { status, fields: Object.entries(headers) as unknown as HeaderFields, body: `${body}\n` };
}
