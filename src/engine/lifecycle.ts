/** The life of a connection from its opening on, as one table: its states are named by their history, and each row says what may follow. */

/**
 * For WebSocket, a close sent or received is a Close frame; for plain TCP it is a FIN. `closeExchanged` is the state
 * in which a clean end finds the connection: nothing else needs to remember that it was clean.
 */
export type State = "open" | "closeSent" | "closeReceived" | "closeExchanged" | "closed";

/** What happens to a connection. `ended` is the end of the transport, whatever brought it about. */
export type Trigger = "closeSent" | "closeReceived" | "ended";

/** The whole of it. What has no entry cannot happen. */
export const TRANSITIONS: Readonly<Record<State, Readonly<Partial<Record<Trigger, State>>>>> = {
  open: { closeSent: "closeSent", closeReceived: "closeReceived", ended: "closed" },
  closeSent: { closeReceived: "closeExchanged", ended: "closed" },
  closeReceived: { closeSent: "closeExchanged", ended: "closed" },
  closeExchanged: { ended: "closed" },
  closed: {},
};

/** The only place where a state follows another. A trigger that the table does not allow is an error of ours. */
export function step(from: State, trigger: Trigger): State {
  const to = TRANSITIONS[from][trigger];
  if (to === undefined) throw new Error(`Cannot apply ${trigger} in state ${from}`);
  return to;
}
