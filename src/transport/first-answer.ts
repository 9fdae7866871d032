/** Connects to whichever of a name's addresses answers first: RFC 8305, "Happy Eyeballs". */

import type { LookupAddress } from "node:dns";
import { connect, type NetConnectOpts, type Socket } from "node:net";

/**
 * How long an address has to itself before the next one is tried beside it, in milliseconds: RFC 8305 section 5. Node waits
 * as long, but gives the attempt up: it never reaches a server that is farther away, if the last of its addresses is dead.
 */
const ATTEMPT_DELAY = 250;

/** Attempts under way, of which one will do. */
export interface Race {
  /** Gives up those that have not answered. Nobody is told. */
  readonly stop: () => void;
}

/** Tries these places in their order, until one answers or all have failed. Calls one of the two, once, and not before it returns. */
export function raceTo(
  places: readonly NetConnectOpts[],
  connected: (socket: Socket) => void,
  failed: (error: Error) => void,
): Race {
  const left = [...places];
  const running = new Set<Socket>();
  const errors: Error[] = [];
  let next: NodeJS.Timeout | undefined;
  const stop = (): void => {
    clearTimeout(next);
    left.length = 0;
    for (const socket of running) socket.destroy();
    running.clear();
  };
  const start = (): void => {
    clearTimeout(next);
    const place = left.shift();
    if (place === undefined) return;
    if (left.length > 0) next = setTimeout(start, ATTEMPT_DELAY);
    const socket = connect({ ...place, allowHalfOpen: true });
    running.add(socket);
    const error = (reason: Error): void => {
      if (!running.delete(socket)) return;
      errors.push(reason);
      if (left.length > 0) start();
      else if (running.size === 0) failed(reasonOf(errors));
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

/** RFC 8305 section 4: families in turn, beginning with that of the first; within each, in the order of the resolver. */
export function inTurn(addresses: readonly LookupAddress[]): LookupAddress[] {
  const [first] = addresses;
  const preferred = addresses.filter(({ family }) => family === first?.family);
  const others = addresses.filter(({ family }) => family !== first?.family);
  return preferred
    .flatMap((address, at) => [address, ...others.slice(at, at + 1)])
    .concat(others.slice(preferred.length));
}

/** One error as it is; of several the first one's code, since that address is the one that was preferred. */
function reasonOf(errors: readonly Error[]): Error {
  const [first] = errors as readonly [NodeJS.ErrnoException];
  if (errors.length === 1) return first;
  const { code, syscall, errno } = first;
  const message = errors.map((error) => error.message).join("; ");
  return Object.assign(new AggregateError(errors, message), { code, syscall, errno });
}
