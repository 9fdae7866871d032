/** What the members of a topic get when something fails, and the tests that produce each failure. `npm run docs` makes a page of it. */

import type { NamedTest } from "../kit/named-tests.ts";

/** A failure, and what is promised. */
export interface TopicFailure {
  readonly what: string;
  /** What members get. */
  readonly members: string;
  /** What is reported, and to which side. */
  readonly reported: string;
  /** The tests that produce it. */
  readonly tests: readonly NamedTest[];
}

/** Kills of nodes, of the broker with and without its data, of connections, and a broker that is stopped. */
const SOAK: NamedTest = ["faults/topics-soak", "of kills of nodes, broker and clients"];

export const TOPIC_FAILURES: readonly TopicFailure[] = [
  {
    what: "the connection of a client is lost, and it comes back with its position",
    members: "each message once, in order",
    reported: "nothing",
    tests: [["hub/topic", "gives a new member the last messages, or those behind its position"], SOAK],
  },
  {
    what: "a node is killed, and its clients go to another one with their positions",
    members: "each message once, in order, as far as the history reaches back",
    reported: "nothing",
    tests: [["cli/serve/broker", "keeps the chat and its messages when a process is killed"], SOAK],
  },
  {
    what: "a node is killed before it has confirmed a message, and the message is published again with its `id`",
    members: "the message once",
    reported: "the publisher: `duplicate`",
    tests: [["broker/contract-once", "14 remembers an id when a node ends"], SOAK],
  },
  {
    what: "the nodes are restarted one after the other",
    members: "each message once, in order",
    reported: "nothing; clients are closed with 1001 and go to another node",
    tests: [["faults/topics-nodes", "lose nothing when they are restarted one after the other"]],
  },
  {
    what: "a node is frozen, and wakes",
    members:
      "each message once, in order. Members that go to another node get them in time, and members that wait get them when the node wakes",
    reported:
      "nothing. A message that the node had not confirmed may still be published when it wakes, once under its `id`",
    tests: [
      ["faults/topics-nodes", "lose nothing when one is frozen, and wakes when its members have left it or still wait"],
    ],
  },
  {
    what: "the event loop of a node is blocked for seconds",
    members: "each message once, in order, late",
    reported: "nothing",
    tests: [["faults/topics-nodes", "lose nothing when the event loop of one is blocked for 3 s"]],
  },
  {
    what: "the wall clock of a node jumps",
    members: "each message once, in order, in time",
    reported: "nothing. The age of a history is counted by the broker",
    tests: [["faults/topics-nodes", "lose nothing when the wall clock of one jumps by an hour, back and ahead"]],
  },
  {
    what: "a publisher's connection to the broker is lost",
    members: "the message once, if it is published again with the same `id`",
    reported: "the publisher: its call rejects in doubt, in time",
    tests: [["broker/contract-once", "14 remembers an id when a connection is lost"], SOAK],
  },
  {
    what: "a node's subscription is lost",
    members: "each message once, in order: what is missing is read from the log",
    reported:
      "nothing; `holes` and `healedHoles` in the hub's `stats`, which are equal. Without a log: all members of the node, gap `lost`",
    tests: [
      ["hub/holes", "are the runs that were passed over, and each is healed"],
      ["broker/redis-hub", "loses, doubles and reorders nothing while its subscriptions are killed"],
      ["broker/contract-hubs", "20 two hubs converge while connections are ended"],
    ],
  },
  {
    what: "the broker drops messages of a slow node",
    members: "the same",
    reported: "the same",
    tests: [["broker/contract-faults", "the server drops messages of a slow node"]],
  },
  {
    what: "the broker stops to answer, and continues",
    members: "each message once, in order, late",
    reported: "publishers: their calls reject in time",
    tests: [["broker/contract-faults", "11 confirms nothing while the server is frozen, and rejects in time"], SOAK],
  },
  {
    what: "the broker is killed, and starts again with its data",
    members: "each message once, in order",
    reported: "publishers meanwhile: their calls reject",
    tests: [
      ["broker/redis-faults", "keeps log, epoch and ids over a kill of a server that stores before it answers"],
      SOAK,
    ],
  },
  {
    what: "the broker starts again without its data",
    members: "what is published afterwards",
    reported: "all members, once: gap `epoch`",
    tests: [
      ["broker/contract-log", "9 has another epoch when the log is emptied"],
      ["cli/serve/broker", "tells members of a gap when the broker was killed and its messages are lost"],
      SOAK,
    ],
  },
  {
    what: "a replica that is behind takes the place of the broker",
    members: "what is published afterwards, never another history under the same offsets",
    reported: "all members, once: gap `fork`; `forks` in `stats`",
    tests: [
      ["broker/contract-faults", "19 reports a replica that lags before it delivers another history"],
      ["hub/faulty-broker", "tell a gap when the server forgets, and have the end of its log behind it"],
    ],
  },
  {
    what: "the history does not reach back to the position of a client",
    members: "what the history still has",
    reported: "that client: gap `trimmed`, with the exact count where offsets are contiguous",
    tests: [
      ["hub/topic", "tells what a position has missed"],
      ["hub/holes", "are told if the history does not reach back"],
      SOAK,
    ],
  },
  {
    what: "a member is too slow",
    members: "each message once, in order, from the history",
    reported: "nothing, unless it falls behind the history: then that member, gap `trimmed`",
    tests: [["hub/topic", "keeps a slow member on its messages: it gets them from the history"]],
  },
  {
    what: "an entry of the log is malformed, truncated or foreign",
    members: "all others",
    reported: "the node's `onError`: topic and offset",
    tests: [["broker/redis-faults", "skips what is no message, and names the topic and the offset"]],
  },
];
