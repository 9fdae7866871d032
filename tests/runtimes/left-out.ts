/** The requirement tests that do not run on Bun or Deno, each with the reason. */

/** How the names of tests begin, each with the reason. */
export type LeftOut = Readonly<Record<string, string>>;

/** Files that take more than 10 s, and whose sockets other files test as well. */
export const LONG: readonly string[] = ["s4-load", "s4-reconnect", "s5-delivery", "s5-faults", "s5-reuse"];

/** Files about Node alone. */
export const NODE_ONLY: Readonly<Record<string, string>> = {
  rows: "compares a table with the names of tests, and runs nothing of the library",
  "s3-accept": "is about libuv's reserve descriptor; Bun and Deno accept without libuv",
  "s3-lost-peers": "stops child processes, of which Deno reports no end, and counts the open handles of Node",
};

const STATUS_13 = "expects the exit status that Node has for a pending top-level await";

export const BUN_LACKS: LeftOut = {
  "S5-12 a program need not live for it": STATUS_13,
  "S5-11: is cut at openTimeout, and not before":
    "a server of node:http reports a socket with the first complete request, so `attach` cannot limit a silent one",
  "S5-11: keeps a socket between two requests": "the same",
  "S5-11: is cut at openTimeout in the middle of TLS":
    "the same; and tls.Server has its own timer, not the test's clock",
  "S5-11: has openTimeout for TLS and request together": "the same",
  "S5-11: frees the socket of a client that has ended meanwhile":
    "node:http reports no end of a socket behind an upgrade",
  "S5-9: is an event with the reason tls if TLS fails":
    "tls.Server has its own timer for the handshake, not the test's clock",
};

export const DENO_LACKS: LeftOut = {
  "S5-12 a program need not live for it": STATUS_13,
  "S0-7 a process under SIGSTOP": "does not report the end of a child process that was stopped",
  "S0-9 on a real framed TCP socket": "a write ends some turns later than the test expects, so it sends too little",
  "S3-13 a reset behind unread bytes":
    "an empty write succeeds on a socket that was reset, so pauseTimeout is the limit",
  "S5-3 closes working connections at three quarters":
    "reports the end of a socket some turns later than the test waits",
  "S5-9: is an event with the reason accept": "accepts without libuv, which the test leaves without descriptors",
  "S5-9: is an event with the reason headers: too many fields":
    "node:http keeps 1,000 fields of a request and drops the others",
  "S5-9: is an event with the reason incomplete: a FIN":
    "node:http has no clientError for a request that a FIN has cut",
  "S5-9: is an event with the reason tls if TLS fails":
    "tls.Server has its own timer for the handshake, not the test's clock",
  "S5-10: an untrusted certificate": "an expired certificate has another code: UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "an upgrade request beside another listener":
    "a paused socket does not keep the process alive, so the run ends early",
};
