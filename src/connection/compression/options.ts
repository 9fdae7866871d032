/** Defines the compression options of the user and the settled terms of one connection. */

import { type Complete, isObject, present } from "../../base/forms.ts";
import { judgeBoolean, judgeNames, judgeNumber, judgeOptions, type NumberRange } from "../../base/judge.ts";
import {
  type DeflateAgreement,
  type DeflateTerms,
  MAX_WINDOW_BITS,
  MIN_WINDOW_BITS,
} from "../../engine/deflate/negotiation.ts";

/** The four parameters of permessage-deflate that are offered or agreed to (RFC 7692 section 7.1). */
export interface CompressionTerms {
  /**
   * Whether messages of the server may refer to earlier ones. Similar small messages become much smaller, but each connection
   * costs the memory of one window at both ends.
   * @default false on servers, true for clients
   */
  readonly serverContextTakeover?: boolean | undefined;
  /** The same for the client's messages. @default false on servers, true for clients */
  readonly clientContextTakeover?: boolean | undefined;
  /** Largest window for messages of the server, as a power of two: from 8 (256 bytes) to 15. @default 15 */
  readonly serverWindowBits?: number | undefined;
  /** The same for the client's messages. @default 15 */
  readonly clientWindowBits?: number | undefined;
}

/** How messages are compressed if both sides agree to it (permessage-deflate, RFC 7692). */
export interface CompressionOptions extends CompressionTerms {
  /**
   * Smallest message that is compressed, in bytes, unless `compress` of the message decides otherwise. Compressing a smaller
   * message costs more than it saves. ws has the same value.
   * @default 1_024
   */
  readonly threshold?: number | undefined;
  /**
   * Compression level from 1 (fast) to 9 (small). Messages are small: for JSON of 1 KiB, level 9 saves a twentieth over level 1.
   * @default 1
   */
  readonly level?: number | undefined;
  /**
   * Most bytes that one received byte may become when a message is decompressed. The first 64 KiB of the decompressed message are
   * exempt. More ends the connection with 1009. Deflate can reach 1,032, but no text does.
   * @default 100
   */
  readonly maxInflationRatio?: number | undefined;
  /**
   * Further offers, the preferred one first, for servers that decline the first offer. Only for clients.
   * @default the first offer without the client's context: some servers ask for that only where it is offered
   */
  readonly fallbacks?: readonly CompressionTerms[] | undefined;
}

/** The compression settings that all connections of a listener or dialer share. */
export interface SettledCompression extends Complete<Omit<CompressionOptions, keyof CompressionTerms | "fallbacks">> {
  /** For a client, its offers in order of preference. For a server, the only terms that it accepts. */
  readonly terms: readonly [DeflateTerms, ...DeflateTerms[]];
}

/** The compression settings of one connection. */
export interface Compression extends Omit<SettledCompression, "terms"> {
  readonly agreement: DeflateAgreement;
}

/** The default of each option of compression. */
export interface CompressionDefaults
  extends Readonly<
    Record<"threshold" | "level" | "maxInflationRatio" | "serverWindowBits" | "clientWindowBits", number>
  > {
  readonly server: Complete<Pick<CompressionTerms, "serverContextTakeover" | "clientContextTakeover">>;
  readonly client: Complete<Pick<CompressionTerms, "serverContextTakeover" | "clientContextTakeover">>;
}

export const COMPRESSION_DEFAULTS: CompressionDefaults = Object.freeze({
  threshold: 1_024,
  level: 1,
  maxInflationRatio: 100,
  serverWindowBits: MAX_WINDOW_BITS,
  clientWindowBits: MAX_WINDOW_BITS,
  server: Object.freeze({ serverContextTakeover: false, clientContextTakeover: false }),
  client: Object.freeze({ serverContextTakeover: true, clientContextTakeover: true }),
});

// The exempt size. A short message may repeat one character. An attack needs long messages.
const EXEMPT_SIZE = 65_536;

/** Most bytes to which a compressed message of `compressedSize` bytes may inflate. */
export function maxInflatedSize(compressedSize: number, maxInflationRatio: number): number {
  return EXEMPT_SIZE + Math.floor(compressedSize * maxInflationRatio);
}

const TAKEOVERS = ["serverContextTakeover", "clientContextTakeover"] as const;
const WINDOW_BITS_RANGE: NumberRange = { least: MIN_WINDOW_BITS, most: MAX_WINDOW_BITS, whole: true };
const WINDOWS = ["serverWindowBits", "clientWindowBits"] as const;

/** Validates and completes the compression option. Returns undefined for no compression. */
export function settleCompression(
  role: "server" | "client",
  given: boolean | CompressionOptions,
): SettledCompression | undefined {
  if (given === false) return undefined;
  if (given !== true && (!isObject(given) || Array.isArray(given))) {
    throw new TypeError(`Cannot use compression ${String(given)}: expected true, false or an object`);
  }
  const { fallbacks: further, ...first } = present<CompressionOptions>(given === true ? {} : given);
  const fallbacks = further ?? [];
  if (!Array.isArray(fallbacks)) throw new TypeError("Cannot use compression.fallbacks: expected a list");
  if (role === "server" && fallbacks.length > 0) {
    throw new TypeError("Cannot use compression.fallbacks: it is the client that offers, and a server that answers");
  }
  const {
    threshold = COMPRESSION_DEFAULTS.threshold,
    level = COMPRESSION_DEFAULTS.level,
    maxInflationRatio = COMPRESSION_DEFAULTS.maxInflationRatio,
    ...terms
  } = first;
  judgeNumber("compression.threshold", threshold, { least: 0, whole: true, infinity: "never" });
  judgeNumber("compression.level", level, { least: 1, most: 9, whole: true });
  judgeNumber("compression.maxInflationRatio", maxInflationRatio, { least: 1, infinity: "no limit" });
  const preferred = settleTerms(role, terms);
  const others = fallbacks.map((fallback) => settleTerms(role, fallback));
  // RFC 7692 section 7.1.1.2: every client must stop using its context if the server demands that. Some servers demand it only if
  // the client offers it. A server that sees it in the first offer would always apply it, so it is in a second offer.
  if (role === "client" && further === undefined && preferred.clientContextTakeover) {
    others.push(Object.freeze({ ...preferred, clientContextTakeover: false }));
  }
  return Object.freeze({ threshold, level, maxInflationRatio, terms: [preferred, ...others] as const });
}

function settleTerms(role: "server" | "client", given: CompressionTerms): DeflateTerms {
  judgeOptions(given, "a fallback of compression");
  const terms = {
    ...COMPRESSION_DEFAULTS[role],
    serverWindowBits: COMPRESSION_DEFAULTS.serverWindowBits,
    clientWindowBits: COMPRESSION_DEFAULTS.clientWindowBits,
    ...present(given),
  };
  judgeNames(Object.keys(given), (name) => [...TAKEOVERS, ...WINDOWS].includes(name as never), "compression.");
  for (const name of TAKEOVERS) judgeBoolean(`compression.${name}`, terms[name]);
  for (const name of WINDOWS) judgeNumber(`compression.${name}`, terms[name], WINDOW_BITS_RANGE);
  return Object.freeze(terms);
}
