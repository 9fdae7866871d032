/** Opens the connections of a load, with options that add nothing to the measured messages. */

import { type Connection, type ConnectOptions, connect } from "../../index.ts";
import type { ClientPlan, Plan } from "./plan.ts";

/** Connections that are being opened at the same time. */
const OPENING = 100;

const MEBIBYTE = 1_048_576;

/** The options of all connections. `Connection` has messages as they are: no codec is set. */
export type LoadOptions = ConnectOptions<undefined>;

/** The options of a connection that sends and receives messages of the plan. */
export function loadOptions({ url, size, client }: Pick<Plan, "url" | "size" | "client">): LoadOptions {
  const common: LoadOptions = {
    // Pings would be answered between the messages.
    heartbeat: false,
    idleTimeout: Number.POSITIVE_INFINITY,
    maxMessageSize: Math.max(MEBIBYTE, size),
    maxQueuedBytes: Math.max(MEBIBYTE, 4 * size),
    // An error ends its connection, whose end is counted.
    onError: () => undefined,
    tls: tlsOf(url, client),
  };
  if (/^(tcp|tls):/.test(url)) return { ...common, framing: client.framing };
  const { headers, subprotocols, origin, compression } = client;
  return { ...common, headers, subprotocols, origin, compression, maxConnecting: Number.POSITIVE_INFINITY };
}

function tlsOf(url: string, { insecure, ca }: ClientPlan): ConnectOptions["tls"] {
  if (!/^(wss|tls):/.test(url)) return undefined;
  return { ...(insecure && { rejectUnauthorized: false }), ...(ca !== undefined && { ca }) };
}

/** In addition to `loadOptions`, for a connection that does not read: nothing of this side ends it. */
export const UNREAD: LoadOptions = {
  pauseTimeout: Number.POSITIVE_INFINITY,
  writeTimeout: Number.POSITIVE_INFINITY,
  lingerTimeout: Number.POSITIVE_INFINITY,
};

/**
 * Opens `count` connections, some at a time. Rejects at the first failure, with the error and the number of those that were open;
 * these are then ended.
 */
export async function openAll(
  url: string,
  count: number,
  optionsOf: (at: number) => LoadOptions,
): Promise<Connection[]> {
  const opened: Connection[] = new Array(count);
  let next = 0;
  let failure: { readonly error: unknown } | undefined;
  const openSome = async (): Promise<void> => {
    while (next < count && failure === undefined) {
      const at = next++;
      try {
        opened[at] = await connect(url, optionsOf(at));
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(OPENING, count) }, openSome));
  if (failure === undefined) return opened;
  const open = opened.filter((connection) => connection !== undefined);
  for (const connection of open) connection.terminate();
  throw new OpeningError(open.length, failure.error);
}

/** Not all connections could be opened. */
export class OpeningError extends Error {
  override readonly name = "OpeningError";
  readonly opened: number;

  constructor(opened: number, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.opened = opened;
  }
}

/** Whether connection `number` of `all` is one of the `slow`, which are spread evenly. */
export function isSlow(number: number, all: number, slow: number): boolean {
  return Math.floor(((number + 1) * slow) / all) > Math.floor((number * slow) / all);
}
