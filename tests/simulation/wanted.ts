/** The events that a campaign must reach. docs/failures.md and the policies of the library are the source of the list. */

import { WANTED_FAILURES } from "./failures.ts";
import { STEPS } from "./steps.ts";

const STATES = ["OPEN", "CLOSING", "CLOSED", "GONE"];

/** Both ends of one connection. Two processes that have ended are no pair of states of the library. */
const PAIRS = STATES.flatMap((one) => STATES.map((other) => `states ${one} ${other}`)).filter(
  (pair) => pair !== "states GONE GONE",
);

export const WANTED: readonly string[] = [
  ...new Set([
    ...WANTED_FAILURES,
    ...PAIRS,
    ...STEPS.map(({ name }) => `step ${name}`),
    ...["wait", "reject", "drop-newest", "drop-oldest", "coalesce", "close"].map((policy) => `policy ${policy}`),
    // Ends without an error, and by an error of the application
    ...["PROTOCOL", "LIMIT", "CLOSED", "none", "application"].map((cause) => `cause ${cause}`),
    // Peers that break a rule
    ...["unmasked frame", "bad UTF-8", "half a message", "FIN without Close", "socket closed", "silence"].map(
      (deed) => `deed ${deed}`,
    ),
    ...["connecting", "open", "waiting", "ended"].map((state) => `reconnect ${state}`),
    ...["lost", "closed-for-now", "unreachable"].map((kind) => `reconnect why ${kind}`),
    ...["highWater", "lowWater", "trySend sent", "trySend queued", "trySend refused", "ping", "group refused"],
    ...["drained server", "farewell", "killed in close", "bytes in flight", "inbox half full", "session complete"],
    ...["exchange delivers"],
  ]),
];
