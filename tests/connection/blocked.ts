/** A connection whose peer does not read: one message is with the kernel, which takes no more. */

import { type ConnectionOptions, LimitError, type OverflowEvent } from "../../src/index.js";
import { settled, type Wire, type Wired, type WiredOptions, wired } from "../../src/testing/index.js";
import { FrameReader, messagesIn } from "../frames.js";

/** The message that the kernel has taken half of. */
export const PLUG: string = "p".repeat(100);

export interface Blocked extends Wired {
  /** The `send` of the plug. */
  readonly plug: Promise<void>;
  /** Lets the peer read until it has this many messages, and answers with all of them. */
  read(messages: number): Promise<(string | Buffer)[]>;
}

export async function blocked(connection: ConnectionOptions = {}, options: WiredOptions = {}): Promise<Blocked> {
  const scene = wired({ capacity: 64, ...options, connection });
  const { wire } = scene;
  wire.pause();
  const plug = scene.connection.send(PLUG);
  plug.catch(() => undefined);
  await settled();
  return {
    ...scene,
    plug,
    read: async (messages) => {
      wire.resume();
      await wire.until(() => received(wire).length >= messages);
      await settled();
      return received(wire);
    },
  };
}

/** The whole messages that a WebSocket's peer has got. */
export function received(wire: Wire): (string | Buffer)[] {
  return messagesIn(new FrameReader().push(wire.received));
}

/** What became of a promise so far. */
export interface Outcome {
  state: "pending" | "resolved" | "rejected";
  error?: unknown;
}

export function outcomeOf(promise: Promise<unknown>): Outcome {
  const outcome: Outcome = { state: "pending" };
  promise.then(
    () => {
      outcome.state = "resolved";
    },
    (error: unknown) => {
      outcome.state = "rejected";
      outcome.error = error;
    },
  );
  return outcome;
}

/** The message that a refusal hands back. */
export function handedBack(error: unknown): unknown {
  if (!(error instanceof LimitError)) throw new Error(`not a LimitError: ${String(error)}`);
  return error.refused;
}

/** Overflow events, and the option that collects them. */
export function watched(): { events: OverflowEvent[]; observe: (event: { type: string }) => void } {
  const events: OverflowEvent[] = [];
  return { events, observe: (event) => event.type === "overflow" && events.push(event as OverflowEvent) };
}
