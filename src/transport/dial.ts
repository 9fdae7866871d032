/** Opens a stream to an address, and says how far it came. */

import { lookup } from "node:dns";
import { isIP, type LookupFunction, type NetConnectOpts, connect as netConnect, type Socket } from "node:net";
import { type ConnectionOptions as TlsOptions, connect as tlsConnect } from "node:tls";
import type { Phase } from "../base/errors.js";

/** Where to dial. */
export interface Destination {
  readonly host: string;
  readonly port: number;
  /** The path of a unix socket, which then stands for host and port. */
  readonly socketPath: string | undefined;
  readonly secure: boolean;
}

/** A dial under way. */
export interface Dial {
  /** Rejects with the system's error, or with the reason of the signal. */
  readonly socket: Promise<Socket>;
  readonly phase: Phase;
}

/** Resolves when it is this dial's turn to connect to any of these places. */
export type Turn = (places: readonly string[]) => Promise<void>;

/** Opens TCP and, for a secure destination, TLS; if there is a `turn`, when it comes. Leaves nothing behind when `signal` aborts. */
export function dial(destination: Destination, tls: TlsOptions, signal: AbortSignal, turn?: Turn): Dial {
  const { host, port, socketPath } = destination;
  const named = socketPath === undefined && isIP(host) === 0;
  let phase: Phase = named ? "dns" : "tcp";
  const waitFor = async (its: Turn, places: readonly string[]): Promise<void> => {
    phase = "queue";
    await its(places);
    phase = "tcp";
  };
  const lookupInTurn: LookupFunction = (hostname, options, callback) => {
    lookup(hostname, options, (error, found, family) => {
      if (error !== null || turn === undefined) return callback(error, found, family);
      const addresses = typeof found === "string" ? [found] : found.map(({ address }) => address);
      const places = addresses.map((address) => placeOf(address, port));
      void waitFor(turn, places).then(() => callback(null, found, family));
    });
  };
  const target: NetConnectOpts = socketPath === undefined ? { host, port, lookup: lookupInTurn } : { path: socketPath };
  const socket = new Promise<Socket>((resolve, reject) => {
    let plain: Socket | undefined;
    let current: Socket | undefined;
    const fail = (error: unknown): void => {
      signal.removeEventListener("abort", abort);
      current?.destroy();
      plain?.destroy();
      reject(error);
    };
    const abort = (): void => fail(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    const done = (opened: Socket): void => {
      signal.removeEventListener("abort", abort);
      // Until its next owner listens: an error that nobody hears would end the process.
      for (const one of new Set([plain, opened])) one?.on("error", () => undefined).removeListener("error", fail);
      resolve(opened);
    };
    const secure = (tcp: Socket): void => {
      phase = "tls";
      // RFC 6066 section 3: a literal address is no server name.
      const name = isIP(host) === 0 ? { servername: host } : {};
      try {
        const over = tlsConnect({ ...name, ...tls, socket: tcp, host });
        current = over;
        over.on("error", fail);
        over.once("secureConnect", () => done(over));
        over.once("close", () => fail(Object.assign(new Error("the peer closed during TLS"), { code: "ECONNRESET" })));
      } catch (error) {
        fail(error);
      }
    };
    const open = (): void => {
      if (signal.aborted) return;
      const tcp = netConnect({ ...target, allowHalfOpen: true });
      plain = tcp;
      tcp.on("error", fail);
      tcp.once("lookup", (error: Error | null) => {
        if (error === null) phase = "tcp";
      });
      tcp.once("connect", () => (destination.secure ? secure(tcp) : done(tcp)));
    };
    // A name has no address yet, and so no place to wait at.
    if (named || turn === undefined) open();
    else
      waitFor(turn, [socketPath ?? placeOf(host, port)])
        .then(open)
        .catch(fail);
  });
  return {
    socket,
    get phase() {
      return phase;
    },
  };
}

function placeOf(address: string, port: number): string {
  return `${address} ${port}`;
}
