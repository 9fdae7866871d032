/** Seventy-five things that go wrong with connections, by chance or by intent: each, and where it is shown what becomes of them. */

import type { Proof } from "../proofs.js";

export interface Scenario {
  readonly number: number;
  readonly scenario: string;
  readonly proofs: readonly Proof[];
  /** Why it has no test, or some of it: what it would happen to is not there. */
  readonly absent?: string;
}

const NO_RESUME =
  "a session that is resumed: connections come back as new ones, and whoever uses them says what was missed";
const NO_BROKER = "there is no broker: a group is one process's";

const scenario = (number: number, what: string, proofs: readonly Proof[], absent?: string): Scenario => {
  return { number, scenario: what, proofs, ...(absent !== undefined && { absent }) };
};

/** What happens to packets and links. */
const LINKS: readonly Scenario[] = [
  scenario(1, "a link loses everything, both ways", [
    ["faults/half-open", "each end closes once and frees its descriptor, and the client is back when the link is"],
    ["faults/lost-packets", "both sides find out by their heartbeat"],
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
  scenario(3, "a link is far away, loses some packets and delays others", [
    ["faults/far-away", "loses nothing in either direction and nobody is declared dead"],
  ]),
  scenario(4, "packets are doubled, damaged, or come in another order", [
    ["faults/damaged-packets", "every message arrives as it was, in order, both ways"],
  ]),
  scenario(5, "a link carries 8 kbit/s", [
    ["faults/slow-link", "does not starve the heartbeat of a ${sender} behind its own long message"],
    ["faults/slow-link", "lets Pings of the ${sender} pass between the parts of its long message"],
  ]),
  scenario(
    6,
    "a reset comes inside a message",
    [
      ["faults/resets", "both ends get the system's error, and no part is delivered"],
      ["faults/torn-messages", "by a reset, on"],
    ],
    NO_RESUME,
  ),
  scenario(10, "the kernel kills connections under load, again and again", [
    ["faults/resets", "under load: each message is accounted for as its delivery says"],
  ]),
  scenario(50, "a link comes and goes five times a second", [
    ["faults/flapping-link", "pauses grow through short openings, and nothing spins"],
  ]),
  scenario(71, "a name has a dead address among others, or another address than before", [
    ["faults/dead-address", "is connected to all the same"],
    ["faults/dead-address", "is looked up anew at each attempt to come back: the server may have moved"],
  ]),
  scenario(72, "large packets vanish, and small ones do not", [
    ["faults/lost-large-packets", "small messages do not notice"],
    ["faults/lost-large-packets", "the heartbeat tells, as what asks is stuck behind it"],
    ["faults/lost-large-packets", "its write makes no progress"],
  ]),
  scenario(73, "something on the way forgets connections that are silent", [
    ["faults/forgotten-flow", "is kept by a heartbeat that is more frequent"],
    ["faults/forgotten-flow", "is found dead by a heartbeat that comes too late"],
  ]),
];

/** What happens to processes, clocks and resources. */
const MACHINES: readonly Scenario[] = [
  scenario(
    11,
    "a server is killed, and started again",
    [
      ["faults/killed-peer", "both protocols, both sides know with their kernel"],
      ["faults/killed-peer", "and started again has all its clients back"],
    ],
    NO_RESUME,
  ),
  scenario(
    12,
    "a server is stopped for a while, and goes on",
    [["faults/frozen-peer", "the impatient leave, the patient stay, and it blames nobody"]],
    NO_RESUME,
  ),
  scenario(13, "a client is stopped, and its server goes on sending", [
    ["faults/frozen-peer", "a subscriber: its queue fills and ends it, the others get everything"],
  ]),
  scenario(14, "the application blocks its event loop", [
    ["faults/blocked-loop", "neither side gives the other up"],
    ["transport/clock", "blocked"],
  ]),
  scenario(15, "a peer does not read, and its window closes", [
    ["faults/slow-reader", "closes its window, and is ended"],
    ["hostile/unread", "costs no more than its queue"],
  ]),
  scenario(16, "a member of a group of a thousand does not read", [
    ["faults/slow-reader", "in a group of 1,000: the others get everything, and it costs its queue"],
  ]),
  scenario(17, "a peer sends a byte of a message each second", [
    ["faults/slow-writer", "is ended however lively it is"],
  ]),
  scenario(18, "a peer stalls in its header fields, in TLS, or before its first byte", [
    ["faults/slow-writer", "is given up by the server"],
    ["faults/slow-writer", "is given up by the client"],
    ["hostile/slow", "is cut at openTimeout, however far it has come"],
  ]),
  scenario(19, "ten thousand handshakes stay half done", [
    ["faults/half-done-handshakes", "and keep nobody from being served"],
  ]),
  scenario(41, "a server has no descriptor for who comes", [
    ["faults/no-descriptors", "of descriptors, as holdfast serve accepts"],
    ["requirements/s3-accept", "S3-8 goes on, says so, and recovers"],
  ]),
  scenario(42, "there is no descriptor, no port and no such address to connect or listen with", [
    ["faults/no-descriptors", "of descriptors, as a client connects"],
    ["faults/no-descriptors", "of ports, as a client connects"],
    ["faults/no-descriptors", "of addresses, as a server listens"],
  ]),
  scenario(43, "there is little memory for many connections", [
    ["faults/starved", "of memory: who is too many is turned away, those within keep to their limits"],
  ]),
  scenario(44, "there is little processor time under load", [
    ["faults/starved", "of its processor, under load: nobody is given up, and no queue grows"],
  ]),
  scenario(45, "a container is frozen, and goes on", [["faults/frozen-peer", "the freezer of its control group"]]),
  scenario(46, "the wall clock jumps back and forth", [
    ["faults/clock-jumps", "nobody is cut off, and no limit comes early or late"],
  ]),
  scenario(47, "the machine has run for longer than timers can count", [
    ["faults/clock-jumps", "a system that has run for 30 days, more than 2^31 ms: no timer overflows"],
  ]),
  scenario(49, "all clients of a server that was killed come back", [
    ["faults/thundering-herd", "are spread over the window of their pauses, and all are back"],
  ]),
  scenario(61, "a server is told to stop under load", [
    ["faults/told-to-stop", "told to stop: 1001 to all, each question that was answered has its answer, status 0"],
    ["faults/listener-closed", "ends every connection in order, and refuses the next"],
  ]),
  scenario(62, "a process is told to stop twice, loses its terminal, its pipe, or the disk of its log", [
    ["faults/told-to-stop", "whose terminal is gone (SIGHUP) ends at once"],
    ["faults/told-to-stop", "with a broken pipe (SIGPIPE), goes on"],
    ["faults/told-to-stop", "whose logs have no room on the disk"],
    ["cli/serve-signals", "second"],
  ]),
  scenario(66, "connections come and go a million times", [
    ["faults/churn", "leave no memory, descriptor, timer or listener behind"],
  ]),
  scenario(74, "a laptop sleeps, and wakes", [
    ["faults/frozen-peer", "asks at once when it wakes, and stays"],
    ["faults/frozen-peer", "finds that out when it wakes, and comes back once"],
  ]),
];

/** What peers and applications do. */
const PEERS: readonly Scenario[] = [
  scenario(7, "a peer ends its stream without a Close", [
    ["requirements/s3-half-close", "S3-12 on WebSocket at once, since without a Close frame nothing can follow"],
    ["requirements/s3-half-close", "S3-12 for the kernel: no socket stays in CLOSE_WAIT"],
    ["hostile/endings", "goes without a Close"],
  ]),
  scenario(8, "a peer never answers a Close", [
    ["hostile/endings", "never answers a Close"],
    ["endpoint/server", "waits for a peer that does not answer until drain has passed"],
  ]),
  scenario(9, "a peer keeps the stream open behind the closing handshake", [
    ["hostile/endings", "answers a Close and never closes the socket"],
    ["conformance/rfc", "row 21, RFC 6455 5.5.1 and 7.1.1"],
  ]),
  scenario(
    20,
    "more connect at once than the kernel may keep, or with no intention to",
    [["faults/full-backlog", "are all served in the end, though the kernel had no room for most of them"]],
    "those that send a SYN and nothing else: they are the kernel's to answer, and no program learns of them",
  ),
  scenario(21, "a request has a megabyte in a field, ten thousand fields, or comes a byte at a time", [
    ["hostile/requests", "a megabyte in one field"],
    ["hostile/slow", "with fields without end is answered with 431 however fast they come"],
    ["hostile/slow", "is answered with 431 before it has sent 64 KiB a byte at a time"],
    ["hostile/linear", "times as much when it is"],
  ]),
  scenario(22, "a thousand peers announce more than there is, and send nothing of it", [
    ["hostile/violations", "bytes announced with opcode"],
    ["hostile/crowd", "and nothing for what they then announce"],
    ["hostile/advisories", "what announces a length that cannot be costs no time"],
  ]),
  scenario(23, "a message in a million fragments of one byte or none has no end", [
    ["hostile/fragments", "each is ended with 1009 at maxFragments, and then costs nothing"],
    ["hostile/fragments", "each holds at most twice its payload, however many may come"],
    ["conformance/sections/sizes", 'fragmented("9.3", TEXT)'],
  ]),
  scenario(
    24,
    "very many peers leave a message in fragments open",
    [["hostile/crowd", "hold twice of the messages that they leave open, and nothing once those have ended"]],
    "a budget of all connections together: the bound is maxConnections times what one may cost, which docs/security.md tells",
  ),
  scenario(25, "a peer sends pings and reads no pongs", [
    ["hostile/pings", "whose pongs are never read holds nothing but the newest few"],
    ["hostile/pings", "whose pongs are never read is ended by writeTimeout"],
  ]),
  scenario(26, "a peer sends pongs that nobody asked for", [
    ["hostile/pings", "is passed over, at no more than it costs to read it"],
  ]),
  scenario(27, "a peer sends a million messages of one byte each second", [
    ["faults/tiny-messages", "leave everybody else a turn between two of their own"],
    ["contract/carrying", "comes in shares, so that others have their turn between them"],
  ]),
  scenario(28, "what is small inflates to gigabytes, from many at once too", [
    ["hostile/deflate", "is answered with 1009, and inflated no farther than the limit"],
    ["hostile/deflate", "from each of a hundred peers at once costs no more"],
    ["hostile/endings", "sends a bomb in fragments of one byte"],
  ]),
  scenario(29, "what is compressed is garbage, cut, ended early, stored, empty, or of any window", [
    ["hostile/deflate", "is answered with 1007, whole or cut, and costs nothing"],
    ["conformance/deflate/rows", "two blocks marked as the last"],
    ["conformance/deflate/rows", "stored blocks of 50,000 octets"],
    ["connection/compression", "refer to earlier ones where that was agreed on, in a window of"],
    ["fuzz/corpus", "each alone"],
  ]),
  scenario(30, "the size of what is compressed tells of a secret in it", [
    ["conformance/deflate/negotiation", "anything answers nothing where compression is off, as by default"],
    ["connection/compression", "are compressed or not as `compress` says, for one message"],
  ]),
  scenario(31, "text is no UTF-8, across frames and segments, in a Close, behind decompression", [
    ["conformance/sections/utf8", "a fragment whose first octet is wrong"],
    ["conformance/sections/closing", "a reason that is not UTF-8"],
    ["hostile/deflate", "is a text that is no UTF-8 where its fragments meet"],
  ]),
  scenario(32, "a frame has no mask, one too many, reserved bits, a wrong opcode, length or place", [
    ["hostile/frames", "is answered with ${code} when it comes ${cut}: ${what}"],
    ["hostile/frames", "is answered with 1002 when it is not masked"],
    ["hostile/frames", "is answered with 1002 when it is masked"],
    ["hostile/violations", "VIOLATIONS"],
  ]),
  scenario(33, "frames come in the same segment as the handshake", [
    ["endpoint/upgrade", "does not lose frames that came with the request"],
    ["hostile/servers", "is not lost when the client is accepted"],
  ]),
  scenario(34, "a request that two readers may read in two ways hides another", [
    ["hostile/requests", "a body that is said to be in the frame"],
    ["hostile/requests", "a chunked body with a length"],
    ["hostile/requests", "a bare carriage return in a field"],
    ["hostile/requests", "became no connection in any of these cases, and the server still serves"],
    ["endpoint/upgrade", "takes an absolute target, a query, an origin of the same host"],
  ]),
  scenario(35, "a proxy takes a refusal for an open tunnel", [
    ["faults/behind-proxies", "an upgrade that is refused ${what} opens no tunnel to what is for nobody outside"],
    ["faults/behind-proxies", "a connection that says nothing outlives"],
  ]),
  scenario(
    36,
    "a page of another site connects, with an origin of its own, none, or one that is none",
    [
      ["hostile/requests", "is answered with 403 if its origin is"],
      ["interop/chromium", "is refused when the page is another host's"],
      ["cli/chaos", "is controlled by nobody but programs of this machine"],
    ],
    "the dashboard, whose Host a page could have led here",
  ),
  scenario(37, "an option with a line break writes header fields of its own", [
    ["hostile/splitting", "is a TypeError of connect's before it connects"],
    ["hostile/splitting", "no line of the request is another's"],
  ]),
  scenario(38, "a server sends clients, and their credentials, to another", [
    ["hostile/servers", "to another host is not followed, and nobody there learns the credentials"],
    ["hostile/servers", "a redirect to itself is asked once"],
  ]),
  scenario(39, "TLS with a certificate of somebody else, ended without its alert, cut, or begun anew", [
    ["endpoint/tls", "that signed itself"],
    ["endpoint/tls", "of another name"],
    ["endpoint/tls", "of another year"],
    ["faults/broken-tls", "that goes without an alert has aborted a WebSocket: 1006"],
    ["faults/broken-tls", "that goes without an alert, inside a line or a frame, has not said it"],
    ["faults/broken-tls", "that is cut inside a record has not said what is in it"],
    ["faults/broken-tls", "is told no: each time costs a server more than it"],
  ]),
  scenario(40, "a server breaks rules in whatever way, in its answer or behind it", [
    ["hostile/servers", "is left with a ${String(facts"],
    ["hostile/endings", "is left in time"],
  ]),
  scenario(48, "an option of time is 0, negative, no number, without end, or more than a timer holds", [
    ["endpoint/lengths", "is refused where it is no length: ${name}"],
    ["endpoint/lengths", "that no timer can hold do not pass at once"],
  ]),
  scenario(51, "a token is out of date when the connection is to come back", [
    ["endpoint/reconnect", "that is a function is asked before each attempt, and may bring headers"],
    ["endpoint/reconnect", "is thrown: ${status}"],
    ["endpoint/reconnect-policy", "takes ${status} for final, whatever Retry-After says"],
  ]),
  scenario(52, "a session of somebody else's is resumed", [], NO_RESUME),
  scenario(
    53,
    "a session has a second connection while the first is half open",
    [["endpoint/reconnect", "is not followed by another connection before its own is gone, however long that takes"]],
    NO_RESUME,
  ),
  scenario(54, "more was missed than is kept", [], NO_RESUME),
  scenario(
    55,
    "a connection ends between a message and the word that it has come",
    [["endpoint/reconnecting", "is in doubt: its send says so and hands it back"]],
    NO_RESUME,
  ),
  scenario(56, "the word is lost, and the message sent again to another server", [], NO_BROKER),
  scenario(57, "the broker dies, stops, is cut off, slow, emptied or replaced", [], NO_BROKER),
  scenario(58, "one server sees the broker, and another does not", [], NO_BROKER),
  scenario(59, "members join and leave a group 100,000 times while it is broadcast to", [
    [
      "faults/group-under-load",
      "that is joined and left 100,000 times meanwhile has exactly the members that it should",
    ],
    ["requirements/s0-sessions", "each gets exactly what was sent while it was a member"],
    ["hostile/advisories", "a group that is joined and left a hundred thousand times holds nothing"],
  ]),
  scenario(60, "members die while a group is broadcast to", [
    ["faults/group-under-load", "sends everything to each survivor once, in order"],
    ["requirements/s0-sessions", "S0-10 10,000 members, of which 1,000 leave"],
  ]),
  scenario(63, "a handler throws, rejects, or never ends", [
    ["requirements/s3-exits", "S3-17 a handler that ${what}"],
    ["requirements/s3-exits", "S3-7 when it is told to ${trouble}"],
    ["endpoint/server", "ends its connection with ${code}, and no other"],
  ]),
  scenario(64, "a hook calls back into its connection", [
    ["connection/reentrancy", "lose and double nothing, and see one end, behind everything else"],
  ]),
  scenario(65, "a signal aborts at any point at which something is awaited", [
    ["faults/aborts", "at any turn of connect, over"],
    ["faults/aborts", "at any turn of reconnect"],
    ["faults/aborts", "which ends that call and nothing else"],
  ]),
  scenario(67, "a name is that of a property which every object has", [
    ["hostile/names", "is a header field like any other to authorize and to an observer"],
    ["hostile/names", "is no option and no framing"],
  ]),
  scenario(
    68,
    "a hundred thousand names collide in a table",
    [["hostile/linear", "fields of many names"]],
    "names of groups: a group is an object; and a request has at most 1,000 fields",
  ),
  scenario(69, "an HTTP/2 peer floods with resets, continuations and windows of nothing", [], "there is no HTTP/2"),
  scenario(70, "framed TCP is cut in a length, has a length of none or too large, trickles, or is reset", [
    ["hostile/framings", "ends what breaks it with the right error, wherever it is cut"],
    ["requirements/s2-idle", "S2-10 a peer that trickles for ever is cut off"],
    ["hostile/crowd", "hold nothing for what they announce by a length prefix"],
    ["faults/torn-messages", "by a reset, on"],
  ]),
  scenario(
    75,
    "what people look at is fed with markup, other paths and floods",
    [
      ["interop/chromium", "<b>I am</b>"],
      ["cli/serve", "and knows nothing else"],
      ["cli/chaos", "is controlled by nobody but programs of this machine, and by sense"],
    ],
    "the dashboard",
  ),
];

export const SCENARIOS: readonly Scenario[] = [...LINKS, ...MACHINES, ...PEERS].sort(
  (one, other) => one.number - other.number,
);
