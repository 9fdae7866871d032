/** For each row of docs/failures.md: the events of the simulation that show it, or the reason why it cannot occur there. */

/** Events that a campaign must reach. */
interface Wanted {
  readonly wanted: readonly string[];
}

/** The row is shown by the tests that the document names, on the real system. */
interface Elsewhere {
  readonly elsewhere: string;
}

const wanted = (...names: string[]): Wanted => ({ wanted: names });
const elsewhere = (reason: string): Elsewhere => ({ elsewhere: reason });

const TLS = elsewhere("the network in memory has no TLS");
const PROCESSES = elsewhere("workers are processes of the system");
const DESCRIPTORS = elsewhere("the network in memory has no limit of descriptors");
const PACKETS = elsewhere("the network in memory loses no single packets: TCP is not simulated");
const MACHINE = elsewhere("it is about a real machine");

/** The name is that of the section, and the first cell of the row. Sections without a table have one entry. */
export const FAILURES: Readonly<Record<string, Wanted | Elsewhere>> = {
  "TIMEOUT: `timeout`, `deadline`, `readDeadline`, `writeDeadline`": wanted(
    ...["send TIMEOUT timeout", "receive TIMEOUT timeout", "ping TIMEOUT timeout", "drain TIMEOUT timeout"],
    ...["send TIMEOUT deadline", "receive TIMEOUT deadline"],
    ...["receive TIMEOUT readDeadline", "send TIMEOUT writeDeadline"],
  ),
  "TIMEOUT: `openTimeout`": wanted("openTimeout connect:dns", "openTimeout connect:tcp", "openTimeout connect:upgrade"),
  "TIMEOUT: `queueTimeout`": wanted("queueTimeout connect:queue"),
  "TIMEOUT: `heartbeat.timeout`": wanted("cause TIMEOUT heartbeat.timeout"),
  "TIMEOUT: `idleTimeout`": wanted("cause TIMEOUT idleTimeout"),
  "TIMEOUT: `writeTimeout`": wanted("cause TIMEOUT writeTimeout"),
  "TIMEOUT: `messageTimeout`": wanted("cause TIMEOUT messageTimeout"),
  "TIMEOUT: `pauseTimeout`": wanted("cause TIMEOUT pauseTimeout"),
  "TIMEOUT: `lingerTimeout`": wanted("cause TIMEOUT lingerTimeout"),
  "TIMEOUT: `closeTimeout`": wanted("cause TIMEOUT closeTimeout"),
  "TIMEOUT: `lifetime`": wanted("cause TIMEOUT lifetime"),

  "TRANSPORT: `ECONNRESET`": wanted("cause TRANSPORT ECONNRESET"),
  "TRANSPORT: `EPIPE`": elsewhere("in memory a reset is always read before the next write"),
  "TRANSPORT: `ETIMEDOUT`": elsewhere("the network in memory has no TCP keepalive"),
  "TRANSPORT: `EMFILE`": DESCRIPTORS,
  "TRANSPORT: `EADDRINUSE`, `EADDRNOTAVAIL`": wanted("listen EADDRINUSE", "listen EADDRNOTAVAIL"),

  "HANDSHAKE: `dns`": wanted("HANDSHAKE dns"),
  "HANDSHAKE: `tcp`": wanted("HANDSHAKE tcp"),
  "HANDSHAKE: `proxy`": elsewhere("no run has a proxy"),
  "HANDSHAKE: `queue`": wanted("queueTimeout connect:queue"),
  'HANDSHAKE: `tls`: "does not speak TLS here"': TLS,
  'HANDSHAKE: `tls`: "the certificate of the server …"': TLS,
  'HANDSHAKE: `tls`: "the server …"': TLS,
  'HANDSHAKE: `upgrade`: "the server answered STATUS"': wanted("HANDSHAKE upgrade 404", "HANDSHAKE upgrade 503"),
  'HANDSHAKE: `upgrade`: "speaks TLS here", "if it expects TLS"': wanted("HANDSHAKE upgrade TLS"),
  "HANDSHAKE: `upgrade`: other messages": wanted("HANDSHAKE upgrade", "HANDSHAKE upgrade 101"),

  "CLOSED: 1000": wanted("code 1000 by peer", "code 1000 by local"),
  "CLOSED: 1001": wanted("code 1001 by peer", "code 1001 by local"),
  "CLOSED: 1006": wanted("code 1006 by peer", "code 1006 by local"),
  "CLOSED: 1008, 1002, 1003, 1007, 1009": wanted(
    ...[1008, 1002, 1003, 1007, 1009].flatMap((code) => [`code ${code} by peer`, `code ${code} by local`]),
  ),
  "CLOSED: 1011": wanted("code 1011 by peer", "code 1011 by local"),
  "CLOSED: 1013": wanted("code 1013 by peer", "code 1013 by local"),

  "PROTOCOL: `reserved-bits`": wanted("PROTOCOL reserved-bits"),
  "PROTOCOL: `invalid-opcode`": wanted("PROTOCOL invalid-opcode"),
  "PROTOCOL: `unmasked-frame`": wanted("PROTOCOL unmasked-frame"),
  "PROTOCOL: `masked-frame`": wanted("PROTOCOL masked-frame"),
  "PROTOCOL: `invalid-length`": wanted("PROTOCOL invalid-length"),
  "PROTOCOL: `uncountable-length`": elsewhere("no run has a framing with a length of 8 bytes"),
  "PROTOCOL: `fragmented-control-frame`": wanted("PROTOCOL fragmented-control-frame"),
  "PROTOCOL: `control-frame-too-large`": wanted("PROTOCOL control-frame-too-large"),
  "PROTOCOL: `unexpected-continuation`": wanted("PROTOCOL unexpected-continuation"),
  "PROTOCOL: `missing-continuation`": wanted("PROTOCOL missing-continuation"),
  "PROTOCOL: `invalid-close-payload`": wanted("PROTOCOL invalid-close-payload"),
  "PROTOCOL: `invalid-close-code`": wanted("PROTOCOL invalid-close-code"),
  "PROTOCOL: `invalid-utf8`": wanted("PROTOCOL invalid-utf8"),
  "PROTOCOL: `invalid-compressed-data`": elsewhere("zlib works in threads, outside of the virtual loop"),
  "PROTOCOL: `message-type`": wanted("PROTOCOL message-type"),
  "PROTOCOL: `invalid-framing`": elsewhere("lines have no rule that bytes can break"),
  "PROTOCOL: `undecodable`": elsewhere("no run has a codec"),
  "PROTOCOL: `unexpected-eof`": wanted("PROTOCOL unexpected-eof"),
  LIMIT: wanted("cause LIMIT", "send LIMIT", "trySend refused"),
  IN_DOUBT: wanted("reconnect send IN_DOUBT"),

  "WORKER: the error that the worker's function threw, such as `EADDRINUSE`": PROCESSES,
  "WORKER: it ended with status N, or by a signal": PROCESSES,
  "WORKER: it did not serve within `startTimeout`": PROCESSES,

  ...Object.fromEntries(
    [
      ...["path", "upgrade", "httpVersion", "version", "method", "request", "headers", "origin", "authorize"],
      ...["authorizeTimeout", "failed", "capacity", "closing", "silence", "incomplete", "disconnected"],
    ].map((reason) => [`Refusals: \`${reason}\``, wanted(`refused ${reason}`)]),
  ),
  "Refusals: `perAddress`": elsewhere("no run limits the addresses of clients"),
  "Refusals: `tls`": TLS,
  "Refusals: `accept`": DESCRIPTORS,
  "Refusals: `answer`": wanted("HANDSHAKE upgrade 404"),

  "Errors of your own code: `open` / `message` / `ping` / `pong` / `highWater` / `lowWater`": wanted(
    ...["open", "message", "ping", "pong", "highWater", "lowWater"].map((place) => `onError ${place}`),
  ),
  "Errors of your own code: `closing` / `close`": wanted("onError closing", "onError close"),
  "Errors of your own code: `handler`": wanted("onError handler"),
  "Errors of your own code: `farewell`": wanted("onError farewell"),
  "Errors of your own code: `observe`": wanted("onError observe"),
  "Errors of your own code: `authorize` / `origin`": wanted("onError authorize", "onError origin"),
  "Errors of your own code: `request`": elsewhere("no run has requests for pages"),
  "Errors of your own code: `upgrade`": elsewhere("it needs an exception inside of the library"),
  "Errors of your own code: `accept`": DESCRIPTORS,
  "Errors of your own code: `send`": wanted("onError send"),
  "Errors of your own code: `write`": elsewhere("it needs an exception inside of the library"),
  "Errors of your own code: `inflate`": elsewhere("zlib works in threads, outside of the virtual loop"),
  "Errors of your own code: `connect`": wanted("onError connect"),
  "Errors of your own code: `session`": wanted("onError session"),
  "Errors of your own code: `state`": wanted("onError state"),
  "Errors of your own code: `log`": elsewhere("no run has a log function"),
  "Errors of your own code: `topic`": elsewhere("no run has topics"),
  "Errors of your own code: `exchange`": elsewhere("only a program's own subscribers can throw, and no run has any"),
  "Errors of your own code: `worker`": PROCESSES,
  "Errors of your own code: `onError`": elsewhere("its errors are written to stderr"),

  "By symptom: `close-wait`: sockets stay in CLOSE_WAIT": wanted("cause TIMEOUT lingerTimeout"),
  "By symptom: `half-open`: peers that answer neither data nor probes": wanted(
    ...["step cut up", "step cut down", "cause TIMEOUT heartbeat.timeout"],
  ),
  "By symptom: `zero-window`: the peer's receive buffer is full": wanted("cause TIMEOUT writeTimeout"),
  "By symptom: `send-queue`: a send queue that does not move, for another reason": wanted("cause TIMEOUT writeTimeout"),
  "By symptom: `lossy`: 5 % or more of the data had to be sent again": PACKETS,
  "By symptom: `far`: a round trip of 500 ms or more": PACKETS,
  "By symptom: `receive-queue`: a receive queue that does not move": wanted("cause TIMEOUT pauseTimeout"),
  "By symptom: `accept-queue`: connections that are not accepted": wanted(
    ...["step freeze server", "openTimeout connect:upgrade"],
  ),
  "By symptom: `unanswered`: connects without an answer": wanted("openTimeout connect:tcp"),
  "By symptom: `descriptors`: nearly all are in use": DESCRIPTORS,
  "By symptom: memory grows while peers are slow": wanted("highWater", "send LIMIT", "cause TIMEOUT writeTimeout"),
  "By symptom: one peer sends as fast as it can, and others wait": elsewhere("it is about turns of a real event loop"),
  "By symptom: clients are slow to connect, or time out, in a rush": elsewhere("in memory the backlog has no limit"),
  'By symptom: `onError` gets "Cannot receive: messages go to the message hook", and connections close with 1011':
    elsewhere("it is a mistake in a program"),
  "By symptom: connections end after a minute behind a proxy, with 1006": elsewhere("it needs the proxies"),
  "By symptom: a TLS stream is cut off": TLS,
  "By symptom: a member of a group died, or left, during a send": wanted("a member of a group ends"),
  "By symptom: a call was aborted by its signal": wanted("session aborted"),
  "By symptom: a peer's process is killed": wanted("step kill client", "step kill server", "killed in close"),
  "By symptom: a peer's process is suspended: stopped, paused with its container, on a sleeping laptop": wanted(
    ...["step freeze client", "step freeze server", "step thaw"],
  ),
  "By symptom: all connections die at once after a pause of the process": elsewhere(
    "the virtual loop is never blocked",
  ),
  "By symptom: one slow reader delays a group": wanted("group refused", "code 1013 by local"),
  "By symptom: one client opens connection after connection": elsewhere("no run limits the addresses of clients"),
  "By symptom: thousands of connections that send nothing": wanted("refused silence", "refused incomplete"),
  "By symptom: a reconnecting client retries again and again": wanted("reconnect waiting", "reconnect why unreachable"),
  "By symptom: a reconnecting client has ended for good": wanted("session final"),
  "By symptom: all clients return at once after a restart": wanted("step restart", "reconnect waiting"),
  "By symptom: the machine has too little processor or memory": MACHINE,
  "By symptom: the wall clock is set, or jumps": MACHINE,
  "By symptom: messages are lost when a server is stopped": wanted("drained server"),
  "By symptom: a server takes long to close": wanted("drain is over"),
  "By symptom: a client that reads slowly gets only a part, and ECONNRESET": wanted("cause TIMEOUT closeTimeout"),
  "By symptom: a program ends with status 13 while it waits for `closed`": MACHINE,
  'By symptom: "Ben left" is announced late': wanted("cause TIMEOUT closeTimeout"),
  "By symptom: memory or descriptors grow with each ended connection": wanted("states CLOSED CLOSED"),
  "By symptom: a short outage of the network": wanted("step cut up", "step heal"),
  "By symptom: a link with loss, jitter and reordering": PACKETS,
  "By symptom: a slow link, and a message that takes longer than the heartbeat": wanted("step slow link"),
  "By symptom: values are seconds old when they reach a client on a slow link, although `coalesce` replaces queued ones":
    wanted("bytes in flight"),
  "By symptom: connections open, and large messages never arrive": PACKETS,
  "By symptom: connections die when they are idle for a while": elsewhere("the network in memory has no NAT"),
  "By symptom: a network with repeated short outages": wanted("step partition", "step heal", "reconnect waiting"),
  "By symptom: one address of a name is dead (IPv6 without a route)": wanted("second address"),
  "By symptom: a network with all of these faults for a long time": MACHINE,
};

/** The events of all rows. */
export const WANTED_FAILURES: readonly string[] = Object.values(FAILURES).flatMap((row) =>
  "wanted" in row ? row.wanted : [],
);
