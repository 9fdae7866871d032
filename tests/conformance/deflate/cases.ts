/** The cases of sections 12 and 13: messages, their sizes and fragments, and the negotiated parameters. */

import { PAYLOADS, type Payload } from "./payloads.ts";

/** Sizes of messages, and of their fragments. */
const SIZES: readonly (readonly [size: number, fragment: number])[] = [
  ...[16, 64, 256, 1_024, 4_096, 8_192, 16_384, 32_768, 65_536, 131_072].map((size) => [size, Infinity] as const),
  ...[8_192, 16_384, 32_768, 65_536, 131_072].map((size) => [size, 256] as const),
  ...[1_024, 4_096, 32_768].map((fragment) => [131_072, fragment] as const),
];

/** What one side requests of the other in the testsuite: no context takeover, and a maximum window. */
export interface Wish {
  readonly noTakeover: boolean;
  /** 0 for no request. */
  readonly bits: number;
}

const wish = (noTakeover: boolean, bits: number): Wish => ({ noTakeover, bits });

/** For section 13, in its order. The first request is the preferred one. */
const WISHES: readonly (readonly [Wish, ...Wish[]])[] = [
  [wish(false, 0)],
  [wish(true, 0)],
  [wish(false, 8)],
  [wish(false, 15)],
  [wish(true, 8)],
  [wish(true, 15)],
  [wish(true, 8), wish(true, 0), wish(false, 0)],
];

export interface DeflateCase {
  readonly id: string;
  readonly what: string;
  readonly payload: Payload;
  readonly size: number;
  readonly fragment: number;
  readonly wishes: readonly [Wish, ...Wish[]];
}

const JSON_PAYLOAD = PAYLOADS[3] as Payload;

const group = (id: string, payload: Payload, wishes: readonly [Wish, ...Wish[]]): DeflateCase[] =>
  SIZES.map(([size, fragment], index) => ({
    id: `${id}.${index + 1}`,
    what: `${payload.what}, ${size} bytes${fragment === Infinity ? "" : ` in fragments of ${fragment}`}`,
    ...{ payload, size, fragment, wishes },
  }));

export const CASES: readonly DeflateCase[] = [
  ...PAYLOADS.flatMap((payload, index) => group(`12.${index + 1}`, payload, [wish(false, 0)])),
  ...WISHES.flatMap((wishes, index) => group(`13.${index + 1}`, JSON_PAYLOAD, wishes)),
];

/** The testsuite's client offers all parameters, and requests those that it prefers. */
export function offersFor(wishes: readonly Wish[]): string {
  return wishes
    .map(({ noTakeover, bits }) =>
      [
        "permessage-deflate; client_no_context_takeover; client_max_window_bits",
        ...(noTakeover ? ["server_no_context_takeover"] : []),
        ...(bits > 0 ? [`server_max_window_bits=${bits}`] : []),
      ].join("; "),
    )
    .join(", ");
}

/** The testsuite's server accepts what the client requests, and requests what the client has allowed. */
export function answerFor(wishes: readonly Wish[], offers: readonly string[]): string {
  for (const { noTakeover, bits } of wishes) {
    for (const offer of offers) {
      const names = new Set(offer.split(";").map((part) => part.split("=")[0]?.trim()));
      if (noTakeover && !names.has("client_no_context_takeover")) continue;
      if (bits > 0 && !names.has("client_max_window_bits")) continue;
      const asked = offer.split(";").filter((part) => part.trim().startsWith("server_"));
      const wished = [
        ...(noTakeover ? ["client_no_context_takeover"] : []),
        ...(bits > 0 ? [`client_max_window_bits=${bits}`] : []),
      ];
      return ["permessage-deflate", ...asked.map((part) => part.trim()), ...wished].join("; ");
    }
  }
  throw new Error(`none of what was offered can be granted: ${offers.join(", ")}`);
}
