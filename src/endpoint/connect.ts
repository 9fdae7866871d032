/** Connects to an address: DNS, TCP, TLS and upgrade, each bounded, each to be cancelled, each named when it fails. */

import type { Socket } from "node:net";
import { type ConnectionError, HandshakeError, type Phase, TimeoutError } from "../base/errors.js";
import { guarded } from "../base/events.js";
import { after, between } from "../base/time.js";
import { type Compression, type SettledCompression, settleCompression } from "../connection/compression.js";
import { Connection } from "../connection/connection.js";
import { type ConnectionOptions, type SettledOptions, settle } from "../connection/options.js";
import { framedWire, type WireFactory, webSocketWire } from "../connection/wire.js";
import { judgeDeflate, offerDeflate } from "../engine/deflate.js";
import { type Extension, formatExtensions, type ReceivedExtension } from "../engine/extension.js";
import { acceptKey, requestHeaders } from "../engine/handshake.js";
import { type Agreement, judgeResponse } from "../engine/handshake-response.js";
import { readyTransports, transportOf } from "../transport/choice.js";
import { dial } from "../transport/dial.js";
import { DialQueue } from "../transport/dial-queue.js";
import { type Answer, requestUpgrade } from "../transport/http-client.js";
import { sha1Base64 } from "../transport/http-upgrade.js";
import { setKeepAlive } from "../transport/keepalive.js";
import { handshakeKey } from "../transport/random.js";
import { transportError } from "../transport/socket.js";
import type { Transport } from "../transport/transport.js";
import { type Address, hostPort, parseAddress } from "./address.js";
import { settleKeepAlive } from "./keep-alive.js";
import { type ConnectOptions, ENDPOINT_DEFAULTS, refuseUpgradeOptions } from "./options.js";

// One for the process: the server counts connections, and not who in it has asked.
const dials = new DialQueue();

/**
 * Opens a connection to a ws:, wss:, tcp: or tls: address. Rejects with a HandshakeError whose `phase` says how far it
 * came, with a TimeoutError whose `operation` does, or with the reason of the signal. Nothing is left open then.
 */
export async function connect<UserData = undefined>(
  url: string | URL,
  options: ConnectOptions<UserData> = {},
): Promise<Connection<UserData>> {
  const address = parseAddress(url);
  const { signal, subprotocols, headers, origin, compression, framing, maxConnecting, tls, keepAlive, data, ...rest } =
    options;
  if (address.protocol === "tcp") refuseUpgradeOptions({ subprotocols, headers, origin, compression, maxConnecting });
  const settledCompression = settleCompression("client", compression);
  const settled = settle(rest as ConnectionOptions<never>, address.protocol);
  const attempt = new Attempt(settled, signal);
  const { delay, interval, count } = settleKeepAlive(keepAlive);
  const made = (
    transport: Transport,
    wire: WireFactory,
    subprotocol: string,
    extensions: string,
  ): Connection<UserData> =>
    new Connection({
      ...{ transport, wire, options: settled, subprotocol, extensions },
      url: String(url),
      data: data as UserData,
    });
  const framed = address.protocol === "tcp" ? framedWire(framing, settled) : undefined;
  const request = prepareUpgrade(address, options, settledCompression);
  const place = dials.place(maxConnecting ?? ENDPOINT_DEFAULTS.maxConnecting);
  const opening = attempt.run(async (patience) => {
    const dialled = dial(address, tls ?? {}, patience, framed === undefined ? place.wait : undefined);
    attempt.phaseOf = () => dialled.phase;
    const [socket] = await Promise.all([dialled.socket, readyTransports(address)]);
    if (patience.aborted) {
      socket.destroy();
      throw patience.reason;
    }
    setKeepAlive(socket, delay, interval, count);
    if (framed !== undefined) return made(transportOf(socket), framed, "", "");
    attempt.phaseOf = () => "upgrade";
    const agreed = await upgrade(socket, request, patience, settled);
    const wire = webSocketWire("client", agreed.compression);
    return made(transportOf(socket, agreed.head), wire, agreed.protocol, formatExtensions(agreed.extensions));
  });
  const connection = await opening.finally(place.leave);
  connection.start();
  return connection;
}

/** One attempt to open: what bounds it, and what to call its failure. */
class Attempt {
  phaseOf: () => Phase = () => "dns";
  readonly #options: SettledOptions;
  readonly #signal: AbortSignal | undefined;

  constructor(options: SettledOptions, signal: AbortSignal | undefined) {
    this.#options = options;
    this.#signal = signal;
  }

  async run<T>(open: (patience: AbortSignal) => Promise<T>): Promise<T> {
    this.#signal?.throwIfAborted();
    const patience = new AbortController();
    const { clock, openTimeout } = this.#options;
    const began = clock.now();
    const cancel = (): void => patience.abort(this.#signal?.reason);
    this.#signal?.addEventListener("abort", cancel, { once: true });
    const timer = clock.wakeAt(after(began, openTimeout), (now) => {
      const operation = `connect:${this.phaseOf()}` as const;
      const facts = { operation, limit: "openTimeout", bound: openTimeout, after: between(began, now) };
      patience.abort(new TimeoutError({ ...facts, retriable: true }));
    });
    try {
      return await open(patience.signal);
    } catch (error) {
      if (patience.signal.aborted || error instanceof HandshakeError) throw error;
      throw this.#failure(error as NodeJS.ErrnoException);
    } finally {
      timer.cancel();
      this.#signal?.removeEventListener("abort", cancel);
    }
  }

  #failure(error: NodeJS.ErrnoException): ConnectionError {
    const cause = transportError(error);
    return new HandshakeError({ problem: error.message.trim() || cause.errno, phase: this.phaseOf() }, { cause });
  }
}

interface UpgradeRequestFacts {
  readonly path: string;
  readonly fields: ReturnType<typeof requestHeaders>;
  readonly accept: string;
  readonly protocols: readonly string[];
  readonly extensions: readonly Extension[];
  readonly compression: SettledCompression | undefined;
}

/** What client and server have agreed on. */
interface Agreed extends Pick<Agreement, "protocol" | "extensions"> {
  readonly compression: Compression | undefined;
  readonly head: Uint8Array;
}

/** Everything that misuse could be found in, before anything is opened. */
function prepareUpgrade(
  address: Address,
  { subprotocols: protocols = [], headers = {}, origin }: Pick<ConnectOptions, "subprotocols" | "headers" | "origin">,
  compression: SettledCompression | undefined,
): UpgradeRequestFacts {
  const key = handshakeKey();
  const standard = address.secure ? 443 : 80;
  const bare = hostPort(address.host, address.port);
  const host =
    address.socketPath !== undefined ? address.host : address.port === standard ? bare.replace(/:\d+$/, "") : bare;
  const extensions = compression?.terms.map(offerDeflate) ?? [];
  const fields = requestHeaders({ host, key, origin, protocols, extensions, headers });
  return { path: address.path, fields, accept: acceptKey(key, sha1Base64), protocols, extensions, compression };
}

async function upgrade(
  socket: Socket,
  { path, fields, accept, protocols, extensions, compression }: UpgradeRequestFacts,
  patience: AbortSignal,
  { observe, onError }: SettledOptions,
): Promise<Agreed> {
  let answer: Answer;
  try {
    answer = await requestUpgrade(socket, path, fields, patience);
  } catch (error) {
    socket.destroy();
    throw error;
  }
  const { status, rawHeaders, headers, head } = answer;
  const verdict = judgeResponse({ status, rawHeaders, accept, protocols, extensions });
  const deflate = verdict.agreed ? agreedDeflate(verdict.extensions, compression) : undefined;
  const refusal = !verdict.agreed
    ? `${verdict.problem} (${verdict.clause})`
    : typeof deflate === "string"
      ? `${deflate} (RFC 7692 7.1)`
      : undefined;
  const requestHeaders = Object.fromEntries(fields.map(([name, value]) => [name.toLowerCase(), value]));
  const observer = observe && guarded(observe, onError);
  observer?.({ type: "handshake", direction: "out", status, refusal, requestHeaders, responseHeaders: headers });
  if (verdict.agreed && typeof deflate !== "string") {
    return { protocol: verdict.protocol, extensions: verdict.extensions, compression: deflate, head };
  }
  // Not left to node:http, for which an answer that has ended is done with: the socket would close some time later.
  socket.destroy();
  throw new HandshakeError({ problem: refusal ?? "", phase: "upgrade", status, headers });
}

/** What the server's answer makes of our offers; a sentence if it answers none of them. */
function agreedDeflate(
  extensions: readonly ReceivedExtension[],
  compression: SettledCompression | undefined,
): Compression | string | undefined {
  // The answer names only what was offered, and we offer no other.
  const [answer] = extensions;
  if (answer === undefined || compression === undefined) return undefined;
  const agreement = judgeDeflate(answer, compression.terms);
  return typeof agreement === "string" ? agreement : { ...compression, agreement };
}
