/** Negotiates the parameters of permessage-deflate (RFC 7692 section 7.1); the compression itself is in other files. */

import type { Extension, ReceivedExtension } from "../handshake/extension.ts";

export const DEFLATE = "permessage-deflate";

/** The exponents of the smallest and the largest LZ77 window (RFC 7692 section 7.1.2). */
export const MIN_WINDOW_BITS = 8;
export const MAX_WINDOW_BITS = 15;

/** The parameters that one side prefers. */
export interface DeflateTerms {
  /** True if messages of the server may refer to its earlier messages. */
  readonly serverContextTakeover: boolean;
  /** True if messages of the client may refer to its earlier messages. */
  readonly clientContextTakeover: boolean;
  /** The largest LZ77 window for messages of the server, as the exponent of a power of two in bytes: 8 to 15. */
  readonly serverWindowBits: number;
  /** The largest LZ77 window for messages of the client, as the exponent of a power of two in bytes: 8 to 15. */
  readonly clientWindowBits: number;
}

/** The negotiated parameters, which both sides must observe. */
export type DeflateAgreement = DeflateTerms;

/** The server's response to an offer, and the parameters that it agrees to. */
export interface DeflateAnswer {
  readonly extension: Extension;
  readonly agreement: DeflateAgreement;
}

/** Creates the client's offer. */
export function offerDeflate(terms: DeflateTerms): Extension {
  const params = new Map<string, string | true>();
  if (!terms.serverContextTakeover) params.set(SERVER_NO_TAKEOVER, true);
  if (!terms.clientContextTakeover) params.set(CLIENT_NO_TAKEOVER, true);
  if (terms.serverWindowBits < MAX_WINDOW_BITS) params.set(SERVER_BITS, String(terms.serverWindowBits));
  // Without this parameter the server must not request a smaller window (RFC 7692 section 7.1.2.2).
  params.set(CLIENT_BITS, terms.clientWindowBits < MAX_WINDOW_BITS ? String(terms.clientWindowBits) : true);
  return { name: DEFLATE, params };
}

/** Creates the server's response to the first offer that it can accept. Returns undefined if it can accept none. */
export function answerDeflate(offers: readonly ReceivedExtension[], terms: DeflateTerms): DeflateAnswer | undefined {
  for (const offer of offers) {
    const answer = offer.name === DEFLATE ? answerTo(offer, terms) : undefined;
    if (answer !== undefined) return answer;
  }
  return undefined;
}

/**
 * Returns the parameters that the server's response agrees to. Returns a sentence with the problem if it matches none of the
 * offers.
 */
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

/** The parameters of an offer or a response. */
interface Params {
  readonly serverNoTakeover: boolean;
  readonly clientNoTakeover: boolean;
  readonly serverBits: number | undefined;
  /** `true`: the parameter is present without a value. */
  readonly clientBits: number | true | undefined;
}

// A decimal integer from 8 to 15 without leading zeros (RFC 7692 section 7.1.2.1).
const BITS = /^(?:[89]|1[0-5])$/;

/** Parses the parameters. Returns undefined if one is unknown, is repeated, or has an invalid value. */
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
  // If the client did not offer `client_max_window_bits`, the server must not request a smaller window (RFC 7692 section
  // 7.1.2.2). This side would have to keep the largest window, although `terms` allow only a smaller one, so the offer is
  // declined.
  const limited = offered.clientBits !== undefined;
  if (clientContextTakeover && !limited && terms.clientWindowBits < MAX_WINDOW_BITS) return undefined;
  const clientBits = typeof offered.clientBits === "number" ? offered.clientBits : MAX_WINDOW_BITS;
  const agreement: DeflateAgreement = {
    serverContextTakeover: terms.serverContextTakeover && !offered.serverNoTakeover,
    clientContextTakeover,
    serverWindowBits: Math.min(terms.serverWindowBits, offered.serverBits ?? MAX_WINDOW_BITS),
    clientWindowBits: limited ? Math.min(terms.clientWindowBits, clientBits) : MAX_WINDOW_BITS,
  };
  const params = new Map<string, string | true>();
  if (!agreement.serverContextTakeover) params.set(SERVER_NO_TAKEOVER, true);
  if (!agreement.clientContextTakeover) params.set(CLIENT_NO_TAKEOVER, true);
  // RFC 7692 section 7.1.2.1: if the client requested a limit, the response must contain the limit in use.
  if (offered.serverBits !== undefined || agreement.serverWindowBits < MAX_WINDOW_BITS) {
    params.set(SERVER_BITS, String(agreement.serverWindowBits));
  }
  if (agreement.clientWindowBits < MAX_WINDOW_BITS) params.set(CLIENT_BITS, String(agreement.clientWindowBits));
  return { extension: { name: DEFLATE, params }, agreement };
}

function agree(params: Params, clientBits: number | undefined, offer: DeflateTerms): DeflateAgreement | string {
  const { serverNoTakeover, clientNoTakeover, serverBits = MAX_WINDOW_BITS } = params;
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
