/** The line in the log for a connection that has ended. */

import { END_CAUSES, type EndCause } from "../base/end-causes.ts";
import { joinHostPort } from "../base/host-port.ts";
import { quoted, quotedIfNeeded } from "../base/log.ts";
import type { Endpoints } from "../transport/transport.ts";
import type { CloseInfo } from "./contract.ts";
import type { Tally } from "./tally.ts";

/** What the line has. */
export interface EndedConnection {
  readonly id: number;
  readonly url: string;
  readonly kind: "websocket" | "tcp";
  readonly endpoints: Endpoints;
  /** In milliseconds. */
  readonly age: number;
  readonly tally: Readonly<Tally>;
  readonly cause: EndCause;
  readonly info: CloseInfo;
}

/**
 * One line of fields `name=value`. The names are stable, and `cause` is that of the metrics. A text of the peer, the path and the reason,
 * is in quotation marks where it needs them, with its control characters escaped. The query of the URL is left out, because it often has
 * a token.
 */
export function endLine({ id, url, kind, endpoints, age, tally, cause, info }: EndedConnection): string {
  const { remoteAddress, remotePort } = endpoints;
  const remote = remoteAddress === "" ? "-" : joinHostPort(remoteAddress, remotePort);
  const path = kind === "tcp" ? "-" : quotedIfNeeded(pathOf(url));
  const { messagesIn, messagesOut, bytesIn, bytesOut, largestQueue, rtt } = tally;
  return [
    `connection=${id} remote=${remote} protocol=${kind} path=${path} age=${(age / 1_000).toFixed(3)}`,
    `messages_in=${messagesIn} messages_out=${messagesOut} bytes_in=${bytesIn} bytes_out=${bytesOut}`,
    `queue_max=${largestQueue} rtt=${rtt === undefined ? "-" : (rtt / 1_000).toFixed(6)}`,
    `by=${END_CAUSES[cause].by} cause=${cause} code=${info.code} reason=${quoted(info.reason)}`,
  ].join(" ");
}

function pathOf(url: string): string {
  const path = url.replace(/^\w+:\/\/[^/]*/, "").replace(/\?.*/s, "");
  return path === "" ? "/" : path;
}
