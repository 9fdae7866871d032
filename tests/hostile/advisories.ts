/** Security advisories of ten years about comparable servers and clients: each attack, and the tests that show that it fails here. */

import type { NamedTest } from "../kit/named-tests.ts";

export interface Advisory {
  readonly of: string;
  readonly attack: string;
  readonly proofs: readonly NamedTest[];
  /** Why a part of it has no test: the part of a library that it attacks does not exist here. */
  readonly absent?: string;
}

const BOMB: NamedTest = ["hostile/deflate", "is answered with 1009, and inflated only up to the limit"];
const CLIENT_BOMB: NamedTest = ["hostile/endings", "sends a bomb in fragments of one byte"];
const LINEAR: NamedTest = ["hostile/linear", "times as much when it is"];
const LISTS: NamedTest = ["hostile/slow", "costs no more than its length to validate, for any content of its lists"];
const LENGTHS: NamedTest = ["hostile/violations", "bytes announced with opcode"];
const ANNOUNCED: NamedTest = ["hostile/crowd", "and nothing for what they then announce"];
const FRAGMENTS: NamedTest = ["hostile/fragments", "at maxFragments, and then costs nothing"];
const ENDLESS: NamedTest = ["hostile/fragments", "that has no end is ended with 1009 at maxMessageSize"];
const TRAP: NamedTest = ["hostile/random", "over sockets, to a server that waits for a request"];
const ORIGINS: NamedTest = ["hostile/requests", "is answered with 403 if its origin is"];

const advisory = (of: string, attack: string, proofs: readonly NamedTest[], absent?: string): Advisory => {
  return { of, attack, proofs, ...(absent !== undefined && { absent }) };
};

export const ADVISORIES: readonly Advisory[] = [
  advisory("ws CVE-2016-10518", "ping(number) sends raw memory", [
    ["hostile/arguments", "before anything is sent"],
    ["hostile/arguments", "in place of the options of a Ping is not sent as its payload"],
  ]),
  advisory("ws CVE-2026-45736", "close(1000, a view) sends raw memory", [
    ["hostile/arguments", "is no close reason, not even a view, whose memory would be sent"],
    ["hostile/arguments", "exposes no other memory, breaks no frame and stops no connection"],
  ]),
  advisory("ws CVE-2016-10542", "a message of 256 MB without a limit", [LENGTHS, ANNOUNCED]),
  advisory("ws GHSA-5v72-xg48-5rpm", "an extension whose name is a property of every object", [
    ["hostile/names", "is an unknown extension with unknown parameters"],
    ["hostile/names", "is a header field like any other to authorize and to an observer"],
  ]),
  advisory("ws CVE-2021-32640", "a subprotocol field that takes quadratic time", [LINEAR, LISTS]),
  advisory("ws CVE-2024-37890", "more fields than Node stores hide Upgrade", [
    ["hostile/requests", "2,500 fields before those that count"],
    ["endpoint/server/upgrade", "with 2,500 header fields before the relevant ones neither crashes"],
  ]),
  advisory("ws CVE-2026-48779", "fragments and chunks of one or zero bytes cost many times their size", [
    FRAGMENTS,
    ["hostile/fragments", "holds at most twice its payload, for any number of fragments"],
    ["hostile/fragments", "in segments of their own is received, and costs no more than its size"],
    ["conformance/sections/sizes", 'fragmented("9.3", TEXT)'],
  ]),
  advisory("ws 8.23.0, maxPendingAutoPongs", "Pings whose Pongs are never read", [
    ["hostile/pings", "whose Pongs are never read holds only the newest few"],
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
    ["hostile/splitting", "is a TypeError of connect before it connects"],
    ["hostile/splitting", "it adds no line to the request"],
  ]),
  advisory("undici GHSA-38rv-x7px-6hhq, CVE-2026-12151", "the limit applies to a frame and not to a message", [
    ENDLESS,
    ["hostile/endings", "sends large fragments without end"],
    BOMB,
    CLIENT_BOMB,
  ]),
  advisory("gorilla CVE-2020-27813", "lengths of fragments whose sum overflows", [
    ["hostile/violations", "bytes announced behind a fragment"],
  ]),
  advisory("tungstenite CVE-2023-43669", "a request in single bytes is parsed again from its start for each byte", [
    ["hostile/slow", "is answered with 431 before it has sent 64 KiB a byte at a time"],
    ["hostile/slow", "is ended at openTimeout although bytes arrive all the time"],
  ]),
  advisory("rust-websocket CVE-2022-35922", "memory is allocated for the announced length", [
    ANNOUNCED,
    ["hostile/crowd", "hold nothing for what they announce by a length prefix"],
  ]),
  advisory("ws-rs CVE-2020-35896", "messages for a peer that does not read are queued without limit", [
    ["hostile/unread", "waits at its sender, and arrives complete when it is read"],
    ["hostile/unread", "costs no more than its queue, and the others get every message"],
  ]),
  advisory("Bandit CVE-2026-42786", "endless continuation frames", [FRAGMENTS, ENDLESS]),
  advisory("Tomcat CVE-2020-13935", "a wrong length causes an endless loop", [
    LENGTHS,
    ["hostile/advisories", "an impossible announced length costs no time"],
  ]),
  advisory("Tomcat CVE-2024-23672", "a peer keeps its socket open after Close", [
    ["hostile/endings", "answers a Close and never closes the socket"],
    ["requirements/s3-exits", "S3-17 a handler that"],
  ]),
  advisory(
    "socket.io-parser CVE-2020-36049, CVE-2022-2421, CVE-2023-32695, CVE-2026-33151, CVE-2026-69185",
    "packets with forged attachments, events and placeholders",
    [
      ["hostile/random", "in memory, of every framing and to both roles"],
      ["hostile/framings", "ends a violation with the right error, wherever it is cut"],
    ],
    "messages are text or bytes: there are no packets with attachments or named events",
  ),
  advisory(
    "socket.io CVE-2024-38355, engine.io CVE-2022-21676, CVE-2022-41940, CVE-2023-31125, @fastify/websocket CVE-2022-39386",
    "an 'error' event without a listener, caused by a peer, ends the process",
    [TRAP, ["hostile/random", "over sockets, to a server after its upgrade"]],
  ),
  advisory("engine.io CVE-2020-36048, socket.io CVE-2020-28481", "each handshake leaks memory; any origin is allowed", [
    ["hostile/slow", "that ends half way leaves nothing behind"],
    ["hostile/crowd", "leave nothing behind when they end"],
    ORIGINS,
  ]),
  advisory("faye-websocket CVE-2020-15133, engine.io-client CVE-2016-10536", "a client trusts any certificate", [
    ["endpoint/tls", "that signed itself"],
    ["endpoint/tls", "of another host"],
    ["endpoint/tls", "of another year"],
  ]),
  advisory(
    "websocket-extensions CVE-2020-7662, CVE-2020-7663, SockJS CVE-2020-7693",
    "fields that take long to parse or crash the process",
    [LINEAR, LISTS, ["hostile/requests", "may have any byte in any field"]],
  ),
  advisory(
    "Python websockets CVE-2018-1000518, CVE-2021-33880",
    "a bomb; the time of a comparison reveals a password",
    [BOMB],
    "passwords and tokens are compared by the application, in authorize",
  ),
  advisory(
    "uWebSockets CVE-2020-36406",
    "a large number of topics",
    [["hostile/advisories", "a group that is joined and left a hundred thousand times keeps nothing"]],
    "there are no topics: a group is an object of the application, not a name that a peer could send",
  ),
  advisory("Granian, 2026", "bytes outside of ASCII in a field end a worker", [
    ["hostile/requests", "may have any byte in any field"],
    ["hostile/servers", "with octets that are no ASCII"],
  ]),
  advisory(
    "webpack-dev-server CVE-2026-14631, CVE-2025-30360, Vite CVE-2025-24010",
    "a malformed Origin throws; pages of other sites connect",
    [ORIGINS, ["hostile/requests", "a host with a user"]],
    "an application that serves pages must check Host itself",
  ),
  advisory("Next.js GHSA-c4j6-fc7j-m34r", "an upgrade bypasses the checks of other requests", [
    ["hostile/requests", "an upgrade behind a plain request"],
    ["endpoint/server/upgrade", "is checked before authorize is called"],
    ["endpoint/server/upgrade", "accepts an absolute target, a query, an origin of the same host"],
  ]),
  advisory("Mesop, 2026", "a thread for each message", [
    ["connection/read/dispatcher", "that returns a promise is called with one message at a time"],
    ["hostile/deflate", "costs no more than those that are inflated at the same time"],
  ]),
  advisory(
    "Node CVE-2026-21637, CVE-2025-59465, CVE-2026-21714, CVE-2026-21717",
    "TLS callbacks that throw; errors of HTTP/2; names with the same hash",
    [
      ["endpoint/tls", "survives an SNI callback that throws"],
      ["hostile/linear", "fields of many names"],
    ],
    "there is no HTTP/2, and a request has at most 1,000 fields",
  ),
  advisory("WebSocket smuggling", "a proxy treats a refused upgrade as an open tunnel", [
    ["hostile/requests", "as one that asks a proxy to open a tunnel"],
    ["conformance/rfc", "the request that a server refuses, closing behind its answer"],
  ]),
];
