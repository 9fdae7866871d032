/** Opens a stream to an address, and says how far it came. */

import { lookup } from "node:dns";
import { isIP, type NetConnectOpts, connect as netConnect, type Socket } from "node:net";
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

/** Opens TCP and, for a secure destination, TLS. Leaves nothing behind when `signal` aborts. */
export function dial(destination: Destination, tls: TlsOptions, signal: AbortSignal): Dial {
  let phase: Phase = destination.socketPath === undefined && isIP(destination.host) === 0 ? "dns" : "tcp";
  const target: NetConnectOpts =
    destination.socketPath === undefined
      ? { host: destination.host, port: destination.port, lookup }
      : { path: destination.socketPath };
  const socket = new Promise<Socket>((resolve, reject) => {
    const plain = netConnect({ ...target, allowHalfOpen: true });
    let current: Socket = plain;
    const fail = (error: unknown): void => {
      signal.removeEventListener("abort", abort);
      current.destroy();
      plain.destroy();
      reject(error);
    };
    const abort = (): void => fail(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    const done = (): void => {
      signal.removeEventListener("abort", abort);
      // Until its next owner listens: an error that nobody hears would end the process.
      for (const opened of new Set([plain, current])) opened.on("error", () => undefined).removeListener("error", fail);
      resolve(current);
    };
    plain.on("error", fail);
    plain.once("lookup", (error: Error | null) => {
      if (error === null) phase = "tcp";
    });
    plain.once("connect", () => {
      if (!destination.secure) return done();
      phase = "tls";
      // RFC 6066 section 3: a literal address is no server name.
      const name = isIP(destination.host) === 0 ? { servername: destination.host } : {};
      try {
        current = tlsConnect({ ...name, ...tls, socket: plain, host: destination.host });
      } catch (error) {
        return fail(error);
      }
      current.on("error", fail);
      current.once("secureConnect", done);
      current.once("close", () => fail(Object.assign(new Error("the peer closed during TLS"), { code: "ECONNRESET" })));
    });
  });
  return {
    socket,
    get phase() {
      return phase;
    },
  };
}
