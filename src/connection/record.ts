/** The fields that a connection holds for its whole life, in one object. The functions of each folder work on it. */

import { type Instant, roundedUp, type Wakeup } from "../base/time.ts";
import type { HeartbeatState } from "../engine/time/heartbeat.ts";
import { Timer } from "../engine/time/timer-wheel.ts";
import type { Endpoints, Transport } from "../transport/transport.ts";
import type { Closing } from "./close/closing.ts";
import type { Connection, GroupMember } from "./contract.ts";
import type { SettledOptions } from "./options.ts";
import type { Protocol } from "./protocol.ts";
import { RareParts } from "./rare-parts.ts";
import type { Dispatcher } from "./read/dispatcher.ts";
import type { ReadPump } from "./read/read-pump.ts";
import type { Tally } from "./tally.ts";
import type { RareTimes } from "./time/rare-times.ts";
import type { TimersState } from "./time/timers.ts";
import type { InFlight } from "./write/in-flight.ts";
import type { Outbox } from "./write/outbox.ts";
import type { ShortPath } from "./write/short-path.ts";

/** The members of a group. */
export interface MemberList {
  leave(member: GroupMember): void;
}

/** The objects from which a connection is created. */
export interface ConnectionBase {
  readonly protocol: Protocol;
  readonly transport: Transport;
  readonly options: SettledOptions;
}

/**
 * Thousands of connections are idle for each active one, so there is one object for each, and no more: it is also the state of
 * its heartbeat, and its entry in the timer wheel of the system's clock. `tests/connection/footprint.test.ts` measures it. Parts
 * are created on first use, by the functions of `lazy-parts.ts`. `undefined` means that a part is in its initial state.
 */
export abstract class ConnectionRecord extends Timer implements ConnectionBase, HeartbeatState, TimersState {
  readonly connection: Connection;
  readonly protocol: Protocol;
  readonly transport: Transport;
  readonly options: SettledOptions;

  // time/timers.ts

  heartbeatAt: Instant | undefined;
  timersAt: Instant[] | undefined;
  wakeup: Wakeup | undefined;
  timerState: "waiting" | "expiring" | "stopped" = "waiting";

  // time/liveness.ts

  readonly openedAt: Instant;
  receivedAt: Instant;
  pingedAt: Instant | undefined;
  nextDueAt: Instant | undefined;
  probedAt: Instant | undefined;
  rareTimes: RareTimes | undefined;

  // lazy-parts.ts

  readPump: ReadPump | undefined;
  outbox: Outbox | undefined;
  dispatcher: Dispatcher | undefined;
  closing: Closing | undefined;
  rareParts: RareParts | undefined;
  /** True if the parts that the application used last are freed, or may be freed. */
  idle = false;

  // read/ and write/

  /** Number of messages in the last chunk. 0 when the application has answered them. */
  arrived = 0;
  /** True while a chunk is handled: messages sent meanwhile leave in one write at its end. */
  corked = false;
  /** The memory that this connection holds for messages, as `memoryBudget` counts it. Undefined until it has held something. */
  heldBytes: number | undefined;
  /** The short path on which messages of this connection are. While it has one, it has nothing else to send. */
  shortPath: ShortPath | undefined;

  /** The groups that it belongs to. Often there is one, so there is no set for it. */
  groups: MemberList | Set<MemberList> | undefined;

  // The application

  /** Called after the end. If a handler returns later, called again. */
  onEnded: ((connection: Connection) => void) | undefined;
  /** State of the application's handler. `waits`: it waits only for the end. `outlives`: it runs longer than the connection. */
  handler: "none" | "runs" | "waits" | "outlives" = "none";

  constructor(connection: Connection, { protocol, transport, options }: ConnectionBase) {
    super();
    this.connection = connection;
    this.protocol = protocol;
    this.transport = transport;
    this.options = options;
    this.openedAt = roundedUp(options.clock.now());
    this.receivedAt = this.openedAt;
  }

  /** The bound of the bytes in flight. Undefined if there is none. */
  get inFlight(): InFlight | undefined {
    return this.rareParts?.inFlight;
  }

  /** The numbers of this connection: a rare part, because an idle connection would be larger by a field. */
  get tally(): Tally | undefined {
    return this.rareParts;
  }

  beginTally(): Tally {
    this.rareParts ??= new RareParts();
    return this.rareParts;
  }

  /** The addresses of the connection. Behind a trusted proxy the remote ones are those of the client. */
  get endpoints(): Endpoints {
    const { endpoints } = this.transport;
    const client = this.rareParts?.client;
    return client === undefined ? endpoints : { ...endpoints, ...client };
  }

  get suspendedAt(): Instant | undefined {
    return this.rareTimes?.suspendedAt;
  }

  set suspendedAt(at: Instant | undefined) {
    if (this.rareTimes !== undefined) this.rareTimes.suspendedAt = at;
  }
}

/** The connection has ended: it leaves all its groups. */
export function leaveGroups({ groups, connection }: ConnectionRecord): void {
  if (groups instanceof Set) for (const group of groups) group.leave(connection);
  else groups?.leave(connection);
}
