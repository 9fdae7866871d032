/** Connects to the first address of a host name that answers (RFC 8305, Happy Eyeballs). */

import type { LookupAddress } from "node:dns";
import type { NetConnectOpts } from "node:net";
import type { Duplex } from "node:stream";
import { after, type Clock, type Wakeup } from "../../base/time.ts";
import type { Network } from "../network.ts";

/**
 * Delay before the next address is tried in parallel, in milliseconds (RFC 8305 section 5). Node's own implementation waits as
 * long, but then ends the earlier attempt. So it never reaches a distant server if the last of its addresses does not answer.
 */
const ATTEMPT_DELAY = 250;

/** Connection attempts in progress. The first that succeeds is used. */
export interface HappyEyeballs {
  /** Ends the attempts that have not answered. Calls neither callback. */
  readonly stop: () => void;
}

/**
 * Tries the addresses in their order, until one answers or all have failed. Calls either `connected` or `failed`, once, and never
 * before this function returns.
 */
export function connectToFirst(
  network: Network,
  clock: Clock,
  addresses: readonly NetConnectOpts[],
  connected: (socket: Duplex) => void,
  failed: (error: Error) => void,
): HappyEyeballs {
  const remaining = [...addresses];
  const running = new Set<Duplex>();
  const errors: Error[] = [];
  let next: Wakeup | undefined;
  const stop = (): void => {
    next?.cancel();
    remaining.length = 0;
    for (const socket of running) socket.destroy();
    running.clear();
  };
  const start = (): void => {
    next?.cancel();
    const address = remaining.shift();
    if (address === undefined) return;
    if (remaining.length > 0) next = clock.wakeAt(after(clock.now(), ATTEMPT_DELAY), start);
    const socket = network.connect(address);
    running.add(socket);
    const error = (reason: Error): void => {
      if (!running.delete(socket)) return;
      errors.push(reason);
      if (remaining.length > 0) start();
      else if (running.size === 0) failed(combinedError(errors));
    };
    socket.on("error", error);
    socket.once("connect", () => {
      socket.removeListener("error", error);
      running.delete(socket);
      stop();
      connected(socket);
    });
  };
  start();
  return { stop };
}

/**
 * Interleaves the address families, beginning with the family of the first address (RFC 8305 section 4). Within a family the
 * resolver's order is kept.
 */
export function interleaved(addresses: readonly LookupAddress[]): LookupAddress[] {
  const [first] = addresses;
  const preferred = addresses.filter(({ family }) => family === first?.family);
  const others = addresses.filter(({ family }) => family !== first?.family);
  return preferred
    .flatMap((address, at) => [address, ...others.slice(at, at + 1)])
    .concat(others.slice(preferred.length));
}

/**
 * Returns a single error unchanged. Several errors become an AggregateError with the code of the first, because its address was
 * the preferred one.
 */
function combinedError(errors: readonly Error[]): Error {
  const [first] = errors as readonly [NodeJS.ErrnoException];
  if (errors.length === 1) return first;
  const { code, syscall, errno } = first;
  const message = errors.map((error) => error.message).join("; ");
  return Object.assign(new AggregateError(errors, message), { code, syscall, errno });
}
