/** What a user can tell about compression, and what one connection has settled. */

import {
  type DeflateAgreement,
  type DeflateTerms,
  LARGEST_WINDOW_BITS,
  SMALLEST_WINDOW_BITS,
} from "../engine/deflate.js";

/** What is offered, or agreed to, of permessage-deflate's four parameters (RFC 7692 section 7.1). */
export interface CompressionTerms {
  /**
   * Whether the server's messages may refer to its earlier ones: small messages that resemble each other become much smaller,
   * at the cost of one window of memory for each connection at both ends. @default false on servers, true for clients
   */
  readonly serverContextTakeover?: boolean;
  /** The same for the client's messages. @default false on servers, true for clients */
  readonly clientContextTakeover?: boolean;
  /** Largest window of the server's messages, as a power of two: 8, which is 256 bytes, to 15. @default 15 */
  readonly serverWindowBits?: number;
  /** The same for the client's messages. @default 15 */
  readonly clientWindowBits?: number;
}

/** How messages are compressed, where both sides agree to it (permessage-deflate, RFC 7692). */
export interface CompressionOptions extends CompressionTerms {
  /**
   * Smallest message that is compressed, in bytes, unless `compress` says otherwise for one. Smaller ones save less than
   * they cost; ws has the same. @default 1_024
   */
  readonly threshold?: number;
  /**
   * From 1, fast, to 9, small. Messages are small: 9 instead of 1 saves a twentieth of JSON of 1 KiB. @default 1
   */
  readonly level?: number;
  /**
   * Most bytes that one received byte may become in a message, beyond the first 64 KiB of it; more ends the connection with
   * 1009. Deflate reaches 1,032, which no text does. @default 100
   */
  readonly maxInflationRatio?: number;
  /**
   * Further offers, for servers that decline the first, the favourite first. For clients.
   * @default the first offer without the client's context: some servers ask for that only where it is offered
   */
  readonly fallbacks?: readonly CompressionTerms[];
}

/** What a listener or a dialer has settled for all its connections. */
export interface SettledCompression extends Required<Omit<CompressionOptions, keyof CompressionTerms | "fallbacks">> {
  /** What is offered by a client, in its order; the one thing that a server wants. */
  readonly terms: readonly [DeflateTerms, ...DeflateTerms[]];
}

/** What one connection does. */
export interface Compression extends Omit<SettledCompression, "terms"> {
  readonly agreement: DeflateAgreement;
}

/** The defaults that do not depend on the role. */
export const COMPRESSION_DEFAULTS: Readonly<Record<"threshold" | "level" | "maxInflationRatio", number>> =
  Object.freeze({
    threshold: 1_024,
    level: 1,
    maxInflationRatio: 100,
  });

// Short messages may be all one character; an attacker needs long ones.
const FREE = 65_536;

/** Most bytes that a compressed message of `packedSize` bytes may become. */
export function mostInflated(packedSize: number, maxInflationRatio: number): number {
  return FREE + Math.floor(packedSize * maxInflationRatio);
}

const TAKEOVERS = ["serverContextTakeover", "clientContextTakeover"] as const;
const WINDOWS = ["serverWindowBits", "clientWindowBits"] as const;

/** Judges and completes what was given; undefined if there is to be no compression. */
export function settleCompression(
  role: "server" | "client",
  given: boolean | CompressionOptions | undefined = role === "client",
): SettledCompression | undefined {
  if (given === false) return undefined;
  if (given !== true && (typeof given !== "object" || given === null)) {
    throw new TypeError(`Cannot use compression ${String(given)}: expected true, false or an object`);
  }
  const { fallbacks: further, ...first } = given === true ? ({} as CompressionOptions) : given;
  const fallbacks = further ?? [];
  if (!Array.isArray(fallbacks)) throw new TypeError("Cannot use compression.fallbacks: expected a list");
  if (role === "server" && fallbacks.length > 0) {
    throw new TypeError("Cannot use compression.fallbacks: it is the client that offers, and a server that answers");
  }
  const { threshold, level, maxInflationRatio, ...terms } = { ...COMPRESSION_DEFAULTS, ...first };
  whole("threshold", threshold, 0, Infinity);
  whole("level", level, 1, 9);
  if (!(typeof maxInflationRatio === "number" && maxInflationRatio >= 1)) {
    throw new RangeError(`Cannot use compression.maxInflationRatio ${maxInflationRatio}: expected 1 or more`);
  }
  const favourite = settleTerms(role, terms);
  const others = fallbacks.map((fallback) => settleTerms(role, fallback));
  // RFC 7692 section 7.1.1.2 has every client do without its context when it is told to. As servers may want to hear that,
  // and would take a first offer that says so at its word, it stands in a second one.
  if (role === "client" && further === undefined && favourite.clientContextTakeover) {
    others.push(Object.freeze({ ...favourite, clientContextTakeover: false }));
  }
  return Object.freeze({ threshold, level, maxInflationRatio, terms: [favourite, ...others] as const });
}

function settleTerms(role: "server" | "client", given: CompressionTerms): DeflateTerms {
  const takeover = role === "client";
  const terms = {
    serverContextTakeover: takeover,
    clientContextTakeover: takeover,
    serverWindowBits: LARGEST_WINDOW_BITS,
    clientWindowBits: LARGEST_WINDOW_BITS,
    ...given,
  };
  for (const name of Object.keys(given)) {
    if (TAKEOVERS.includes(name as never) || WINDOWS.includes(name as never)) continue;
    throw new TypeError(`Cannot use option compression.${name}: there is no such option here`);
  }
  for (const name of TAKEOVERS) {
    if (typeof terms[name] === "boolean") continue;
    throw new TypeError(`Cannot use compression.${name}: expected true or false, got ${typeof terms[name]}`);
  }
  for (const name of WINDOWS) whole(name, terms[name], SMALLEST_WINDOW_BITS, LARGEST_WINDOW_BITS);
  return Object.freeze(terms);
}

function whole(name: string, value: unknown, least: number, most: number): void {
  if (typeof value !== "number")
    throw new TypeError(`Cannot use compression.${name}: expected a number, got ${typeof value}`);
  if ((Number.isInteger(value) && value >= least && value <= most) || (value === Infinity && most === Infinity)) return;
  throw new RangeError(`Cannot use compression.${name} ${value}: expected a whole number from ${least} to ${most}`);
}
