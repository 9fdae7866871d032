/** Opens a stream to an address, and says how far it came. */

import { ADDRCONFIG, lookup } from "node:dns";
import { isIP, type NetConnectOpts, type Socket } from "node:net";
import { type ConnectionOptions as TlsOptions, connect as tlsConnect } from "node:tls";
import type { Phase } from "../base/errors.js";
import { inTurn, type Race, raceTo } from "./first-answer.js";

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
  const socket = new Promise<Socket>((resolve, reject) => {
    let race: Race | undefined;
    let plain: Socket | undefined;
    let current: Socket | undefined;
    const fail = (error: unknown): void => {
      signal.removeEventListener("abort", abort);
      race?.stop();
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
    const connected = (tcp: Socket): void => {
      plain = tcp;
      tcp.on("error", fail);
      if (destination.secure) secure(tcp);
      else done(tcp);
    };
    const open = (places: readonly NetConnectOpts[]): void => {
      if (signal.aborted) return;
      phase = "tcp";
      race = raceTo(places, connected, fail);
    };
    const openInTurn = (hosts: readonly string[]): void => {
      const places = socketPath === undefined ? hosts.map((each) => ({ host: each, port })) : [{ path: socketPath }];
      if (turn === undefined) {
        open(places);
        return;
      }
      phase = "queue";
      turn(socketPath === undefined ? hosts.map((each) => `${each} ${port}`) : [socketPath])
        .then(() => open(places))
        .catch(fail);
    };
    if (!named) {
      openInTurn([host]);
      return;
    }
    // A name has no address yet, and so no place to wait at. Asked for as Node's own connect does.
    const hints = process.platform === "win32" ? 0 : ADDRCONFIG;
    lookup(host, { all: true, hints }, (error, addresses) => {
      if (signal.aborted) return;
      if (error === null) openInTurn(inTurn(addresses).map(({ address }) => address));
      else fail(error);
    });
  });
  return {
    socket,
    get phase() {
      return phase;
    },
  };
}
