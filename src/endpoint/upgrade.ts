/** From an upgrade request on a node:http server to a connection, or to a refusal. */

import { TimeoutError } from "../base/errors.js";
import { guarded } from "../base/events.js";
import { after } from "../base/time.js";
import { type SettledCompression, settleCompression } from "../connection/compression.js";
import { Connection } from "../connection/connection.js";
import type { SettledOptions } from "../connection/options.js";
import { webSocketWire } from "../connection/wire.js";
import { answerDeflate } from "../engine/deflate.js";
import { formatExtensions } from "../engine/extension.js";
import { type ExtraHeaders, type HeaderFields, responseHeaders, selectProtocol } from "../engine/handshake.js";
import type { Accepted, RequestFacts } from "../engine/handshake-request.js";
import { fieldLines, fieldRecord, isToken } from "../engine/header.js";
import { originAllowed } from "../engine/origin.js";
import {
  type RefusalAnswer,
  sha1Base64,
  switching,
  type UpgradeCall,
  writeRefusal,
} from "../transport/http-upgrade.js";
import { endsOf } from "../transport/socket.js";
import type { Handler, UpgradeOptions, UpgradeRequest } from "./options.js";
import type { Roster } from "./roster.js";
import { serve } from "./serve.js";

/** What upgrades on one server have in common. */
export interface UpgradeSetup<UserData> {
  readonly upgrade: UpgradeOptions<UserData>;
  readonly compression: SettledCompression | undefined;
  readonly options: SettledOptions;
  readonly roster: Roster<UserData>;
  readonly handler: Handler<UserData> | undefined;
}

/**
 * Judges the options at the door, so that a wrong one is told to whoever gave it and not to the first client. Answers how to
 * compress.
 */
export function judgeUpgradeOptions<UserData>(options: UpgradeOptions<UserData>): SettledCompression | undefined {
  const { origin = "same-host", subprotocols = [], headers = {}, authorize } = options;
  const policy = typeof origin === "function" || origin === "same-host" || origin === "any" || Array.isArray(origin);
  if (!policy) {
    throw new TypeError(
      `Cannot use origin ${String(origin)}: expected "same-host", "any", a list of origins or a function`,
    );
  }
  for (const protocol of subprotocols) {
    if (!isToken(protocol)) throw new TypeError(`Cannot use subprotocol ${JSON.stringify(protocol)}: expected a token`);
  }
  if (authorize !== undefined && typeof authorize !== "function") {
    throw new TypeError(`Cannot use authorize: expected a function, got ${typeof authorize}`);
  }
  const nobody = { key: "", protocols: [], extensions: [] };
  responseHeaders(nobody, { protocol: undefined, extensions: [], headers }, sha1Base64);
  return settleCompression("server", options.compression);
}

const CLIENT_LEFT = new Error("the client has left");
const GOODBYES = ["end", "close", "error"] as const;

// What a client that was refused for want of room may wait before it asks again, in seconds.
const RETRY: ExtraHeaders = { "Retry-After": "5" };

const CLOSING = "the server is closing";

/** Answers one request. Never throws: whatever goes wrong is answered on the socket, and told to `onError` if it is ours. */
export function upgrade<UserData>(setup: UpgradeSetup<UserData>, call: UpgradeCall): void {
  const { judged } = call;
  if (!judged.accepted) {
    const { status, problem, headers, clause } = judged;
    refuse(setup, call, plain(status, problem, headers), `${problem} (${clause})`);
  } else if (!setup.roster.reserve()) {
    if (setup.roster.closing) refuse(setup, call, plain(503, CLOSING, {}), CLOSING);
    else refuse(setup, call, plain(503, "too many connections", RETRY), "maxConnections is reached");
  } else if (setup.upgrade.authorize === undefined) {
    // Decided at once: nobody waits, so no socket has to tell that the client has left.
    conclude(setup, call, judged, () => stranger(setup, judged) ?? { gone: false, data: undefined as UserData });
  } else {
    decide(setup, call, judged, setup.upgrade.authorize).then(
      (verdict) => conclude(setup, call, judged, () => verdict),
      (error) =>
        conclude(setup, call, judged, () => {
          throw error;
        }),
    );
  }
}

/** Heeds a verdict: from here on the place that was reserved is a connection's, or free. */
function conclude<UserData>(
  setup: UpgradeSetup<UserData>,
  call: UpgradeCall,
  judged: Accepted,
  verdictOf: () => Verdict<UserData>,
): void {
  const { options, roster } = setup;
  let connection: Connection<UserData> | undefined;
  try {
    const verdict = verdictOf();
    if (verdict.gone) call.socket().destroy();
    else if ("answer" in verdict) refuse(setup, call, verdict.answer, verdict.refusal);
    else if (roster.closing) refuse(setup, call, plain(503, CLOSING, {}), CLOSING);
    else connection = open(setup, call, judged, verdict.data);
  } catch (error) {
    options.onError(error);
    refuse(setup, call, plain(500, "internal error", {}), "authorize or its answer failed");
  }
  if (connection === undefined) {
    roster.release();
    return;
  }
  roster.admit(connection);
  serve(connection, setup.handler);
}

function refuse<UserData>(
  setup: UpgradeSetup<UserData>,
  call: UpgradeCall,
  answer: RefusalAnswer,
  refusal: string,
): void {
  writeRefusal(call.socket(), answer, setup.options.closeTimeout);
  observe(setup, call.request, answer.status, answer.fields, refusal);
}

type Verdict<UserData> =
  | { readonly gone: true }
  | { readonly gone: false; readonly answer: RefusalAnswer; readonly refusal: string }
  | { readonly gone: false; readonly data: UserData };

/** The verdict on a page that may not connect, whoever its user is. */
function stranger<UserData>(
  { upgrade: { origin = "same-host" } }: UpgradeSetup<UserData>,
  judged: Accepted,
): Verdict<UserData> | undefined {
  if (originAllowed(judged.origin, judged.host, origin)) return undefined;
  return { gone: false, answer: plain(403, "this origin may not connect", {}), refusal: `origin ${judged.origin}` };
}

/** Origin, then the application. Bounded by `openTimeout`, by the client's patience, and by the server's life. */
async function decide<UserData>(
  setup: UpgradeSetup<UserData>,
  call: UpgradeCall,
  judged: Accepted,
  authorize: NonNullable<UpgradeOptions<UserData>["authorize"]>,
): Promise<Verdict<UserData>> {
  const socket = call.socket();
  const { options, roster } = setup;
  const refused = stranger(setup, judged);
  if (refused !== undefined) return refused;
  const { clock, openTimeout } = options;
  const patience = new AbortController();
  const left = (): void => patience.abort(CLIENT_LEFT);
  const timer = clock.wakeAt(after(clock.now(), openTimeout), () => {
    const facts = { operation: "accept", limit: "openTimeout", bound: openTimeout, after: openTimeout } as const;
    patience.abort(new TimeoutError({ ...facts, retriable: false }));
  });
  const stay = roster.onClosing(() => patience.abort(new Error("the server is closing")));
  // A client that has sent its FIN has left as well: it could never answer our Close.
  for (const event of GOODBYES) socket.on(event, left);
  const ask = async (): Promise<Verdict<UserData>> => {
    const answer = await authorize(requestOf(call, judged, patience.signal));
    if (!(answer instanceof Response)) return { gone: false, data: answer };
    return { gone: false, answer: await fromResponse(answer), refusal: `authorize answered ${answer.status}` };
  };
  try {
    const ended = new Promise<never>((_, reject) => {
      patience.signal.addEventListener("abort", () => reject(patience.signal.reason), { once: true });
    });
    return await Promise.race([ask(), ended]);
  } catch (error) {
    const { aborted, reason } = patience.signal;
    if (!aborted || error !== reason) throw error;
    if (reason !== CLIENT_LEFT)
      return { gone: false, answer: plain(503, "no answer in time", {}), refusal: reason.message };
    return { gone: true };
  } finally {
    timer.cancel();
    stay();
    for (const event of GOODBYES) socket.off(event, left);
  }
}

function open<UserData>(
  setup: UpgradeSetup<UserData>,
  call: UpgradeCall,
  judged: Accepted,
  data: UserData,
): Connection<UserData> {
  const { subprotocols = [], headers = {} } = setup.upgrade;
  const protocol = selectProtocol(judged.protocols, subprotocols);
  const { compression } = setup;
  const deflate = compression && answerDeflate(judged.extensions, compression.terms[0]);
  const extensions = deflate === undefined ? [] : [deflate.extension];
  const fields = responseHeaders(judged, { protocol, extensions, headers }, sha1Base64);
  const transport = call.accept(switching(fields, judged.expectsContinue));
  observe(setup, call.request, 101, fields, undefined);
  return new Connection({
    transport,
    wire: webSocketWire("server", compression && deflate && { ...compression, agreement: deflate.agreement }),
    options: setup.options,
    url: urlOf(transport.ends.secure, judged),
    subprotocol: protocol ?? "",
    extensions: formatExtensions(extensions),
    data,
  });
}

let lastUrl = "";

/** A text of its own: made of parts of the request, it would keep the whole of it. Most are the same as the one before. */
function urlOf(secure: boolean, { host, path, query }: Accepted): string {
  const url = `${secure ? "wss" : "ws"}://${host}${path}${query && `?${query}`}`;
  if (url !== lastUrl) lastUrl = Buffer.from(url, "latin1").toString("latin1");
  return lastUrl;
}

function requestOf(call: UpgradeCall, judged: Accepted, signal: AbortSignal): UpgradeRequest {
  const { path, query, host, origin, protocols } = judged;
  const headers = headersOf(call.request);
  const { remoteAddress, secure } = endsOf(call.socket());
  return { path, query, host, origin, protocols, headers, remoteAddress, secure, signal };
}

// The length of the body and the end of the socket are facts, whatever the application says of them.
const FRAMING_FIELDS: readonly string[] = [
  "connection",
  "content-length",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
];

async function fromResponse(response: Response): Promise<RefusalAnswer> {
  const { status } = response;
  if (status < 300) throw new TypeError(`Cannot refuse with status ${status}: expected 300 or more`);
  const fields = [...response.headers].filter(([name]) => !FRAMING_FIELDS.includes(name));
  return { status, fields, body: new Uint8Array(await response.arrayBuffer()) };
}

/** Every field, by its name in lower case. */
function headersOf({ rawHeaders }: RequestFacts): Readonly<Record<string, string>> {
  return fieldRecord(fieldLines(rawHeaders) ?? new Map());
}

function plain(status: number, body: string, headers: ExtraHeaders): RefusalAnswer {
  return { status, fields: Object.entries(headers) as unknown as HeaderFields, body: `${body}\n` };
}

function observe<UserData>(
  { options }: UpgradeSetup<UserData>,
  request: RequestFacts,
  status: number,
  fields: HeaderFields,
  refusal: string | undefined,
): void {
  if (options.observe === undefined) return;
  const requestHeaders = headersOf(request);
  const responseHeaders = Object.fromEntries(fields.map(([name, value]) => [name.toLowerCase(), value]));
  const observer = guarded(options.observe, options.onError);
  observer({ type: "handshake", direction: "in", status, refusal, requestHeaders, responseHeaders });
}
