/** The facts of an opening that did not become a connection. */

import type { LimitError } from "../../base/errors.ts";
import type { Refusal } from "../../base/refusals.ts";
import type { HeaderFields } from "../../engine/handshake/fields-to-send.ts";
import type { RequestFacts } from "../../engine/handshake/request.ts";
import { rawSocketOf } from "../internals/tcp.ts";
import type { Duplex } from "../node-types.ts";
import { endpointsOf } from "../socket/socket.ts";
import type { Endpoints } from "../transport.ts";

export interface RefusedOpening {
  readonly reason: Refusal;
  /** One sentence without a full stop, with the values that were compared or that exceeded a limit. */
  readonly detail: string;
  /** The limit that was reached. Undefined for other reasons. */
  readonly cause?: LimitError | undefined;
  /** Undefined if there are no addresses, for example after a failed accept. */
  readonly endpoints: Endpoints | undefined;
  /** Undefined if no request was read. */
  readonly request?: RequestFacts;
  /** The HTTP answer. Undefined if there was none. */
  readonly answer?: { readonly status: number; readonly fields: HeaderFields };
}

/** Counts the openings that led to no connection, and reports them. */
export interface RefusedListener {
  /** True if the facts of an opening are used. If not, no object is created for them. */
  readonly observed: boolean;
  refused(reason: Refusal, facts: () => RefusedFacts): void;
}

export type RefusedFacts = Omit<RefusedOpening, "reason">;

/**
 * Returns the addresses of a socket. For a TLS socket these are the addresses of the TCP connection, which are known even if the
 * TLS handshake failed.
 */
export function rawEndpointsOf(socket: Duplex): Endpoints {
  const raw = rawSocketOf(socket);
  return raw === undefined ? endpointsOf(socket) : { ...endpointsOf(raw), secure: true };
}
