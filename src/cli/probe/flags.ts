/** The flags of `holdfast doctor URL`, and their validation. */

import { fieldOf, fileOf } from "../connect/values.ts";
import { duration, UsageError, wholeNumber } from "../flags.ts";
import type { Flag, Given } from "../manual.ts";
import { PROBE_CHECKS, type ProbeCheck } from "./finding.ts";

// Milliseconds. Several round trips around the world, and a slow handshake.
const DEFAULT_TIMEOUT = 3_000;

// Milliseconds. Long enough to see a limit that breaks every heartbeat, and short enough for a person who waits.
const DEFAULT_IDLE = 5_000;

// Bytes. Above the limits that most servers set, and little enough to send to a server of others.
const DEFAULT_SIZE = 4 * 1_024 * 1_024;

const [LONGEST_TIMEOUT, LONGEST_IDLE, LARGEST_SIZE] = [60_000, 24 * 3_600_000, 1_024 ** 3];

const SERVER = { section: "A server at a URL" } as const;

type Single = Flag & { readonly type: "string" };

/** The flags, with what the compiler derives their values from. */
type ProbeFlags = Readonly<
  Record<"idle" | "max-message" | "timeout" | "origin" | "ca", Single> &
    Record<"skip" | "header" | "subprotocol", Single & { readonly multiple: true }> &
    Record<"insecure", Flag & { readonly type: "boolean" }>
>;

/** In a section of their own of the manual of `holdfast doctor`. */
export const PROBE_FLAGS: ProbeFlags = {
  idle: {
    ...{ type: "string", value: "TIME", ...SERVER },
    text: `longest silence of the search for an idle limit; 0 for no search (default ${DEFAULT_IDLE / 1_000}s)`,
  },
  "max-message": {
    ...{ type: "string", value: "BYTES", ...SERVER },
    text: `end of the search for the largest message; 0 for no search (default ${DEFAULT_SIZE})`,
  },
  timeout: {
    ...{ type: "string", value: "TIME", ...SERVER },
    text: `longest wait for each answer (default ${DEFAULT_TIMEOUT / 1_000}s)`,
  },
  skip: {
    ...{ type: "string", value: "CHECK", multiple: true, choices: Object.keys(PROBE_CHECKS), ...SERVER },
    text: "leave out a check",
  },
  header: {
    ...{ type: "string", short: "H", value: "FIELD", multiple: true, ...SERVER },
    text: 'a field of each request, "Name: value"',
  },
  subprotocol: {
    ...{ type: "string", short: "s", value: "NAME", multiple: true, ...SERVER },
    text: "an offered subprotocol",
  },
  origin: { type: "string", value: "ORIGIN", ...SERVER, text: "the Origin of the requests, without it none" },
  insecure: { type: "boolean", short: "k", ...SERVER, text: "TLS with any certificate of the server" },
  ca: { type: "string", value: "FILE", file: true, ...SERVER, text: "certificates that are trusted, as PEM" },
};

/** The longest search, with the defaults: its connections. Stated in the manual, and checked by a test. */
export const MOST_CONNECTIONS: number = 10;

export interface ProbeSettings {
  readonly url: string;
  readonly idle: number;
  readonly maxMessage: number;
  readonly timeout: number;
  readonly skip: ReadonlySet<ProbeCheck>;
  readonly headers: readonly (readonly [string, string])[];
  readonly subprotocols: readonly string[];
  readonly origin: string | undefined;
  readonly insecure: boolean;
  readonly ca: string | undefined;
  readonly json: boolean;
}

/** Validates the flags for a URL. Throws UsageError. */
export function probeSettings(url: string, json: boolean, flags: Given<ProbeFlags>): ProbeSettings {
  const { origin, insecure } = flags;
  const request = (["header", "subprotocol", "origin"] as const).find((name) => Boolean(flags[name]?.length));
  if (request !== undefined && /^(tcp|tls)/i.test(url))
    throw new UsageError(`cannot use --${request} with TCP: it is a part of the WebSocket handshake`);
  return {
    ...{ url, json, origin, insecure, subprotocols: flags.subprotocol, headers: flags.header.map(fieldOf) },
    idle: flags.idle === undefined ? DEFAULT_IDLE : duration("--idle", flags.idle, 0, LONGEST_IDLE),
    maxMessage:
      flags["max-message"] === undefined
        ? DEFAULT_SIZE
        : wholeNumber("--max-message", flags["max-message"], 0, LARGEST_SIZE),
    timeout: flags.timeout === undefined ? DEFAULT_TIMEOUT : duration("--timeout", flags.timeout, 1, LONGEST_TIMEOUT),
    skip: new Set(flags.skip as readonly ProbeCheck[]),
    ca: flags.ca === undefined ? undefined : fileOf("--ca", flags.ca),
  };
}

/** Refuses the flags for a URL where there is none. Throws UsageError. */
export function refuseProbeFlags(flags: Given<ProbeFlags>): void {
  for (const name of Object.keys(PROBE_FLAGS) as (keyof ProbeFlags)[]) {
    const given = flags[name];
    if (Array.isArray(given) ? given.length > 0 : Boolean(given))
      throw new UsageError(`cannot use --${name} without a URL: it is for a server`);
  }
}
