/** The targets of the opening handshake: requests read and judged by a server, responses judged by a client. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { requestHeaders, responseHeaders } from "../../src/engine/handshake/fields-to-send.ts";
import { type Accepted, judgeRequest, type Refused, type RequestFacts } from "../../src/engine/handshake/request.ts";
import { readRequestHead } from "../../src/engine/handshake/request-head.ts";
import { type Agreement, judgeResponse, type ResponseFacts } from "../../src/engine/handshake/response.ts";
import { Input, isSentence, type Target } from "./target.ts";

const CLAUSE = /^RFC \d{4} \d+(\.\d+)*$/;
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const TOKEN = /^[\w!#$%&'*+\-.^`|~]+$/;
const OFFERED = ["chat", "superchat"];
const EXTENSIONS = [
  { name: "permessage-deflate", params: new Map() },
  { name: "x-other", params: new Map() },
];

const FIELD_WORDS = [
  "Host: a",
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Key: ",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Protocol: chat",
  "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
  "Sec-WebSocket-Accept: ",
  "Transfer-Encoding: chunked",
  "Content-Length: 0",
  "Expect: 100-continue",
  "__proto__: 1",
  "HTTP/1.1",
];

const sha1 = (text: string): string => createHash("sha1").update(text).digest("base64");

/** A head in the words of the wire, as node:http would hand it over; but nothing is left out that node:http would refuse. */
function head(bytes: Uint8Array): { readonly first: string[]; readonly rawHeaders: string[] } {
  const [first = "", ...rest] = Buffer.from(bytes).toString("latin1").split("\n");
  const rawHeaders = rest.flatMap((line) => {
    const colon = line.indexOf(":");
    const [name, value] = colon < 0 ? [line, ""] : [line.slice(0, colon), line.slice(colon + 1)];
    return [name, value.replace(/^[ \t]+|[ \t]+$/g, "")];
  });
  return { first: first.split(" "), rawHeaders };
}

const valuesOf = (raw: readonly string[], name: string): string[] =>
  raw.filter((_, index) => index % 2 === 1 && raw[index - 1]?.toLowerCase() === name);

const wordsOf = (raw: readonly string[], name: string): string[] =>
  valuesOf(raw, name)
    .join(",")
    .split(",")
    .map((word) => word.trim().toLowerCase());

const request: Target = {
  tries: "the server's judgement of a request",
  longest: 1_024,
  words: FIELD_WORDS,
  run(bytes) {
    const { first, rawHeaders } = head(bytes);
    const [method = "", target = "", version = ""] = first;
    const facts: RequestFacts = { method, target, httpVersion: version.replace(/^HTTP\//, ""), rawHeaders };
    const judged = judgeRequest(facts);
    assert.deepEqual(judgeRequest(facts), judged, "the same request is judged alike");
    if (!judged.accepted) {
      refusalHolds(judged);
      return [`${judged.status} ${judged.clause}: ${judged.problem}`];
    }
    acceptanceHolds(facts, judged);
    askedAgain(judged);
    answered(judged);
    return [
      "accepted",
      ...(judged.protocols.length > 0 ? ["protocols"] : []),
      ...(judged.extensions.length > 0 ? ["extensions"] : []),
      ...(judged.expectsContinue ? ["expects 100"] : []),
      ...(target.startsWith("/") ? [] : ["absolute"]),
    ];
  },
};

function refusalHolds({ status, problem, clause, headers }: Refused): void {
  assert.ok([400, 405, 426, 431].includes(status));
  assert.match(clause, CLAUSE);
  isSentence(problem);
  // The answer holds nothing that the peer has chosen, so that nothing can be split.
  for (const [name, value] of Object.entries(headers)) assert.match(`${name}: ${value}`, /^[\w-]+: [\w ,-]+$/);
  assert.match(headers["Connection"] ?? "", /close$/);
  assert.equal(headers["Allow"], status === 405 ? "GET" : undefined);
  assert.equal(headers["Upgrade"], status === 426 ? "websocket" : undefined);
  assert.equal(headers["Sec-WebSocket-Version"], status === 426 ? "13" : undefined);
}

/** All requirements of RFC 6455 4.2.1 and RFC 9110 7.8 for a request, written independently. */
function acceptanceHolds({ method, httpVersion, target, rawHeaders: raw }: RequestFacts, accepted: Accepted): void {
  assert.equal(method, "GET");
  assert.ok(Number(httpVersion) >= 1.1, httpVersion);
  assert.equal(valuesOf(raw, "host").length, 1);
  assert.ok(wordsOf(raw, "connection").includes("upgrade"));
  assert.ok(wordsOf(raw, "upgrade").some((word) => word === "websocket"));
  assert.deepEqual(valuesOf(raw, "sec-websocket-version"), ["13"]);
  assert.deepEqual(valuesOf(raw, "sec-websocket-key"), [accepted.key]);
  assert.equal(Buffer.from(accepted.key, "base64").length, 16);
  assert.deepEqual(valuesOf(raw, "transfer-encoding"), []);
  assert.equal(Number(valuesOf(raw, "content-length").join("")), 0);
  for (const character of raw.join("")) assert.ok(character === "\t" || (character >= " " && character !== "\x7f"));

  const resource = accepted.path + (target.includes("?") ? `?${accepted.query}` : "");
  assert.ok(accepted.path.startsWith("/") && !accepted.path.includes("?"));
  if (target.startsWith("/")) assert.equal(resource, target);
  else assert.equal(new URL(target).origin === "null", false);
  assert.match(accepted.path + accepted.query, /^[\x21-\x7e]*$/);
  for (const protocol of accepted.protocols) assert.match(protocol, TOKEN);
  assert.equal(new Set(accepted.protocols).size, accepted.protocols.length);
  for (const { name, params } of accepted.extensions) {
    assert.match(name, TOKEN);
    for (const [key, value] of params)
      for (const word of [key, value === true ? "t" : value]) assert.match(word, TOKEN);
  }
}

/** Two requests for the same are judged the same. */
function askedAgain(judged: Accepted): void {
  const { key, host, origin, protocols, path, query } = judged;
  const extensions = judged.extensions.map((extension) => ({ ...extension, repeated: false }));
  const rawHeaders = requestHeaders({ host, key, origin, protocols, extensions, headers: {} }).flat();
  const target = path + (query === "" ? "" : `?${query}`);
  const again = judgeRequest({ method: "GET", httpVersion: "1.1", target, rawHeaders });
  assert.ok(again.accepted);
  const { expectsContinue, ...facts } = again;
  assert.deepEqual(facts, { accepted: true, path, query, host, origin, protocols, extensions, key });
  assert.equal(expectsContinue, false);
}

/** What we answer is what a client agrees to. */
function answered(judged: Accepted): void {
  const protocol = judged.protocols.at(-1);
  const extensions = judged.extensions.slice(0, 1).map((extension) => ({ ...extension, repeated: false }));
  const rawHeaders = responseHeaders(judged, { protocol, extensions, headers: {} }, sha1).flat();
  const accept = sha1(`${judged.key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
  const offers = { accept, protocols: judged.protocols, extensions: judged.extensions };
  const agreement = judgeResponse({ status: 101, rawHeaders, ...offers });
  assert.deepEqual(agreement, { agreed: true, protocol: protocol ?? "", extensions });
}

const response: Target = {
  tries: "the client's judgement of a response",
  longest: 1_024,
  words: [...FIELD_WORDS, ACCEPT, "HTTP/1.1 101 Switching Protocols"],
  run(bytes) {
    const input = new Input(bytes);
    const protocols = input.flag() ? OFFERED : [];
    const extensions = input.flag() ? EXTENSIONS : [];
    const { first, rawHeaders } = head(input.rest());
    const facts: ResponseFacts = { status: Number(first[1]), rawHeaders, accept: ACCEPT, protocols, extensions };
    const judged = judgeResponse(facts);
    assert.deepEqual(judgeResponse(facts), judged, "the same response is judged alike");
    if (!judged.agreed) {
      if (judged.clause !== undefined) assert.match(judged.clause, CLAUSE);
      isSentence(judged.problem);
      return [`${judged.clause ?? "refused"}: ${judged.problem.replace(/answered .*/, "answered n")}`];
    }
    agreementHolds(facts, judged);
    return [
      "agreed",
      ...(judged.protocol === "" ? [] : ["protocol"]),
      ...(judged.extensions.length === 0 ? [] : ["extensions"]),
    ];
  },
};

function agreementHolds(facts: ResponseFacts, agreement: Agreement): void {
  const { rawHeaders: raw, protocols } = facts;
  assert.equal(facts.status, 101);
  assert.deepEqual(wordsOf(raw, "upgrade"), ["websocket"]);
  assert.ok(wordsOf(raw, "connection").includes("upgrade"));
  assert.deepEqual(valuesOf(raw, "sec-websocket-accept"), [ACCEPT]);
  assert.deepEqual(valuesOf(raw, "sec-websocket-protocol"), agreement.protocol === "" ? [] : [agreement.protocol]);
  assert.ok(agreement.protocol === "" || protocols.includes(agreement.protocol));
  const chosen = agreement.extensions.map(({ name }) => name);
  assert.equal(new Set(chosen).size, chosen.length);
  for (const name of chosen) assert.ok(facts.extensions.some((offered) => offered.name === name));

  const extensions = agreement.extensions.map((extension) => ({ ...extension, repeated: false }));
  const answer = { protocol: agreement.protocol || undefined, extensions, headers: {} };
  const offers = { protocols, extensions: facts.extensions.map((offer) => ({ ...offer, repeated: false })) };
  const rawHeaders = responseHeaders({ key: KEY, ...offers }, answer, sha1).flat();
  assert.deepEqual(judgeResponse({ ...facts, rawHeaders }), { ...agreement, extensions });
}

const requestHead: Target = {
  tries: "the head of a request, read from bytes",
  longest: 1_024,
  words: [...FIELD_WORDS, "GET / HTTP/1.1\r\n", "\r\n\r\n"],
  run(bytes) {
    const text = Buffer.from(bytes).toString("latin1");
    const read = readRequestHead(text);
    if (read === undefined) return ["left to others"];
    const { facts, length } = read;
    const whole = text.slice(0, length);
    assert.equal(whole.indexOf("\r\n\r\n"), length - 4, "it ends with the first empty line");
    const [first, ...lines] = whole.slice(0, -4).split("\r\n");
    assert.equal(first, `GET ${facts.target} HTTP/1.1`);
    const fields = lines.flatMap((line) => {
      const [, name = "", value = ""] = /^([^:]*):[ \t]*(.*?)[ \t]*$/s.exec(line) ?? assert.fail(line);
      return [name, value];
    });
    assert.deepEqual(facts.rawHeaders, fields, "it is what its lines say");
    assert.deepEqual(readRequestHead(whole), read, "what stands behind it is not looked at");
    for (const name of ["content-length", "transfer-encoding"]) assert.deepEqual(valuesOf(fields, name), []);
    const judged = judgeRequest(facts);
    if (judged.accepted) acceptanceHolds(facts, judged);
    return [judged.accepted ? "accepted" : "refused"];
  },
};

export const handshakes: Readonly<Record<string, Target>> = { request, "request-head": requestHead, response };
