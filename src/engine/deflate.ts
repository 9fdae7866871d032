/** What two sides agree on for permessage-deflate, and how (RFC 7692 section 7.1). Bytes are compressed elsewhere. */

import type { Extension, ReceivedExtension } from "./extension.js";

export const DEFLATE = "permessage-deflate";

/** The exponents of the smallest and the largest LZ77 window (RFC 7692 section 7.1.2). */
export const SMALLEST_WINDOW_BITS = 8;
export const LARGEST_WINDOW_BITS = 15;

/** What one side would like. */
export interface DeflateTerms {
  /** Whether the server's messages may refer to its earlier ones. */
  readonly serverContextTakeover: boolean;
  /** Whether the client's messages may refer to its earlier ones. */
  readonly clientContextTakeover: boolean;
  /** Largest window that the server's messages refer into, as a power of two: 8 to 15. */
  readonly serverWindowBits: number;
  /** Largest window that the client's messages refer into, as a power of two: 8 to 15. */
  readonly clientWindowBits: number;
}

/** What both sides keep to. */
export type DeflateAgreement = DeflateTerms;

/** What the server answers an offer with, and what is agreed on by that. */
export interface DeflateAnswer {
  readonly extension: Extension;
  readonly agreement: DeflateAgreement;
}

/** The client's offer. */
export function offerDeflate(terms: DeflateTerms): Extension {
  const params = new Map<string, string | true>();
  if (!terms.serverContextTakeover) params.set(SERVER_NO_TAKEOVER, true);
  if (!terms.clientContextTakeover) params.set(CLIENT_NO_TAKEOVER, true);
  if (terms.serverWindowBits < LARGEST_WINDOW_BITS) params.set(SERVER_BITS, String(terms.serverWindowBits));
  // Without it the server could not ask for a smaller window (section 7.1.2.2).
  params.set(CLIENT_BITS, terms.clientWindowBits < LARGEST_WINDOW_BITS ? String(terms.clientWindowBits) : true);
  return { name: DEFLATE, params };
}

/** The server's answer to the first offer that it can take; undefined if there is none. */
export function answerDeflate(offers: readonly ReceivedExtension[], terms: DeflateTerms): DeflateAnswer | undefined {
  for (const offer of offers) {
    const answer = offer.name === DEFLATE ? answerTo(offer, terms) : undefined;
    if (answer !== undefined) return answer;
  }
  return undefined;
}

/** What the server's answer agrees on; a sentence that says what is wrong with it if it answers none of the offers. */
export function judgeDeflate(answer: ReceivedExtension, offers: readonly DeflateTerms[]): DeflateAgreement | string {
  const params = parse(answer);
  if (params === undefined || params.clientBits === true)
    return `the server's ${DEFLATE} has a parameter that is wrong`;
  let problem = "";
  for (const offer of offers) {
    const judged = agree(params, params.clientBits, offer);
    if (typeof judged !== "string") return judged;
    problem ||= judged;
  }
  return problem;
}

const SERVER_NO_TAKEOVER = "server_no_context_takeover";
const CLIENT_NO_TAKEOVER = "client_no_context_takeover";
const SERVER_BITS = "server_max_window_bits";
const CLIENT_BITS = "client_max_window_bits";

/** The parameters of an offer or an answer. */
interface Params {
  readonly serverNoTakeover: boolean;
  readonly clientNoTakeover: boolean;
  readonly serverBits: number | undefined;
  /** `true`: named without a value. */
  readonly clientBits: number | true | undefined;
}

// A decimal integer without leading zeros (section 7.1.2.1).
const BITS = /^(?:[89]|1[0-5])$/;

/** The parameters; undefined if one is unknown, is there twice, or has a value that it may not have. */
function parse({ params, repeated }: ReceivedExtension): Params | undefined {
  if (repeated) return undefined;
  for (const [name, value] of params) {
    if (name === SERVER_NO_TAKEOVER || name === CLIENT_NO_TAKEOVER) {
      if (value !== true) return undefined;
    } else if (name === SERVER_BITS) {
      if (value === true || !BITS.test(value)) return undefined;
    } else if (name !== CLIENT_BITS || (value !== true && !BITS.test(value))) return undefined;
  }
  const serverBits = params.get(SERVER_BITS);
  const clientBits = params.get(CLIENT_BITS);
  return {
    serverNoTakeover: params.has(SERVER_NO_TAKEOVER),
    clientNoTakeover: params.has(CLIENT_NO_TAKEOVER),
    serverBits: serverBits === undefined ? undefined : Number(serverBits),
    clientBits: clientBits === undefined || clientBits === true ? clientBits : Number(clientBits),
  };
}

function answerTo(offer: ReceivedExtension, terms: DeflateTerms): DeflateAnswer | undefined {
  const offered = parse(offer);
  if (offered === undefined) return undefined;
  const clientContextTakeover = terms.clientContextTakeover && !offered.clientNoTakeover;
  // Who did not offer it cannot be told to use a smaller window (section 7.1.2.2), whose whole size we would have to keep.
  const limited = offered.clientBits !== undefined;
  if (clientContextTakeover && !limited && terms.clientWindowBits < LARGEST_WINDOW_BITS) return undefined;
  const clientBits = typeof offered.clientBits === "number" ? offered.clientBits : LARGEST_WINDOW_BITS;
  const agreement: DeflateAgreement = {
    serverContextTakeover: terms.serverContextTakeover && !offered.serverNoTakeover,
    clientContextTakeover,
    serverWindowBits: Math.min(terms.serverWindowBits, offered.serverBits ?? LARGEST_WINDOW_BITS),
    clientWindowBits: limited ? Math.min(terms.clientWindowBits, clientBits) : LARGEST_WINDOW_BITS,
  };
  const params = new Map<string, string | true>();
  if (!agreement.serverContextTakeover) params.set(SERVER_NO_TAKEOVER, true);
  if (!agreement.clientContextTakeover) params.set(CLIENT_NO_TAKEOVER, true);
  // Section 7.1.2.1: whoever asked for a limit is told which one it got.
  if (offered.serverBits !== undefined || agreement.serverWindowBits < LARGEST_WINDOW_BITS) {
    params.set(SERVER_BITS, String(agreement.serverWindowBits));
  }
  if (agreement.clientWindowBits < LARGEST_WINDOW_BITS) params.set(CLIENT_BITS, String(agreement.clientWindowBits));
  return { extension: { name: DEFLATE, params }, agreement };
}

function agree(params: Params, clientBits: number | undefined, offer: DeflateTerms): DeflateAgreement | string {
  const { serverNoTakeover, clientNoTakeover, serverBits = LARGEST_WINDOW_BITS } = params;
  if (!offer.serverContextTakeover && !serverNoTakeover) return `the server did not agree to ${SERVER_NO_TAKEOVER}`;
  if (serverBits > offer.serverWindowBits) {
    return `the server chose ${SERVER_BITS} of ${serverBits}, where at most ${offer.serverWindowBits} were offered`;
  }
  if (clientBits !== undefined && clientBits > offer.clientWindowBits) {
    return `the server chose ${CLIENT_BITS} of ${clientBits}, where at most ${offer.clientWindowBits} were offered`;
  }
  return {
    serverContextTakeover: !serverNoTakeover,
    clientContextTakeover: offer.clientContextTakeover && !clientNoTakeover,
    serverWindowBits: serverBits,
    clientWindowBits: clientBits ?? offer.clientWindowBits,
  };
}
