/** Connects to an address: DNS, TCP, TLS and upgrade, each bounded, each to be cancelled, each named when it fails. */

import type { Socket } from "node:net";
import { type ConnectionError, HandshakeError, type Phase, TimeoutError } from "../base/errors.js";
import { guarded } from "../base/events.js";
import { after, between } from "../base/time.js";
import { Connection } from "../connection/connection.js";
import { type ConnectionOptions, type SettledOptions, settle } from "../connection/options.js";
import { framedWire, webSocketWire } from "../connection/wire.js";
import { acceptKey, requestHeaders } from "../engine/handshake.js";
import { judgeResponse } from "../engine/handshake-response.js";
import { dial } from "../transport/dial.js";
import { type Answer, requestUpgrade } from "../transport/http-client.js";
import { sha1Base64 } from "../transport/http-upgrade.js";
import { setKeepAlive } from "../transport/keepalive.js";
import { handshakeKey } from "../transport/random.js";
import { SocketTransport, transportError } from "../transport/socket.js";
import { type Address, hostPort, parseAddress } from "./address.js";
import { type ConnectOptions, ENDPOINT_DEFAULTS, refuseUpgradeOptions } from "./options.js";

/**
 * Opens a connection to a ws:, wss:, tcp: or tls: address. Rejects with a HandshakeError whose `phase` says how far it
 * came, with a TimeoutError whose `operation` does, or with the reason of the signal. Nothing is left open then.
 */
export async function connect<UserData = undefined>(
  url: string | URL,
  options: ConnectOptions<UserData> = {},
): Promise<Connection<UserData>> {
  const address = parseAddress(url);
  const { signal, subprotocols, headers, origin, framing, tls, keepAlive, data, ...rest } = options;
  if (address.protocol === "tcp") refuseUpgradeOptions({ subprotocols, headers, origin });
  const settled = settle(rest as ConnectionOptions<never>, address.protocol);
  const attempt = new Attempt(settled, signal);
  const { delay, interval, count } = { ...ENDPOINT_DEFAULTS.keepAlive, ...keepAlive };
  const wire = address.protocol === "websocket" ? webSocketWire("client") : framedWire(framing, settled);
  const made = (transport: SocketTransport, subprotocol: string): Connection<UserData> =>
    new Connection({
      ...{ role: "client", transport, wire, options: settled, subprotocol },
      url: String(url),
      data: data as UserData,
    });
  const request = address.protocol === "websocket" ? prepareUpgrade(address, options) : undefined;
  const connection = await attempt.run(async (patience) => {
    const dialled = dial(address, tls ?? {}, patience);
    attempt.phaseOf = () => dialled.phase;
    const socket = await dialled.socket;
    setKeepAlive(socket, delay, interval, count);
    if (request === undefined) return made(new SocketTransport(socket), "");
    attempt.phaseOf = () => "upgrade";
    const { protocol, head } = await upgrade(socket, request, patience, settled);
    return made(new SocketTransport(socket, head), protocol);
  });
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
}

/** Everything that misuse could be found in, before anything is opened. */
function prepareUpgrade(
  address: Address,
  { subprotocols: protocols = [], headers = {}, origin }: Pick<ConnectOptions, "subprotocols" | "headers" | "origin">,
): UpgradeRequestFacts {
  const key = handshakeKey();
  const standard = address.secure ? 443 : 80;
  const bare = hostPort(address.host, address.port);
  const host =
    address.socketPath !== undefined ? address.host : address.port === standard ? bare.replace(/:\d+$/, "") : bare;
  const fields = requestHeaders({ host, key, origin, protocols, extensions: [], headers });
  return { path: address.path, fields, accept: acceptKey(key, sha1Base64), protocols };
}

async function upgrade(
  socket: Socket,
  { path, fields, accept, protocols }: UpgradeRequestFacts,
  patience: AbortSignal,
  { observe, onError }: SettledOptions,
): Promise<{ readonly protocol: string; readonly head: Uint8Array }> {
  let answer: Answer;
  try {
    answer = await requestUpgrade(socket, path, fields, patience);
  } catch (error) {
    socket.destroy();
    throw error;
  }
  const { status, rawHeaders, headers, head, discard } = answer;
  const verdict = judgeResponse({ status, rawHeaders, accept, protocols, extensions: [] });
  const refusal = verdict.agreed ? undefined : `${verdict.problem} (${verdict.clause})`;
  const requestHeaders = Object.fromEntries(fields.map(([name, value]) => [name.toLowerCase(), value]));
  const observer = observe && guarded(observe, onError);
  observer?.({ type: "handshake", direction: "out", status, refusal, requestHeaders, responseHeaders: headers });
  if (verdict.agreed) return { protocol: verdict.protocol, head };
  discard();
  throw new HandshakeError({ problem: refusal ?? "", phase: "upgrade", status, headers });
}
