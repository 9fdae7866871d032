/** A connection whose peer does not read: the kernel has accepted part of one message, and accepts no more. */

import { MESSAGE_OVERHEAD } from "../../src/engine/queue/overflow-queue.ts";
import { type ConnectionOptions, LimitError, type OverflowEvent } from "../../src/index.ts";
import { type RawPeer, settled, type Wired, type WiredOptions, wired } from "../../src/testing/index.ts";
import { FrameReader, messagesIn } from "./frames.ts";

/** The message of which the kernel has accepted half. */
export const PLUG: string = "p".repeat(100);

/** The size that a queue counts for `messages` with so many bytes of payload in total. */
export function charged(bytes: number, messages: number): number {
  return bytes + messages * MESSAGE_OVERHEAD;
}

export interface Blocked extends Wired {
  /** The `send` of the message that blocks the kernel. */
  readonly plug: Promise<void>;
  /** Lets the peer read until it has this many messages. Returns all of them. */
  read(messages: number): Promise<(string | Buffer)[]>;
}

export async function blocked(connection: ConnectionOptions = {}, options: WiredOptions = {}): Promise<Blocked> {
  const scene = wired({ capacity: 64, ...options, connection });
  const { peer } = scene;
  peer.pause();
  const plug = scene.connection.send(PLUG);
  plug.catch(() => undefined);
  await settled();
  return {
    ...scene,
    plug,
    read: async (messages) => {
      peer.resume();
      await peer.until(() => received(peer).length >= messages);
      await settled();
      return received(peer);
    },
  };
}

/** The complete messages that the peer of a WebSocket has received. */
export function received(wire: RawPeer): (string | Buffer)[] {
  return messagesIn(new FrameReader().push(wire.received));
}

/** The state of a promise. */
export interface CallState {
  state: "pending" | "resolved" | "rejected";
  error?: unknown;
}

export function stateOf(promise: Promise<unknown>): CallState {
  const outcome: CallState = { state: "pending" };
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

/** The message in a LimitError. */
export function refusedMessageOf(error: unknown): unknown {
  if (!(error instanceof LimitError)) throw new Error(`not a LimitError: ${String(error)}`);
  return error.returned;
}

/** Overflow events, and the option that collects them. */
export function observedOverflows(): { events: OverflowEvent[]; observe: (event: { type: string }) => void } {
  const events: OverflowEvent[] = [];
  return { events, observe: (event) => event.type === "overflow" && events.push(event as OverflowEvent) };
}
