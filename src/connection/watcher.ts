/** What watches the connections of a server or of all clients: the dashboard. */

import type { EndCause } from "../base/end-causes.ts";
import type { CloseInfo, Connection } from "./contract.ts";
import type { Tally } from "./tally.ts";

/** What happens to a connection a few times in its life. */
export type RareEvent = "pause" | "resume" | "overflow" | "peerEnded" | "closing";

/** How a connection has ended. */
export interface EndedFacts {
  readonly cause: EndCause;
  /** In milliseconds. */
  readonly age: number;
  readonly info: CloseInfo;
  readonly tally: Readonly<Tally>;
}

/** Its methods must not throw. They are called for each connection that counts for it. */
export interface ConnectionWatcher {
  /** `detail`: the policy of an overflow. */
  happened(connection: Connection, event: RareEvent, detail: string): void;
  ended(connection: Connection, facts: EndedFacts): void;
}
