/** Calls the option `dial`, with which the application opens the stream to the server itself: a proxy, a tunnel, its own socket. */

import { isObject, kindOf, reasonOf } from "../../base/forms.ts";
import type { Duplex, TlsDialOptions } from "../node-types.ts";
import { setImmediate } from "../timers.ts";

/** The server to which `dial` opens a stream. */
export interface DialDestination {
  /** The host of the URL. An IPv6 address has no brackets. Names are not resolved. */
  readonly host: string;
  readonly port: number;
  /** The path of the unix socket, for the schemes with `+unix`. If set, it replaces `host` and `port`. */
  readonly socketPath: string | undefined;
  /** `websocket` for the schemes ws and wss, `tcp` for the schemes tcp and tls. */
  readonly kind: "websocket" | "tcp";
  /** True for wss: and tls:. Then TLS is started on the stream that `dial` returns. */
  readonly secure: boolean;
}

/** A place to which `DialAttempt.open` connects. */
export interface DialPlace {
  /** A name, which is resolved, or an IP address, such as `fe80::1%eth0`. */
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  /** The path of a unix socket, in place of `host` and `port`. */
  readonly socketPath?: string | undefined;
  /** If set, TLS is started with these options. Absent: a plain stream. */
  readonly tls?: TlsDialOptions | undefined;
}

/** The attempt for which `dial` is called. */
export interface DialAttempt {
  /** Aborts when the stream is no longer wanted: at `openTimeout`, at `deadline`, and when the signal of `connect` aborts. */
  readonly signal: AbortSignal;
  /** The time that is left for opening, in milliseconds. Can be `Infinity`. */
  readonly timeout: number;
  /**
   * Opens a stream as `connect` does by itself: all addresses of a name are tried, with `lookup`, `family`, `localAddress` and
   * `network` of the options. If the attempt fails, every stream that it has opened is destroyed.
   */
  readonly open: (place: DialPlace) => Promise<Duplex>;
}

/**
 * Returns an open stream to the destination. `undefined`: `connect` opens the stream itself. The stream belongs to the connection,
 * which destroys it at its end. A stream that is returned too late is destroyed. If the function throws or rejects, `connect`
 * rejects with a HandshakeError in phase `proxy`, and with the thrown HandshakeError if it is one.
 */
export type Dialer = (
  destination: DialDestination,
  attempt: DialAttempt,
) => Duplex | undefined | Promise<Duplex | undefined>;

/** The streams of one call of `dial`. */
export interface DialerCall {
  readonly stream: Promise<Duplex | undefined>;
  /** Destroys the streams that the call has opened. */
  readonly destroyOpened: () => void;
}

/** Calls `dialer`. The stream is connected when the promise resolves. After an abort, no stream of this call is open. */
export function callDialer(dialer: Dialer, destination: DialDestination, attempt: DialAttempt): DialerCall {
  const { signal } = attempt;
  const opened = new Set<Duplex>();
  let over = false;
  const destroyOpened = (): void => {
    over = true;
    for (const stream of opened) stream.destroy();
  };
  const open = async (place: DialPlace): Promise<Duplex> => {
    const stream = await attempt.open(place);
    opened.add(stream);
    if (over) stream.destroy();
    return stream;
  };
  const call = async (): Promise<Duplex | undefined> => {
    const result = await dialer(destination, { signal, timeout: attempt.timeout, open });
    if (result === undefined) return undefined;
    if (!isDuplex(result))
      throw new TypeError(`Cannot use the result of dial: expected a Duplex, got ${kindOf(result)}`);
    // Before anything else: an error without a listener would end the process.
    result.on("error", () => undefined);
    opened.add(result);
    if (over) result.destroy();
    else await untilOpen(result);
    return result;
  };
  const stream = unlessAbortedBefore(call(), signal).catch((error: unknown) => {
    destroyOpened();
    throw error;
  });
  return { stream, destroyOpened };
}

/** True for a Node Duplex, also of another copy of `readable-stream`. */
export function isDuplex(value: unknown): value is Duplex {
  return (
    isObject(value) && ["write", "read", "on", "pipe", "destroy"].every((name) => typeof value[name] === "function")
  );
}

/** Resolves when the stream can be used. A `net.Socket` is connected later than `net.connect` returns, and a TLS socket too. */
async function untilOpen(stream: Duplex): Promise<void> {
  const { connecting, secureConnecting } = stream as {
    readonly connecting?: unknown;
    readonly secureConnecting?: unknown;
  };
  const event = secureConnecting === true ? "secureConnect" : connecting === true ? "connect" : undefined;
  await new Promise<void>((resolve, reject) => {
    const closed = (): void => reject(stream.errored ?? new Error("the stream of dial was closed"));
    if (stream.destroyed) closed();
    else if (event === undefined) resolve();
    else stream.once(event, resolve).once("error", reject).once("close", closed);
  });
}

/**
 * Settles like `work`, or rejects with the reason of `signal` at the end of the turn in which it aborts: until then `work` can
 * reject with an error that says more, such as the status of a proxy that has refused.
 */
function unlessAbortedBefore<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => void setImmediate(() => reject(reasonOf(signal)));
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
