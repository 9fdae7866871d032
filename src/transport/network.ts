/** The network of connections: how names are resolved, streams opened and servers bound. The system's is the default. */

import { ADDRCONFIG, lookup } from "node:dns";
import { connect } from "node:net";
import { isObject, kindOf } from "../base/forms.ts";
import type { Clock } from "../base/time.ts";
import { systemClock } from "./clock.ts";
import type { ListenAddress } from "./listen/listen-address.ts";
import { bind, stopAccepting } from "./listen/tcp-server.ts";
import type { Duplex, LookupAddress, NetConnectOpts, NetServer } from "./node-types.ts";

/**
 * The network that `connect`, `listen` and `reconnect` use. Tests pass a host of `network()` from `holdfast/testing`. The library
 * calls the members; programs only pass the object on.
 */
export interface Network {
  /** The default of the option `clock`. */
  readonly clock: Clock;
  /** Resolves a host name. Calls `done` once, later, with the addresses or with the error of the resolver. */
  lookup(host: string, done: (error: Error | null, addresses: readonly LookupAddress[]) => void): void;
  /** Opens a stream to an address. The stream emits `connect`, or `error`. */
  connect(place: NetConnectOpts): Duplex;
  /**
   * Binds an address. Its connections are `connection` events of `server`, each with a stream. Rejects with a TransportError.
   */
  listen(server: NetServer, address: ListenAddress, backlog: number | undefined): Promise<NetworkListener>;
}

/** A bound address. */
export interface NetworkListener {
  /** The bound port; 0 for a unix socket. */
  readonly port: number;
  /** Stops accepting. Resolves when all accepted connections have closed. */
  stop(): Promise<void>;
  /** Returns the number of accepted connections that are not closed. */
  accepted(): Promise<number>;
  /** Sets whether the bound address keeps the process alive. */
  ref(wanted: boolean): void;
}

/** The network of the operating system. */
export const systemNetwork: Network = {
  clock: systemClock,
  lookup(host, done) {
    // The same hints as in Node's own connect.
    const hints = process.platform === "win32" ? 0 : ADDRCONFIG;
    lookup(host, { all: true, hints }, done);
  },
  connect: (place) => connect({ ...place, allowHalfOpen: true }),
  async listen(server, address, backlog) {
    const port = await bind(server, address, backlog);
    return {
      port,
      stop: () => stopAccepting(server),
      accepted: () => new Promise((resolve) => server.getConnections((_, count = 0) => resolve(count))),
      ref: (wanted) => void (wanted ? server.ref() : server.unref()),
    };
  },
};

const MEMBERS = ["lookup", "connect", "listen"] as const;

/** Returns the network of an option. Throws TypeError if `given` is neither absent nor a network. */
export function networkOf(given: unknown): Network {
  if (given === undefined) return systemNetwork;
  if (isObject(given) && isObject(given["clock"]) && MEMBERS.every((name) => typeof given[name] === "function"))
    return given as unknown as Network;
  throw new TypeError(`Cannot use network: expected a host of network() from holdfast/testing, got ${kindOf(given)}`);
}
