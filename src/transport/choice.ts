/** Which transport a stream goes by: the fast lane where it has been tried and works, the public one everywhere else. */

import type { Duplex } from "node:stream";
import { FastLane } from "./fast-lane.js";
import { SocketTransport } from "./socket.js";
import type { Transport } from "./transport.js";
import { tryFastLane, Untried } from "./trial.js";

// One buffer for all reads needs a kernel that says when there is something to read, as Windows does not.
const SUITED =
  ["linux", "darwin"].includes(process.platform) && !("bun" in process.versions || "deno" in process.versions);

/** What is known of a connection before it is opened. */
interface Way {
  readonly secure: boolean;
  readonly socketPath: string | undefined;
}

let trial: Promise<boolean> | undefined;
let works = false;

/** Tries the fast lane, once in a process, before the first connection that may go by it. Never rejects. */
export async function readyTransports({ secure, socketPath }: Way): Promise<void> {
  if (secure || socketPath !== undefined || !SUITED || process.env["HOLDFAST_TRANSPORT"] === "socket") return;
  trial ??= tried();
  works = await trial;
}

async function tried(): Promise<boolean> {
  try {
    await tryFastLane();
    return true;
  } catch (error) {
    if (error instanceof Untried) trial = undefined;
    else warn(error);
    return false;
  }
}

function warn(error: unknown): void {
  const reason = error instanceof Error ? error.message : String(error);
  process.emitWarning(`Holdfast's fast lane does not work on Node ${process.version}, and is not used: ${reason}`, {
    type: "HoldfastWarning",
    code: "HOLDFAST_FAST_LANE",
  });
}

/** Whether a server of this kind may have its connections from their handles. Known once transports are ready. */
export function handlesServe({ secure, socketPath }: Way): boolean {
  return works && !secure && socketPath === undefined;
}

/** `head` holds bytes that were read behind an upgrade; they come first. The stream is the transport's from here on. */
export function transportOf(stream: Duplex, head?: Uint8Array): Transport {
  return (works ? FastLane.take(stream, head) : undefined) ?? new SocketTransport(stream, head);
}
