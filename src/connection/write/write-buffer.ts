/** One write buffer that connections fill in turn, as long as the kernel accepts its content at once. */

import type { Encoder, MessageContent, Part } from "../../engine/protocol.ts";
import type { NodeBuffer } from "../../transport/node-types.ts";
import type { Transport } from "../../transport/transport.ts";
import type { Control } from "./control-queue.ts";

/** The bytes of one write, and the operation that its error names. */
export interface EncodedWrite {
  readonly bytes: Uint8Array;
  readonly operation: "write:data" | Control["operation"];
  /** True if the bytes are in the shared write buffer. */
  readonly shared?: boolean;
  /** The memory that the write alone takes while the kernel has no room, in bytes. Absent: its bytes. */
  readonly heldBytes?: number;
}

/** Most bytes of one write. Progress is visible in steps of this size. */
export const WRITE_BUFFER_SIZE = 65_536;

// Called by reference. By name V8 would look the method up each time, because it does not know from which prototype a Buffer has
// it.
const { set } = Uint8Array.prototype;

let shared = Buffer.allocUnsafeSlow(WRITE_BUFFER_SIZE);

/** True while one write owns the buffer: transports and observers may call back in that time. */
let inUse = false;

// Views of its first bytes. Most writes are small, and to create a view costs more than to find it here.
const VIEWS: (Uint8Array | undefined)[] = new Array(2_048).fill(undefined);

/** The current shared buffer. A writer must own it by `acquireSharedBuffer`, or be the owner of `corkedWrites`. */
export function sharedWriteBuffer(): NodeBuffer {
  return shared;
}

export function sharedBufferInUse(): boolean {
  return inUse;
}

/** Acquires the buffer for one write. Returns undefined if another write owns it. */
export function acquireSharedBuffer(): NodeBuffer | undefined {
  if (inUse) return undefined;
  inUse = true;
  return shared;
}

/**
 * Ends the use of the buffer. `accepted`: the kernel has its content, so it is reused. Otherwise the pending write uses it, and a
 * new one is allocated.
 */
export function releaseSharedBuffer(accepted: boolean): void {
  inUse = false;
  if (accepted) return;
  shared = Buffer.allocUnsafeSlow(WRITE_BUFFER_SIZE);
  VIEWS.fill(undefined);
}

/** View of the first `size` bytes of `buffer`, which is the shared buffer or another one. */
export function firstBytes(buffer: NodeBuffer, size: number): Uint8Array {
  if (buffer !== shared || size >= VIEWS.length) return buffer.subarray(0, size);
  const known = VIEWS[size];
  if (known !== undefined) return known;
  const view = buffer.subarray(0, size);
  VIEWS[size] = view;
  return view;
}

/**
 * Passes the bytes of one write to the transport. Returns true if the kernel has accepted all of them. `shared`: they are in the
 * shared write buffer, which this ends the use of. All writes of all connections go through this function.
 */
export function passToTransport(transport: Transport, bytes: Uint8Array, shared: boolean): boolean {
  if (!shared) return transport.write(bytes);
  // A write that waits keeps its memory. Small copies are cheaper than a new shared buffer for each write.
  if (transport.lastWriteWaited) {
    const copy = Buffer.allocUnsafe(bytes.length);
    set.call(copy, bytes);
    releaseSharedBuffer(true);
    return transport.write(copy);
  }
  let accepted = false;
  try {
    accepted = transport.write(bytes);
  } finally {
    releaseSharedBuffer(accepted);
  }
  return accepted;
}

/**
 * Writes what follows the header of a message or of a part, which ends at `start`: the payload, the mask over it, and the
 * trailer. Returns the end.
 */
export function writePayload(
  encoder: Encoder,
  target: NodeBuffer,
  start: number,
  data: MessageContent,
  size: number,
  part: Part,
): number {
  const end = start + size;
  if (typeof data === "string") target.write(data, start, size, "utf8");
  else set.call(target, data, start);
  encoder.mask(target, start, end);
  return encoder.after(target, end, part);
}
