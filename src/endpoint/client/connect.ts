/** Connects to an address: DNS, TCP, TLS and upgrade, each with a time limit, each cancellable, and each named in its errors. */

import type { Duplex } from "node:stream";
import { HandshakeError, TimeoutError } from "../../base/errors.ts";
import { present } from "../../base/forms.ts";
import { joinHostPort } from "../../base/host-port.ts";
import { DURATION_OR_ZERO, judgeNumber, judgeOptions, judgeSignal } from "../../base/judge.ts";
import { between } from "../../base/time.ts";
import type { FramedTyping, MessageType, ReceivedBy } from "../../connection/codec.ts";
import { type Compression, type SettledCompression, settleCompression } from "../../connection/compression/options.ts";
import type { Connection, Sendable } from "../../connection/contract.ts";
import { type AnyConnectionOptions, settle } from "../../connection/options.ts";
import { framedProtocol, type ProtocolFactory, webSocketProtocol } from "../../connection/protocol.ts";
import { TransportConnection } from "../../connection/transport-connection.ts";
import { judgeDeflate, offerDeflate } from "../../engine/deflate/negotiation.ts";
import type { Framing } from "../../engine/framing/framing.ts";
import { type Extension, formatExtensions, type ReceivedExtension } from "../../engine/handshake/extension.ts";
import { acceptKey, requestHeaders } from "../../engine/handshake/fields-to-send.ts";
import { type Agreement, judgeResponse } from "../../engine/handshake/response.ts";
import { dial } from "../../transport/dial/dial.ts";
import { isDuplex } from "../../transport/dial/dialer.ts";
import { setKeepAlive } from "../../transport/dial/keep-alive.ts";
import { settleDial } from "../../transport/dial/options.ts";
import { type DialPermit, DialQueue } from "../../transport/dial/queue.ts";
import { prepareTransports, sharedTransportOf, transportOf } from "../../transport/fast/select.ts";
import { requestUpgrade, type UpgradeAnswer } from "../../transport/http/client.ts";
import { sha1Base64 } from "../../transport/http/upgrade.ts";
import { type Network, networkOf, systemNetwork } from "../../transport/network.ts";
import { handshakeKey } from "../../transport/random.ts";
import { endpointsOf } from "../../transport/socket/socket.ts";
import type { Transport } from "../../transport/transport.ts";
import { type Address, formatAddress, parseAddress } from "../address.ts";
import { looseConnections } from "../metric-sources.ts";
import {
  CLIENT_DEFAULTS,
  type ConnectOptions,
  refuseFraming,
  refuseRequestOptions,
  settleKeepAlive,
} from "../options.ts";
import { OpeningEvents } from "../server/opening-events.ts";
import { Attempt } from "./attempt.ts";

// One queue for each network, and so for the whole process: a server counts all connections of the process together.
const dialQueues = new WeakMap<Network, DialQueue>();

function dialsOf(network: Network): DialQueue {
  const dials = dialQueues.get(network) ?? new DialQueue();
  dialQueues.set(network, dials);
  return dials;
}

/**
 * Opens a connection to a ws:, wss:, tcp: or tls: address.
 *
 * Rejects with a HandshakeError if opening fails (`phase` is the phase that failed), with a TimeoutError after `openTimeout`
 * (`operation` contains the phase), and with the abort reason of `signal`. After a rejection no socket is open. Rejects with a
 * TypeError or RangeError if the address or an option is invalid; then no socket was opened.
 */
export async function connect<
  UserData = undefined,
  In = never,
  Out = Sendable,
  Type extends MessageType = MessageType,
  const Frames extends Framing | undefined = Framing | undefined,
>(
  url: string | URL,
  options: ConnectOptions<UserData, ReceivedBy<In, Type, Frames>, Out> & FramedTyping<In, Out, Type, Frames> = {},
): Promise<Connection<UserData, ReceivedBy<In, Type, Frames>, Out>> {
  judgeOptions(options);
  try {
    const connection = await open(url, options as ConnectOptions<UserData>);
    return connection as Connection<UserData, unknown, unknown> as Connection<
      UserData,
      ReceivedBy<In, Type, Frames>,
      Out
    >;
  } catch (error) {
    // `connect` owns the stream from the call on.
    if (isDuplex(options.dial)) options.dial.on("error", () => undefined).destroy();
    // As in `withCallerStack`. The reason of a signal belongs to the application.
    if (error instanceof TimeoutError && error !== options.signal?.reason) Error.captureStackTrace(error, connect);
    throw error;
  }
}

async function open<UserData>(url: string | URL, options: ConnectOptions<UserData>): Promise<Connection<UserData>> {
  const address = parseAddress(url);
  const { signal, subprotocols, headers, origin, compression, framing, maxConnecting, queueTimeout, tls, ...others } =
    options;
  const { data, keepAlive, deadline, network: given, dial: stream, lookup, family, localAddress, ...rest } = others;
  const queueing = { maxConnecting, queueTimeout };
  if (address.protocol === "tcp") refuseRequestOptions({ subprotocols, headers, origin, compression, ...queueing });
  else refuseFraming(framing);
  judgeNumber("queueTimeout", queueTimeout ?? CLIENT_DEFAULTS.queueTimeout, DURATION_OR_ZERO);
  judgeSignal(signal);
  if (tls !== undefined) judgeOptions(tls, "tls");
  const settledCompression = settleCompression("client", compression ?? CLIENT_DEFAULTS.compression);
  const network = networkOf(given);
  const { dialer, route } = settleDial({ dial: stream, lookup, family, localAddress }, address);
  const clients = looseConnections("client", address.protocol);
  const { counters } = clients;
  const settled = settle(
    { clock: network.clock, ...present(rest) } as AnyConnectionOptions,
    address.protocol,
    counters,
  );
  const { clock, openTimeout } = settled;
  const { secure } = address;
  const limits = {
    clock,
    secure,
    openTimeout,
    queueTimeout: queueTimeout ?? CLIENT_DEFAULTS.queueTimeout,
    deadline,
    signal,
  };
  const attempt = new Attempt(limits);
  const { delay, interval, count } = settleKeepAlive(keepAlive);
  const newConnection = (
    transport: Transport,
    protocol: ProtocolFactory,
    subprotocol: string,
    extensions: string,
  ): TransportConnection<UserData> =>
    new TransportConnection({
      ...{ transport, protocol, options: settled, subprotocol, extensions },
      url: String(url),
      data: data as UserData,
    });
  const framed = address.protocol === "tcp" ? framedProtocol(framing, settled) : undefined;
  const request = prepareUpgrade(address, options, settledCompression);
  const permit = dialsOf(network).permit(maxConnecting ?? CLIENT_DEFAULTS.maxConnecting, () => {
    const { protocol, secure, host, port } = address;
    const origin = formatAddress({ protocol, secure, host, port, socketPath: address.socketPath, path: "/" });
    return `that to ${origin} began ${attempt.sinceTurn} ms ago and is in phase ${attempt.phaseOf()}`;
  });
  const events = new OpeningEvents(settled);
  const began = clock.now();
  clients.opening += 1;
  const opening = attempt.run(async (limit) => {
    const dialled = dial(address, {
      network,
      clock: settled.clock,
      tls: tls ?? {},
      signal: limit.signal,
      turn: framed === undefined ? (addresses) => attempt.wait(limit, permit, addresses) : undefined,
      reached: (phase) => events.phase(phase),
      route,
      dialer: dialer && { call: dialer, kind: address.protocol, timeout: () => attempt.remaining(limit) },
    });
    attempt.phaseOf = () => dialled.phase;
    const [socket] = await Promise.all([dialled.socket, network === systemNetwork && prepareTransports(address)]);
    if (limit.signal.aborted) {
      socket.destroy();
      throw limit.signal.reason;
    }
    setKeepAlive(socket, delay, interval, count);
    const selectTransport = dialled.foreign ? sharedTransportOf : transportOf;
    if (framed !== undefined) return newConnection(selectTransport(socket), framed, "", "");
    attempt.phaseOf = () => "upgrade";
    events.phase("upgrade");
    const agreed = await upgradeSocket(socket, request, limit.signal, events, permit);
    const protocol = webSocketProtocol("client", agreed.compression);
    return newConnection(
      selectTransport(socket, agreed.head),
      protocol,
      agreed.protocol,
      formatExtensions(agreed.extensions),
    );
  });
  const connection = await opening.finally(() => {
    clients.opening -= 1;
    permit.leave();
  });
  counters.handshakeDone(between(began, clock.now()));
  clients.add(connection as TransportConnection<never>);
  connection.start();
  return connection;
}

interface UpgradeRequestFacts {
  readonly path: string;
  readonly fields: ReturnType<typeof requestHeaders>;
  readonly accept: string;
  readonly protocols: readonly string[];
  readonly extensions: readonly Extension[];
  readonly compression: SettledCompression | undefined;
}

/** The negotiated parameters, and the bytes that were received after the response. */
interface Agreed extends Pick<Agreement, "protocol" | "extensions"> {
  readonly compression: Compression | undefined;
  readonly head: Uint8Array;
}

/** Validates the options of the upgrade and prepares the request, before a socket is opened. */
function prepareUpgrade(
  address: Address,
  {
    subprotocols: protocols = CLIENT_DEFAULTS.subprotocols,
    headers = CLIENT_DEFAULTS.headers,
    origin,
  }: Pick<ConnectOptions, "subprotocols" | "headers" | "origin">,
  compression: SettledCompression | undefined,
): UpgradeRequestFacts {
  const key = handshakeKey();
  const defaultPort = address.secure ? 443 : 80;
  const hostAndPort = joinHostPort(address.host, address.port);
  const host =
    address.socketPath !== undefined
      ? address.host
      : address.port === defaultPort
        ? hostAndPort.replace(/:\d+$/, "")
        : hostAndPort;
  const extensions = compression?.terms.map(offerDeflate) ?? [];
  const fields = requestHeaders({ host, key, origin, protocols, extensions, headers });
  return { path: address.path, fields, accept: acceptKey(key, sha1Base64), protocols, extensions, compression };
}

async function upgradeSocket(
  socket: Duplex,
  { path, fields, accept, protocols, extensions, compression }: UpgradeRequestFacts,
  signal: AbortSignal,
  events: OpeningEvents,
  permit: DialPermit,
): Promise<Agreed> {
  let answer: UpgradeAnswer;
  try {
    answer = await requestUpgrade(socket, path, fields, signal);
  } catch (error) {
    socket.destroy();
    throw error;
  }
  const { status, rawHeaders, headers, setCookie, head } = answer;
  const result = judgeResponse({ status, rawHeaders, accept, protocols, extensions });
  const deflate = result.agreed ? agreedDeflate(result.extensions, compression) : undefined;
  const refusal = !result.agreed
    ? `${result.problem}${result.clause === undefined ? "" : ` (${result.clause})`}`
    : typeof deflate === "string"
      ? `${deflate} (RFC 7692 7.1)`
      : undefined;
  events.answered({ path, offered: protocols, fields, ends: endpointsOf(socket) }, answer, refusal);
  if (result.agreed && typeof deflate !== "string") {
    return { protocol: result.protocol, extensions: result.extensions, compression: deflate, head };
  }
  // The attempt has failed, so others to this address need not wait for the body.
  permit.leave();
  const body = await answer.readBody(signal);
  // Destroyed here: after a complete response, `destroy` of the node:http request has no effect, and the socket would close only
  // some event loop turns later.
  socket.destroy();
  throw new HandshakeError({ problem: refusal ?? "", phase: "upgrade", status, headers, setCookie, body });
}

/**
 * Returns the compression that the server chose from the offers; undefined if it chose none. Returns a sentence with the reason
 * if its response matches none of the offers.
 */
function agreedDeflate(
  extensions: readonly ReceivedExtension[],
  compression: SettledCompression | undefined,
): Compression | string | undefined {
  // `judgeResponse` accepts only extensions that were offered, and permessage-deflate is the only offered extension.
  const [answer] = extensions;
  if (answer === undefined || compression === undefined) return undefined;
  const agreement = judgeDeflate(answer, compression.terms);
  return typeof agreement === "string" ? agreement : { ...compression, agreement };
}
