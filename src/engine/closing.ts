/** The state table for the end of a connection: the states, the events in each state, and the actions for each event. */

/**
 * The protocol, and for a WebSocket also the role, because the server closes the TCP connection first (RFC 6455 section 7.1.1).
 */
export type Kind = "tcp" | "client" | "server";

/** The states, in the order in which a connection can pass through them. A state that was left is not entered again. */
export const STATES = {
  open: "Messages are read and written.",
  draining:
    "The server closes. Nothing more is read; messages that were received are handled, and answers are written.",
  halfOpen: "The peer's FIN was read. Messages can still be written.",
  closing: "This side has begun to close. Queued messages, and behind them the Close frame, are being written.",
  closingAnswered: "As closing; the peer's Close frame was read.",
  closingDiscarding: "As closing, because of an error: received bytes are discarded.",
  closingEnded: "As closing; the peer's FIN was read.",
  waiting: "This side's Close frame is written. The peer's is awaited.",
  exchanged: "Both Close frames were sent and received. The peer's FIN is awaited.",
  ended: "This side's FIN is sent. The peer's is awaited.",
  endedExchanged: "As ended, after both Close frames were sent and received.",
  endedDiscarding: "As ended, because of an error: received bytes are discarded.",
  bothEnded: "Both FINs were sent and received. The descriptor is about to be freed.",
  released: "This side has freed the descriptor without a reset. The kernel delivers the bytes that it has.",
  aborted: "This side has freed the descriptor with a reset.",
  over: "The descriptor is free.",
} as const;

export type State = keyof typeof STATES;

/** The events of a connection. */
export const EVENTS = {
  drain: "the server closes",
  close: "this side closes",
  fail: "this side closes because of an error",
  peerClose: "the peer's Close frame is read",
  peerEnd: "the peer's FIN is read between two messages",
  peerCut: "the peer's FIN is read inside a message",
  flushed: "everything that was queued is with the kernel, the Close frame too",
  progress: "the peer's kernel has acknowledged bytes",
  timeout: "the time for closing is over",
  abort: "this side terminates the connection",
  gone: "the descriptor is free",
} as const;

export type Event = keyof typeof EVENTS;

/** The actions of the connection for an event. They run in this order. */
export const ACTIONS = {
  begin: "record the cause of the end, refuse further calls, and start the time for closing",
  setCause: "record the cause of the end, unless there is one",
  stopReading: "stop reading",
  endInput: "reject calls that wait for a message, once the received ones are taken",
  endInputAtClose: "as endInput, unless the option receiveWhileClosing keeps delivering messages",
  dropQueue: "reject queued messages of which no byte is written",
  endCalls: "reject all calls that wait",
  endWrites: "reject all messages that are not with the kernel",
  sendClose: "write the Close frame, on TCP the farewell, behind the queued messages",
  sendRest: "write the queued messages, behind an error of this side the farewell, and no Close frame",
  sendFin: "send the FIN",
  linger: "start the time for this side's FIN",
  extend: "start the time for closing anew",
  reset: "free the descriptor, with a reset",
  release: "free the descriptor, without a reset",
  reportBegun: "call the closing hook, and report that the end has begun",
  reportEnded: "call the close hook, and report that the connection has ended",
} as const;

export type Action = keyof typeof ACTIONS;

/** The next state, and the actions. */
export interface Step {
  readonly to: State;
  readonly actions: readonly Action[];
}

/** For each state, the possible events. An event without an entry has no effect. */
export type Table = Readonly<Record<State, Readonly<Partial<Record<Event, Step>>>>>;

const step = (to: State, ...actions: Action[]): Step => ({ to, actions });

const ABORT = step("aborted", "begin", "endInput", "endCalls", "endWrites", "reset", "reportBegun");
const GONE = step("over", "begin", "endInput", "endCalls", "endWrites", "reportBegun", "reportEnded");
const LOST = step("over", "setCause", "endInput", "endCalls", "endWrites", "reportEnded");
const STALLED = step("aborted", "setCause", "endInput", "endCalls", "endWrites", "reset");
const SILENT = step("released", "setCause", "endInput", "endCalls", "endWrites", "release");
// After the closing handshake the peer may keep the TCP connection open. This is not an error (RFC 6455 section 7.1.1).
const DISMISS = step("released", "release");

function tableOf(kind: Kind): Table {
  const tcp = kind === "tcp";
  const server = kind === "server";
  // All bytes are with the kernel. TCP sends the FIN at once; a WebSocket first waits for the peer's Close frame.
  const flushed = tcp ? step("ended", "sendFin") : step("waiting");
  // Both Close frames are sent and received. A server sends its FIN at once; a client waits for the server's FIN.
  const answered = server ? step("endedExchanged", "endInput", "sendFin") : step("exchanged", "endInput");
  const cut = step("closingEnded", "begin", "endInput", "sendRest", "reportBegun");
  const peerEnd = tcp ? step("halfOpen", "endInput", "linger") : cut;
  const fail = step("closingDiscarding", "begin", "endInput", "dropQueue", "endCalls", "sendClose", "reportBegun");
  const open = {
    drain: step("draining", "stopReading"),
    close: step("closing", "begin", "endInputAtClose", "sendClose", "reportBegun"),
    fail,
    ...(!tcp && { peerClose: step("closingAnswered", "begin", "endInput", "sendClose", "reportBegun") }),
    peerEnd,
    peerCut: cut,
    abort: ABORT,
    gone: GONE,
  };
  const lost = { abort: STALLED, gone: LOST };
  // While this side has bytes to write, the peer accepts none of them: a reset loses nothing that could still arrive.
  const writing = { progress: (to: State) => step(to, "extend"), timeout: STALLED };
  // With `receiveWhileClosing`, messages are delivered until one of these events: "endInput" has no effect the second time.
  const failing = (to: State): Step => step(to, "setCause", "endInput", "dropQueue", "endCalls");
  const { drain: _, ...whileDraining } = open;
  // A server that closes reads nothing more.
  const draining = { ...whileDraining, close: step("closing", "begin", "endInput", "sendClose", "reportBegun") };
  return {
    open,
    draining,
    halfOpen: {
      close: step("closingEnded", "begin", "sendRest", "reportBegun"),
      fail: step("closingEnded", "begin", "dropQueue", "endCalls", "sendRest", "reportBegun"),
      abort: ABORT,
      gone: GONE,
    },
    closing: {
      ...lost,
      ...writing,
      progress: writing.progress("closing"),
      fail: failing("closingDiscarding"),
      ...(!tcp && { peerClose: step("closingAnswered", "endInput") }),
      peerEnd: tcp ? step("closingEnded", "endInput") : step("closingEnded", "setCause", "endInput"),
      peerCut: step("closingEnded", "setCause", "endInput"),
      flushed,
    },
    closingAnswered: {
      ...lost,
      ...writing,
      progress: writing.progress("closingAnswered"),
      fail: failing("closingDiscarding"),
      peerEnd: step("closingEnded"),
      flushed: answered,
    },
    closingEnded: {
      ...lost,
      ...writing,
      progress: writing.progress("closingEnded"),
      fail: failing("closingEnded"),
      flushed: step("bothEnded", "sendFin"),
    },
    closingDiscarding: {
      ...lost,
      ...writing,
      progress: writing.progress("closingDiscarding"),
      peerEnd: step("closingEnded"),
      peerCut: step("closingEnded"),
      flushed: step("endedDiscarding", "sendFin"),
    },
    waiting: {
      ...lost,
      progress: step("waiting", "extend"),
      fail: step("endedDiscarding", "setCause", "endInput", "endCalls", "sendFin"),
      peerClose: answered,
      peerEnd: step("bothEnded", "setCause", "endInput", "sendFin"),
      peerCut: step("bothEnded", "setCause", "endInput", "sendFin"),
      timeout: SILENT,
    },
    exchanged: {
      abort: STALLED,
      gone: LOST,
      progress: step("exchanged", "extend"),
      peerEnd: step("bothEnded", "sendFin"),
      timeout: DISMISS,
    },
    ended: {
      ...lost,
      progress: step("ended", "extend"),
      fail: step("endedDiscarding", "setCause", "endInput", "endCalls"),
      peerEnd: step("bothEnded", "endInput"),
      peerCut: step("bothEnded", "setCause", "endInput"),
      timeout: SILENT,
    },
    endedExchanged: {
      abort: STALLED,
      gone: LOST,
      progress: step("endedExchanged", "extend"),
      peerEnd: step("bothEnded"),
      timeout: DISMISS,
    },
    endedDiscarding: {
      ...lost,
      progress: step("endedDiscarding", "extend"),
      peerEnd: step("bothEnded"),
      peerCut: step("bothEnded"),
      timeout: SILENT,
    },
    bothEnded: { abort: STALLED, gone: LOST, timeout: DISMISS },
    released: { gone: LOST },
    aborted: { gone: LOST },
    over: {},
  };
}

/** The table of each kind of connection. */
export const TABLES: Readonly<Record<Kind, Table>> = {
  tcp: tableOf("tcp"),
  client: tableOf("client"),
  server: tableOf("server"),
};

/** The states in which both sides have agreed to end, unless an error caused the end. */
const AGREED: readonly State[] = ["exchanged", "endedExchanged", "bothEnded", "released"];

/** True if a connection whose descriptor became free in `state` ended cleanly. `error`: the system reported an error. */
export function endsClean(kind: Kind, state: State, error: boolean): boolean {
  // After a closing handshake nothing can be lost, so an error has no effect. Plain TCP ends with a FIN in each direction: if the
  // system reports a reset, the exchange of the FINs was not completed.
  return AGREED.includes(state) && (kind !== "tcp" || !error);
}

const DISCARDING: readonly State[] = ["closingDiscarding", "endedDiscarding", "released", "aborted", "over"];

/** True if received bytes are discarded without decoding. They are still read, because unread bytes turn a FIN into a reset. */
export function discards(state: State): boolean {
  return DISCARDING.includes(state);
}

const WRITTEN: readonly State[] = ["waiting", "exchanged", "ended", "endedExchanged", "endedDiscarding", "bothEnded"];

/** True if this side has nothing left to write and waits only for the peer's kernel. */
export function isWritten(state: State): boolean {
  return WRITTEN.includes(state);
}
