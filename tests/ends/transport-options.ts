/** The four lines of the matrix of ends: what a server and a client of each need, and no limit of time. */

import type { ConnectionOptions, ConnectOptions, ListenOptions } from "../../src/index.ts";
import { LOCALHOST } from "../fixtures/certificates.ts";
import type { Line } from "./ends.ts";

/** No limit of time ends anything here. */
const NEVER = {
  closeTimeout: Infinity,
  lingerTimeout: Infinity,
  writeTimeout: Infinity,
  pauseTimeout: Infinity,
  messageTimeout: Infinity,
  idleTimeout: Infinity,
  heartbeat: { interval: Infinity },
  // For 4 MiB that are queued at once; the peer's reading pauses after one message of them.
  maxQueuedBytes: Infinity,
  maxInboxBytes: 65_536,
} as const satisfies ConnectionOptions;

export function optionsOf(line: Line): { readonly server: ListenOptions; readonly client: ConnectOptions } {
  const framing = line === "tcp" || line === "tls" ? ({ framing: "lines" } as const) : {};
  const encrypted = line === "tls" || line === "wss";
  return {
    server: { ...NEVER, ...framing, ...(encrypted && { tls: LOCALHOST }) },
    client: { ...NEVER, ...framing, ...(encrypted && { tls: { ca: LOCALHOST.cert } }) },
  };
}
