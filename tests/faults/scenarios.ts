/** Seventy-five faults of connections, by accident or by intent, with the tests that show what happens. */

import type { NamedTest } from "../kit/named-tests.ts";

export interface Scenario {
  readonly number: number;
  readonly scenario: string;
  readonly proofs: readonly NamedTest[];
  /** Why it has no test, or not for all of it: the part of the library that it concerns does not exist. */
  readonly absent?: string;
}

const NO_RESUME =
  "sessions that resume do not exist: a client reconnects with a new connection, and the application requests what it missed";
const NO_BROKER = "there is no broker";

const scenario = (number: number, what: string, proofs: readonly NamedTest[], absent?: string): Scenario => {
  return { number, scenario: what, proofs, ...(absent !== undefined && { absent }) };
};

/** Faults of packets and links. */
const LINKS: readonly Scenario[] = [
  scenario(1, "a link loses everything, both ways", [
    [
      "faults/half-open",
      "each side closes once and frees its descriptor, and the client reconnects when the link works",
    ],
    ["faults/lost-packets", "both sides detect it by their heartbeat"],
  ]),
  scenario(
    2,
    "a link loses everything one way, then the other way",
    [
      ["faults/half-open", "to the server alone"],
      ["faults/half-open", "to the client alone"],
    ],
    NO_RESUME,
  ),
  scenario(3, "a link is long, loses some packets and delays others", [
    ["faults/far-away", "loses nothing in either direction and neither side gives up the other"],
  ]),
  scenario(4, "packets are duplicated, damaged or reordered", [
    ["faults/damaged-packets", "every message arrives unchanged and in order, both ways"],
  ]),
  scenario(5, "a link carries 8 kbit/s", [
    ["faults/slow-link", "does not end the connection by the heartbeat of a ${sender} that sends a long message"],
    ["faults/slow-link", "lets Pings of the ${sender} pass between the parts of its long message"],
  ]),
  scenario(
    6,
    "a reset inside a message",
    [
      ["faults/resets", "both sides get the system's error, and no partial message is delivered"],
      ["faults/torn-messages", "by a reset, on"],
    ],
    NO_RESUME,
  ),
  scenario(10, "the kernel resets connections under load, repeatedly", [
    ["faults/resets", "under load: each message is accounted for as its delivery promises"],
  ]),
  scenario(50, "a link goes down and up five times a second", [
    ["faults/flapping-link", "pauses grow through short openings, and nothing spins"],
  ]),
  scenario(71, "one of several addresses of a name does not answer, or the address of a name changes", [
    ["faults/dead-address", "the connection opens"],
    ["faults/dead-address", "is resolved again at each attempt to reconnect: the server may have moved"],
  ]),
  scenario(72, "large packets are lost, and small ones are not", [
    ["faults/lost-large-packets", "small messages arrive"],
    ["faults/lost-large-packets", "the heartbeat detects it, because the Ping waits behind it"],
    ["faults/lost-large-packets", "the write makes no progress"],
  ]),
  scenario(73, "a router forgets silent connections", [
    ["faults/forgotten-flow", "stays open with a heartbeat that is more frequent"],
    ["faults/forgotten-flow", "is detected as dead by a heartbeat that is too rare"],
  ]),
];

/** Faults of processes, clocks and resources. */
const MACHINES: readonly Scenario[] = [
  scenario(
    11,
    "a server is killed and restarted",
    [
      ["faults/killed-peer", "both protocols, both sides detect it with their kernel"],
      ["faults/killed-peer", "and started again gets all its clients back"],
    ],
    NO_RESUME,
  ),
  scenario(
    12,
    "a server is stopped for a while, and continues",
    [["faults/frozen-peer", "clients with a short heartbeat give it up, others stay, and it gives up none"]],
    NO_RESUME,
  ),
  scenario(13, "a client is stopped, and its server continues to send", [
    ["faults/frozen-peer", "a subscriber: its queue fills and its connection ends, and the others get every message"],
  ]),
  scenario(14, "the application blocks its event loop", [
    ["faults/blocked-loop", "neither side gives up the other"],
    ["transport/clock", "blocked"],
  ]),
  scenario(15, "a peer does not read, and its window closes", [
    ["faults/slow-reader", "closes its window, and is ended"],
    ["hostile/unread", "costs no more than its queue"],
  ]),
  scenario(16, "a member of a group of a thousand does not read", [
    ["faults/slow-reader", "in a group of 1,000: the others get every message, and it costs its queue"],
  ]),
  scenario(17, "a peer sends a byte of a message each second", [
    ["faults/slow-writer", "is ended although it is active"],
  ]),
  scenario(18, "a peer stops in its header fields, in TLS, or before its first byte", [
    ["faults/slow-writer", "is ended by the server"],
    ["faults/slow-writer", "is ended by the client"],
    ["hostile/slow", "is ended at openTimeout, whatever part of it has arrived"],
  ]),
  scenario(19, "ten thousand handshakes stay incomplete", [
    ["faults/half-done-handshakes", "and other clients are served"],
    ["faults/half-done-handshakes", "leave a server with few places on the"],
  ]),
  scenario(41, "a server has no descriptor for a new connection", [
    ["faults/no-descriptors", "of descriptors, as holdfast serve accepts"],
    ["requirements/s3-accept", "S3-8 continues, reports it, and recovers"],
  ]),
  scenario(42, "there is no descriptor, no port and no such address to connect or listen with", [
    ["faults/no-descriptors", "of descriptors, as a client connects"],
    ["faults/no-descriptors", "of ports, as a client connects"],
    ["faults/no-descriptors", "of addresses, as a server listens"],
  ]),
  scenario(43, "there is little memory for many connections", [
    ["faults/starved", "of memory: clients above the limit are refused, the others keep to their limits"],
  ]),
  scenario(44, "there is little processor time under load", [
    ["faults/starved", "of processor time, under load: no side gives up, and no queue grows"],
  ]),
  scenario(45, "a container is frozen, and continues", [["faults/frozen-peer", "the freezer of its control group"]]),
  scenario(46, "the wall clock jumps back and forth", [
    ["faults/clock-jumps", "no connection is closed, and no limit expires early or late"],
  ]),
  scenario(47, "the uptime of the machine is longer than the range of a timer", [
    ["faults/clock-jumps", "a system that has run for 30 days, more than 2^31 ms: no timer overflows"],
  ]),
  scenario(49, "all clients of a server that was killed reconnect", [
    ["faults/thundering-herd", "are spread over the window of their pauses, and all reconnect"],
  ]),
  scenario(61, "a server must stop under load", [
    ["faults/told-to-stop", "that gets SIGTERM: 1001 to all, each sent answer arrives, status 0"],
    ["faults/listener-closed", "ends every connection cleanly, and refuses new ones"],
  ]),
  scenario(62, "a process gets two signals to stop, or loses its terminal, its pipe, or the disk of its log", [
    ["faults/told-to-stop", "whose terminal is gone (SIGHUP) ends at once"],
    ["faults/told-to-stop", "with a broken pipe (SIGPIPE) continues"],
    ["faults/told-to-stop", "whose logs have no room on the disk"],
    ["cli/serve/signals", "second"],
  ]),
  scenario(66, "connections open and close a million times", [
    ["faults/churn", "leave no memory, descriptor, timer or listener behind"],
  ]),
  scenario(74, "a laptop is suspended and resumed", [
    ["faults/frozen-peer", "sends a Ping as soon as it continues, and stays"],
    ["faults/frozen-peer", "detects that when it continues, and reconnects once"],
  ]),
];

/** Faults of peers and applications. */
const PEERS: readonly Scenario[] = [
  scenario(7, "a peer ends its stream without a Close", [
    ["requirements/s3-half-close", "S3-12 on WebSocket at once, since without a Close frame nothing can follow"],
    ["requirements/s3-half-close", "S3-12 for the kernel: no socket stays in CLOSE_WAIT"],
    ["hostile/endings", "goes without a Close"],
  ]),
  scenario(8, "a peer never answers a Close", [
    ["hostile/endings", "never answers a Close"],
    ["endpoint/server/server", "waits for a peer that does not answer until drain has expired"],
  ]),
  scenario(9, "a peer keeps the stream open behind the closing handshake", [
    ["hostile/endings", "answers a Close and never closes the socket"],
    ["conformance/rfc", "row 21, RFC 6455 5.5.1 and 7.1.1"],
  ]),
  scenario(
    20,
    "more clients connect at once than the backlog holds, or SYNs without a connection",
    [["faults/full-backlog", "are all served in the end, although the backlog had no room for most of them"]],
    "SYNs without a connection: the kernel answers them, and no program sees them",
  ),
  scenario(21, "a request has a megabyte in a field, has ten thousand fields, or is sent one byte at a time", [
    ["hostile/requests", "a megabyte in one field"],
    ["hostile/slow", "with endless fields is answered with 431 at any speed"],
    ["hostile/slow", "is answered with 431 before it has sent 64 KiB a byte at a time"],
    ["hostile/linear", "times as much when it is"],
  ]),
  scenario(22, "a thousand peers announce more than the memory of the machine, and send nothing of it", [
    ["hostile/violations", "bytes announced with opcode"],
    ["hostile/crowd", "and nothing for what they then announce"],
    ["hostile/advisories", "an impossible announced length costs no time"],
  ]),
  scenario(23, "a message of a million fragments of one or zero bytes does not end", [
    ["hostile/fragments", "each is ended with 1009 at maxFragments, and then costs nothing"],
    ["hostile/fragments", "each holds at most twice its payload, for any number of fragments"],
    ["conformance/sections/sizes", 'fragmented("9.3", TEXT)'],
  ]),
  scenario(24, "many peers begin a message in fragments and do not end it", [
    ["hostile/crowd", "hold twice the size of the messages that they begin, and nothing after those have ended"],
    ["hostile/budget", "messages that do not end"],
  ]),
  scenario(25, "a peer sends Pings and does not read the Pongs", [
    ["hostile/pings", "whose Pongs are never read holds only the newest few"],
    ["hostile/pings", "whose Pongs are never read is ended by writeTimeout"],
  ]),
  scenario(26, "a peer sends unsolicited Pongs", [["hostile/pings", "is ignored, and costs no more than to read it"]]),
  scenario(27, "a peer sends a million messages of one byte each second", [
    ["faults/tiny-messages", "give other connections a turn between two of their own"],
    ["contract/carrying", "arrives in limited shares per turn, so that other connections are served between them"],
  ]),
  scenario(28, "small messages inflate to gigabytes, also from many peers at once", [
    ["hostile/deflate", "is answered with 1009, and inflated only up to the limit"],
    ["hostile/deflate", "from each of a hundred peers at once costs no more"],
    ["hostile/endings", "sends a bomb in fragments of one byte"],
  ]),
  scenario(29, "compressed data is invalid, truncated, ended early, stored, empty, or uses any window", [
    ["hostile/deflate", "is answered with 1007, whole or cut, and costs nothing"],
    ["conformance/deflate/rows", "two blocks marked as the last"],
    ["conformance/deflate/rows", "stored blocks of 50,000 octets"],
    ["connection/compression/compression", "refer to earlier ones if that was negotiated, in a window of"],
    ["fuzz/corpus", "each alone"],
  ]),
  scenario(30, "the size of compressed data reveals a secret in it", [
    ["conformance/deflate/negotiation", "anything answers nothing where compression is off, as by default"],
    ["connection/compression/compression", "are compressed or not as `compress` says: one message"],
  ]),
  scenario(31, "text is not UTF-8: across frames and segments, in a Close, after decompression", [
    ["conformance/sections/utf8", "a fragment whose first octet is wrong"],
    ["conformance/sections/closing", "a reason that is not UTF-8"],
    ["hostile/deflate", "and text that is invalid UTF-8 where its fragments meet"],
  ]),
  scenario(
    32,
    "a frame lacks its mask, has a mask where none is allowed, reserved bits, a wrong opcode, length or position",
    [
      ["hostile/frames", "is answered with ${code} when it arrives ${cut}: ${what}"],
      ["hostile/frames", "is answered with 1002 when it is not masked"],
      ["hostile/frames", "is answered with 1002 when it is masked"],
      ["hostile/violations", "VIOLATIONS"],
    ],
  ),
  scenario(33, "frames arrive in the same segment as the handshake", [
    ["endpoint/server/upgrade", "does not lose frames in the segment of the request"],
    ["hostile/servers", "is not lost when the client is accepted"],
  ]),
  scenario(34, "request smuggling: two parsers read one request in different ways", [
    ["hostile/requests", "a body that is said to be in the frame"],
    ["hostile/requests", "a chunked body with a length"],
    ["hostile/requests", "a bare carriage return in a field"],
    ["hostile/requests", "opened no connection in any of these cases, and the server still serves"],
    ["endpoint/server/upgrade", "accepts an absolute target, a query, an origin of the same host"],
  ]),
  scenario(35, "a proxy treats a refused upgrade as an open tunnel", [
    ["faults/behind-proxies", "a refused upgrade ${what} opens no tunnel to the private page"],
    ["faults/behind-proxies", "a silent connection stays open beyond"],
  ]),
  scenario(36, "a page of another site connects, with its own origin, without one, or with an invalid one", [
    ["hostile/requests", "is answered with 403 if its origin is"],
    ["interop/chromium", "is refused when the page is another host's"],
    ["cli/chaos/chaos", "is controlled only by programs of this machine"],
    ["dashboard/access", "answers a request of "],
  ]),
  scenario(37, "an option with a line break adds header fields", [
    ["hostile/splitting", "is a TypeError of connect before it connects"],
    ["hostile/splitting", "it adds no line to the request"],
  ]),
  scenario(38, "a server redirects clients, with their credentials, to another host", [
    ["hostile/servers", "to another host is not followed, and no credentials are sent there"],
    ["hostile/servers", "a redirect to itself sends no second request"],
  ]),
  scenario(39, "TLS with a wrong certificate, without close_notify, cut, or renegotiated", [
    ["endpoint/tls", "that signed itself"],
    ["endpoint/tls", "of another name"],
    ["endpoint/tls", "of another year"],
    ["faults/broken-tls", "that ends without close_notify aborts a WebSocket: 1006"],
    [
      "faults/broken-tls",
      "that ends without close_notify inside a line or a frame: the partial message is not delivered",
    ],
    ["faults/broken-tls", "that is cut inside a record: the content of the record is not delivered"],
    ["faults/broken-tls", "is refused, because each renegotiation costs the server more than the client"],
  ]),
  scenario(40, "a server violates the protocol in its response or after it", [
    ["hostile/servers", "rejects with a ${String(facts"],
    ["hostile/endings", "ends its connection in time"],
  ]),
  scenario(48, "a time option is 0, negative, NaN, infinite, or above the maximum of a timer", [
    ["endpoint/lengths", "is refused with an invalid value: ${name}"],
    ["endpoint/lengths", "above the maximum of a timer do not expire at once"],
  ]),
  scenario(51, "a token has expired when the client reconnects", [
    ["reconnect/loop", "that is a function is called before each attempt, and may return headers"],
    ["reconnect/loop", "is thrown: ${status}"],
    ["reconnect/policy", "treats ${status} as final, for any Retry-After"],
  ]),
  scenario(52, "a client resumes the session of another user", [], NO_RESUME),
  scenario(
    53,
    "a session gets a second connection while the first is half open",
    [["reconnect/loop", "is not followed by another connection before its own is gone, however long that takes"]],
    NO_RESUME,
  ),
  scenario(54, "a client missed more than the history keeps", [], NO_RESUME),
  scenario(
    55,
    "a connection ends between a message and its acknowledgement",
    [["reconnect/connection", "is in doubt: its send says so and hands it back"]],
    NO_RESUME,
  ),
  scenario(56, "an acknowledgement is lost, and the message is sent again to another server", [], NO_BROKER),
  scenario(57, "the broker dies, stops, is unreachable, slow, emptied or replaced", [], NO_BROKER),
  scenario(58, "one server reaches the broker, and another does not", [], NO_BROKER),
  scenario(59, "members join and leave a group 100,000 times during broadcasts", [
    ["faults/group-under-load", "that is joined and left 100,000 times meanwhile has exactly the expected members"],
    ["requirements/s0-sessions", "each member gets exactly what was sent during its membership"],
    ["hostile/advisories", "a group that is joined and left a hundred thousand times keeps nothing"],
  ]),
  scenario(60, "members die during a broadcast", [
    ["faults/group-under-load", "delivers every message to each survivor once, in order"],
    ["requirements/s0-sessions", "S0-10 10,000 members, of which 1,000 leave"],
  ]),
  scenario(63, "a handler throws, rejects, or never ends", [
    ["requirements/s3-exits", "S3-17 a handler that ${what}"],
    ["requirements/s3-exits", "S3-7 when it ${trouble}"],
    ["endpoint/server/server", "ends its connection with ${code}, and no other"],
  ]),
  scenario(64, "a hook calls back into its connection", [
    ["connection/reentrancy", "neither lose nor duplicate messages, and there is one end after all other events"],
  ]),
  scenario(65, "a signal aborts at any await", [
    ["faults/aborts", "at any turn of connect, over"],
    ["faults/aborts", "at any turn of reconnect"],
    ["faults/aborts", "which rejects this call only"],
  ]),
  scenario(67, "a name equals a property of every object, such as __proto__", [
    ["hostile/names", "is a header field like any other to authorize and to an observer"],
    ["hostile/names", "is no option and no framing"],
  ]),
  scenario(
    68,
    "a hundred thousand names have the same hash",
    [["hostile/linear", "fields of many names"]],
    "groups have no names in a table, and a request has at most 1,000 fields",
  ),
  scenario(69, "an HTTP/2 peer floods with resets, continuations and empty windows", [], "there is no HTTP/2"),
  scenario(70, "framed TCP is cut inside a length, has a length of zero or too large, arrives slowly, or is reset", [
    ["hostile/framings", "ends a violation with the right error, wherever it is cut"],
    ["requirements/s2-idle", "S2-10 a peer that trickles for ever is cut off"],
    ["hostile/crowd", "hold nothing for what they announce by a length prefix"],
    ["faults/torn-messages", "by a reset, on"],
  ]),
  scenario(75, "a page gets markup, unknown paths and floods", [
    ["interop/chromium", "<b>I am</b>"],
    ["cli/serve/serve", "and knows nothing else"],
    ["cli/chaos/chaos", "is controlled only by programs of this machine, and only with valid requests"],
    ["dashboard/bounds", "appears with its texts as data, and shortened"],
    ["dashboard/bounds", "is closed with 1008 for a flood"],
  ]),
];

export const SCENARIOS: readonly Scenario[] = [...LINKS, ...MACHINES, ...PEERS].sort(
  (one, other) => one.number - other.number,
);
