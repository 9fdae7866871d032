/** Opens a stream to an address, and reports the phase that the attempt has reached. */

import { isIP } from "node:net";
import { connect as tlsConnect } from "node:tls";
import type { ConnectPhase } from "../../base/errors.ts";
import type { Clock } from "../../base/time.ts";
import type { Network } from "../network.ts";
import type { Duplex, LookupAddress, NetConnectOpts, TlsDialOptions } from "../node-types.ts";
import { callDialer, type DialDestination, type Dialer, type DialPlace } from "./dialer.ts";
import { connectToFirst, type HappyEyeballs, interleaved } from "./happy-eyeballs.ts";
import { type DialRoute, lookupAddresses } from "./lookup.ts";

/** The address to dial. */
export interface DialAddress {
  readonly host: string;
  readonly port: number;
  /** The path of a unix socket. If set, it replaces `host` and `port`. */
  readonly socketPath: string | undefined;
  readonly secure: boolean;
}

/** A dial in progress. */
export interface Dial {
  /** Rejects with the error of the system, or with the abort reason of the signal. */
  readonly socket: Promise<Duplex>;
  readonly phase: ConnectPhase;
  /** True if the stream is that of `dialer`. The application may still hold it. */
  readonly foreign: boolean;
}

/** Waits in the dial queue. Resolves when this dial may connect to any of these addresses. */
export type DialTurn = (targets: readonly string[]) => Promise<void>;

/** The function of the application that opens the stream. */
interface DialerOptions {
  readonly call: Dialer;
  readonly kind: DialDestination["kind"];
  /** Returns the time that is left, in milliseconds. */
  readonly timeout: () => number;
}

export interface DialSetup {
  readonly network: Network;
  readonly clock: Clock;
  readonly tls: TlsDialOptions;
  /** If it aborts, every socket is destroyed. */
  readonly signal: AbortSignal;
  readonly turn: DialTurn | undefined;
  /** Called with each phase when it is reached. */
  readonly reached?: ((phase: ConnectPhase) => void) | undefined;
  readonly route: DialRoute;
  readonly dialer?: DialerOptions | undefined;
}

/**
 * Opens TCP and, for a secure destination, TLS. With `turn`, it waits for `turn` before it connects. With `dialer`, the stream is
 * that of `dialer`, unless it returns undefined.
 */
export function dial(destination: DialAddress, options: DialSetup): Dial {
  const { tls, signal, dialer } = options;
  const { host, secure } = destination;
  let phase: ConnectPhase = dialer === undefined ? firstPhase(destination) : "proxy";
  let foreign = false;
  const report = (reached: ConnectPhase): void => {
    phase = reached;
    options.reached?.(reached);
  };
  const open = async (): Promise<Duplex> => {
    if (dialer === undefined) return openTcp(destination, options, report);
    // RFC 6455 section 4.1: without the address of the server, its name stands for it.
    if (options.turn !== undefined) {
      report("queue");
      await options.turn([placeInWords(destination)]);
    }
    report("proxy");
    const { port, socketPath } = destination;
    const { stream, destroyOpened } = callDialer(
      dialer.call,
      { host, port, socketPath, kind: dialer.kind, secure },
      { signal, timeout: dialer.timeout(), open: (place) => openPlace(place, options) },
    );
    const given = await stream;
    foreign = given !== undefined;
    if (given === undefined) destroyOpened();
    return given ?? openTcp(destination, options, report);
  };
  const openSecure = async (): Promise<Duplex> => {
    const plain = await open();
    if (!secure) return plain;
    report("tls");
    return startTls(plain, host, tls, signal);
  };
  return {
    socket: openSecure(),
    get phase() {
      return phase;
    },
    get foreign() {
      return foreign;
    },
  };
}

function firstPhase({ host, socketPath }: DialAddress): ConnectPhase {
  return socketPath === undefined && isIP(host) === 0 ? "dns" : "tcp";
}

function placeInWords({ host, port, socketPath }: DialAddress): string {
  return socketPath ?? `${host} ${port}`;
}

/** Opens a stream for the function of the application. */
async function openPlace(
  { host = "localhost", port = 0, socketPath, tls }: DialPlace,
  options: DialSetup,
): Promise<Duplex> {
  const address = { host, port, socketPath, secure: tls !== undefined };
  const { network, clock, signal, route } = options;
  return dial(address, { network, clock, signal, route, tls: tls ?? {}, turn: undefined }).socket;
}

/** Resolves the name, waits for the turn, and connects to the first address that answers. */
function openTcp(
  { host, port, socketPath }: DialAddress,
  { network, clock, signal, turn, route }: DialSetup,
  report: (phase: ConnectPhase) => void,
): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    let attempts: HappyEyeballs | undefined;
    const fail = (error: unknown): void => {
      signal.removeEventListener("abort", abort);
      attempts?.stop();
      reject(error);
    };
    const abort = (): void => fail(signal.reason);
    if (signal.aborted) {
      // A signal that has already aborted emits no event.
      abort();
      return;
    }
    signal.addEventListener("abort", abort, { once: true });
    const connected = (socket: Duplex): void => {
      signal.removeEventListener("abort", abort);
      keepErrors(socket);
      resolve(socket);
    };
    const open = (targets: readonly NetConnectOpts[]): void => {
      if (signal.aborted) return;
      report("tcp");
      attempts = connectToFirst(network, clock, targets, connected, fail);
    };
    const openInTurn = (hosts: readonly string[]): void => {
      const { localAddress } = route;
      const from = localAddress === undefined ? {} : { localAddress };
      const targets =
        socketPath === undefined ? hosts.map((each) => ({ host: each, port, ...from })) : [{ path: socketPath }];
      if (turn === undefined) {
        open(targets);
        return;
      }
      report("queue");
      turn(socketPath === undefined ? hosts.map((each) => `${each} ${port}`) : [socketPath])
        .then(() => open(targets))
        .catch(fail);
    };
    if (socketPath !== undefined || isIP(host) !== 0) {
      openInTurn([host]);
      return;
    }
    report("dns");
    // A host name has no address yet, so there is no queue to wait in before the lookup.
    lookupAddresses(network, route, host, (error, addresses: readonly LookupAddress[]) => {
      if (signal.aborted) return;
      if (error === null) openInTurn(interleaved(addresses).map(({ address }) => address));
      else fail(error);
    });
  });
}

/** Starts TLS on an open stream. If that fails, or `signal` aborts, both streams are destroyed. */
function startTls(plain: Duplex, host: string, tls: TlsDialOptions, signal: AbortSignal): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    let over: Duplex | undefined;
    const fail = (error: unknown): void => {
      signal.removeEventListener("abort", abort);
      over?.destroy();
      plain.destroy();
      reject(error);
    };
    const abort = (): void => fail(signal.reason);
    if (signal.aborted) {
      abort();
      return;
    }
    signal.addEventListener("abort", abort, { once: true });
    plain.once("error", fail);
    // TLS on a closed stream would emit nothing.
    if (plain.destroyed) fail(endedDuringTls());
    // RFC 6066 section 3: an IP address is not permitted as a server name.
    const name = isIP(host) === 0 ? { servername: host } : {};
    try {
      const secured = tlsConnect({ ...name, ...tls, socket: plain, host });
      over = secured;
      secured.on("error", fail);
      secured.once("secureConnect", () => {
        signal.removeEventListener("abort", abort);
        for (const stream of [plain, secured]) keepErrors(stream.removeListener("error", fail));
        resolve(secured);
      });
      secured.once("close", () => fail(endedDuringTls()));
    } catch (error) {
      fail(error);
    }
  });
}

function endedDuringTls(): Error {
  return Object.assign(new Error("the peer closed during TLS"), { code: "ECONNRESET" });
}

/** The next owner of the stream adds its listener later, and an `error` event without a listener would end the process. */
function keepErrors(stream: Duplex): void {
  stream.on("error", () => undefined);
}
