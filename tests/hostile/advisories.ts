/** The advisories of ten years against servers and clients like this one: each attack, and where it is shown to fail here. */

import type { Proof } from "../proofs.js";

export interface Advisory {
  readonly of: string;
  readonly attack: string;
  readonly proofs: readonly Proof[];
  /** Why some of it has no test: what it attacks is not there. */
  readonly absent?: string;
}

const BOMB: Proof = ["hostile/deflate", "is answered with 1009, and inflated no farther than the limit"];
const CLIENT_BOMB: Proof = ["hostile/endings", "sends a bomb in fragments of one byte"];
const LINEAR: Proof = ["hostile/linear", "times as much when it is"];
const LISTS: Proof = ["hostile/slow", "costs no more than its length, whatever its lists are made of"];
const LENGTHS: Proof = ["hostile/violations", "bytes announced with opcode"];
const ANNOUNCED: Proof = ["hostile/crowd", "and nothing for what they then announce"];
const FRAGMENTS: Proof = ["hostile/fragments", "at maxFragments, and then costs nothing"];
const ENDLESS: Proof = ["hostile/fragments", "that has no end is ended with 1009 at maxMessageSize"];
const TRAP: Proof = ["hostile/random", "over sockets, to a server that waits for a request"];
const ORIGINS: Proof = ["hostile/requests", "is answered with 403 if its origin is"];

const advisory = (of: string, attack: string, proofs: readonly Proof[], absent?: string): Advisory => {
  return { of, attack, proofs, ...(absent !== undefined && { absent }) };
};

export const ADVISORIES: readonly Advisory[] = [
  advisory("ws CVE-2016-10518", "ping(number) sends raw memory", [
    ["hostile/arguments", "before anything is sent"],
    ["hostile/arguments", "is no payload of a ping, which has one of its own"],
  ]),
  advisory("ws CVE-2026-45736", "close(1000, a view) sends raw memory", [
    ["hostile/arguments", "is no reason to close even if it is a view, whose memory would be sent"],
    ["hostile/arguments", "tells nothing of other memory, breaks no frame and stops nobody"],
  ]),
  advisory("ws CVE-2016-10542", "a message of 256 MB, where nothing limits it", [LENGTHS, ANNOUNCED]),
  advisory("ws GHSA-5v72-xg48-5rpm", "an extension that is named like a property of every object", [
    ["hostile/names", "is an extension that nobody has, with parameters that nobody knows"],
    ["hostile/names", "is a header field like any other to authorize and to an observer"],
  ]),
  advisory("ws CVE-2021-32640", "a field of subprotocols that takes quadratic time", [LINEAR, LISTS]),
  advisory("ws CVE-2024-37890", "more fields than Node keeps hide Upgrade", [
    ["hostile/requests", "2,500 fields before those that count"],
    ["endpoint/upgrade", "with 2,500 header fields before those that count neither crashes"],
  ]),
  advisory("ws CVE-2026-48779", "fragments and chunks of one octet, or of none, cost many times their size", [
    FRAGMENTS,
    ["hostile/fragments", "holds at most twice its payload, however many may come"],
    ["hostile/fragments", "in segments of their own is received, and costs no more than its size"],
    ["conformance/sections/sizes", 'fragmented("9.3", TEXT)'],
  ]),
  advisory("ws 8.23.0, maxPendingAutoPongs", "pings whose pongs are never read", [
    ["hostile/pings", "whose pongs are never read holds nothing but the newest few"],
    ["conformance/sections/pings", "ten Pings octet by octet"],
  ]),
  advisory("ws 8.22.2", "slices of small frames keep read buffers of 64 KiB", [ANNOUNCED]),
  advisory("undici CVE-2026-1526", "6 MB inflate to 1 GB", [BOMB, CLIENT_BOMB]),
  advisory("undici CVE-2026-1528", "a 64-bit length overflows and ends the process", [LENGTHS]),
  advisory("undici CVE-2026-2229", "server_max_window_bits=99 throws later", [
    ["hostile/servers", "an extension with bad window bits"],
    ["conformance/deflate/negotiation", "server_max_window_bits=99"],
  ]),
  advisory("undici CVE-2026-1527", "CRLF in an option is written into the request", [
    ["hostile/splitting", "is a TypeError of connect's before it connects"],
    ["hostile/splitting", "no line of the request is another's"],
  ]),
  advisory("undici GHSA-38rv-x7px-6hhq, CVE-2026-12151", "the limit holds for a frame and not for a message", [
    ENDLESS,
    ["hostile/endings", "sends large fragments without end"],
    BOMB,
    CLIENT_BOMB,
  ]),
  advisory("gorilla CVE-2020-27813", "lengths of fragments whose sum overflows", [
    ["hostile/violations", "bytes announced behind a fragment"],
  ]),
  advisory("tungstenite CVE-2023-43669", "a request of single octets is read again from its start for each", [
    ["hostile/slow", "is answered with 431 before it has sent 64 KiB a byte at a time"],
    ["hostile/slow", "is cut at openTimeout although a byte comes all the time"],
  ]),
  advisory("rust-websocket CVE-2022-35922", "memory is taken for what is announced", [
    ANNOUNCED,
    ["hostile/crowd", "hold nothing for what they announce by a length prefix"],
  ]),
  advisory("ws-rs CVE-2020-35896", "what is sent to one who does not read is kept without limit", [
    ["hostile/unread", "is held back with its sender, and comes whole when it is read"],
    ["hostile/unread", "costs no more than its queue, and keeps nobody from getting everything"],
  ]),
  advisory("Bandit CVE-2026-42786", "continuations without end", [FRAGMENTS, ENDLESS]),
  advisory("Tomcat CVE-2020-13935", "a wrong length is an endless loop", [
    LENGTHS,
    ["hostile/advisories", "what announces a length that cannot be costs no time"],
  ]),
  advisory("Tomcat CVE-2024-23672", "a peer keeps its socket behind Close", [
    ["hostile/endings", "answers a Close and never closes the socket"],
    ["requirements/s3-exits", "S3-17 a handler that"],
  ]),
  advisory(
    "socket.io-parser CVE-2020-36049, CVE-2022-2421, CVE-2023-32695, CVE-2026-33151, CVE-2026-69185",
    "packets that name attachments, events and placeholders of their own",
    [
      ["hostile/random", "in memory, of every framing and to both roles"],
      ["hostile/framings", "ends what breaks it with the right error, wherever it is cut"],
    ],
    "messages are text or bytes: there are no packets with attachments, nor events by name",
  ),
  advisory(
    "socket.io CVE-2024-38355, engine.io CVE-2022-21676, CVE-2022-41940, CVE-2023-31125, @fastify/websocket CVE-2022-39386",
    "what a peer sends is an 'error' that nobody hears, and ends the process",
    [TRAP, ["hostile/random", "over sockets, to a server that speaks WebSocket already"]],
  ),
  advisory("engine.io CVE-2020-36048, socket.io CVE-2020-28481", "each handshake keeps something; any origin may", [
    ["hostile/slow", "and is given up half way leaves nothing behind"],
    ["hostile/crowd", "leave nothing behind when they go"],
    ORIGINS,
  ]),
  advisory("faye-websocket CVE-2020-15133, engine.io-client CVE-2016-10536", "a client trusts any certificate", [
    ["endpoint/tls", "that signed itself"],
    ["endpoint/tls", "of another host"],
    ["endpoint/tls", "of another year"],
  ]),
  advisory(
    "websocket-extensions CVE-2020-7662, CVE-2020-7663, SockJS CVE-2020-7693",
    "fields that take long or crash",
    [LINEAR, LISTS, ["hostile/requests", "may have any octet in any field"]],
  ),
  advisory(
    "Python websockets CVE-2018-1000518, CVE-2021-33880",
    "a bomb; the time of a comparison tells of a password",
    [BOMB],
    "passwords and tokens are compared by the application, in authorize",
  ),
  advisory(
    "uWebSockets CVE-2020-36406",
    "very many topics",
    [["hostile/advisories", "a group that is joined and left a hundred thousand times holds nothing"]],
    "there are no topics: a group is an object of the application's, and no name that a peer could send",
  ),
  advisory("Granian, 2026", "octets that are no ASCII in a field end a worker", [
    ["hostile/requests", "may have any octet in any field"],
    ["hostile/servers", "with octets that are no ASCII"],
  ]),
  advisory(
    "webpack-dev-server CVE-2026-14631, CVE-2025-30360, Vite CVE-2025-24010",
    "a malformed Origin throws; pages of other sites connect",
    [ORIGINS, ["hostile/requests", "a host with a user"]],
    "what serves pages of its own has to look at Host by itself",
  ),
  advisory("Next.js GHSA-c4j6-fc7j-m34r", "an upgrade passes by the checks of other requests", [
    ["hostile/requests", "an upgrade behind a plain request"],
    ["endpoint/upgrade", "is asked before the application is"],
    ["endpoint/upgrade", "takes an absolute target, a query, an origin of the same host"],
  ]),
  advisory("Mesop, 2026", "a thread for each message", [
    ["connection/delivery", "that answers a promise is given one message at a time"],
    ["hostile/deflate", "costs no more than those that are inflated at a time"],
  ]),
  advisory(
    "Node CVE-2026-21637, CVE-2025-59465, CVE-2026-21714, CVE-2026-21717",
    "callbacks of TLS that throw; errors of HTTP/2; names that collide",
    [
      ["endpoint/tls", "outlives a callback for SNI that throws"],
      ["hostile/linear", "fields of many names"],
    ],
    "there is no HTTP/2, and a request has at most 1,000 fields",
  ),
  advisory("WebSocket smuggling", "a proxy takes a refusal for an open tunnel", [
    ["hostile/requests", "as one that asks a proxy to open a tunnel"],
    ["conformance/rfc", "the request that a server refuses, closing behind its answer"],
  ]),
];
