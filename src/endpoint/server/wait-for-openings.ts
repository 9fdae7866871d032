/** Waits for the openings that are in progress when a server begins to close. */

import { after, type Clock, reached } from "../../base/time.ts";
import { setImmediate } from "../../transport/timers.ts";

// The interval between two checks whether the accepted sockets have become connections, in milliseconds.
const CHECK_INTERVAL = 5;

interface Openings {
  readonly clock: Clock;
  /** Returns the number of accepted sockets that are not closed, whether they have become connections or not. */
  readonly countSockets: () => Promise<number>;
  readonly countConnections: () => number;
}

/** Waits until all accepted sockets have become connections or have closed, for at most `opening` milliseconds. */
export async function waitForOpenings(openings: Openings, opening: number): Promise<void> {
  const { clock } = openings;
  const end = after(clock.now(), opening);
  while (!reached(end, clock.now()) && (await countOpening(openings)) > 0) {
    await new Promise<void>((resolve) => void clock.wakeAt(after(clock.now(), CHECK_INTERVAL), () => resolve()));
  }
}

/** Returns the number of accepted sockets that are not connections. The number is too high if connections end during the count. */
async function countOpening({ countSockets, countConnections }: Openings): Promise<number> {
  const count = await countSockets();
  // Node's count excludes a descriptor as soon as it closes. The roster removes the ended connection only at the end of the event
  // loop turn. Until then, that connection would hide one socket that is not a connection yet. So the connections are counted
  // after that turn.
  for (let turn = 0; turn < 2; turn += 1) await new Promise(setImmediate);
  return count - countConnections();
}
