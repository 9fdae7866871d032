/** Frames in the tables: the ones that a scripted peer sends and expects. */

import { lengthForm, peerFrame } from "../kit/frames.ts";

export interface Frame {
  readonly opcode: number;
  readonly payload: Buffer;
  readonly fin?: boolean;
  /** The three reserved bits, RSV1 being 4. */
  readonly rsv?: number;
  /** Masked where frames must not be masked, and the other way round. */
  readonly maskedWrongly?: boolean;
  /** The number of bytes of the length beyond its seven bits; by default the fewest possible. */
  readonly form?: 0 | 2 | 8;
  /** The length in the header, if it differs from that of the payload. */
  readonly announced?: bigint;
}

type Payload = string | Uint8Array;
type Changes = Omit<Partial<Frame>, "opcode" | "payload">;

const maker =
  (opcode: number) =>
  (payload: Payload = "", changes: Changes = {}): Frame => ({ opcode, payload: Buffer.from(payload), ...changes });

export const continuation: ReturnType<typeof maker> = maker(0);
export const text: ReturnType<typeof maker> = maker(1);
export const binary: ReturnType<typeof maker> = maker(2);
export const ping: ReturnType<typeof maker> = maker(9);
export const pong: ReturnType<typeof maker> = maker(10);

/** A frame with an opcode without a name. */
export const frame = (opcode: number, payload: Payload = "", changes: Changes = {}): Frame =>
  maker(opcode)(payload, changes);

/** A Close frame. Without a code it is empty. */
export function close(code?: number, reason: Payload = "", changes: Changes = {}): Frame {
  const start = code === undefined ? [] : [code >> 8, code & 255];
  return frame(8, Buffer.concat([Buffer.from(start), Buffer.from(reason)]), changes);
}

/** One message in fragments. */
export function fragments(first: (payload: Payload, changes: Changes) => Frame, ...payloads: Payload[]): Frame[] {
  return payloads.map((payload, index) => {
    const changes = { fin: index === payloads.length - 1 };
    return index === 0 ? first(payload, changes) : continuation(payload, changes);
  });
}

/** The payload in pieces of `size` bytes. The last one may be shorter. An empty payload is one empty piece. */
export function pieces(payload: Payload, size: number): Buffer[] {
  const bytes = Buffer.from(payload);
  const count = Math.max(1, Math.ceil(bytes.length / size));
  return Array.from({ length: count }, (_, index) => bytes.subarray(index * size, (index + 1) * size));
}

/** The size of the header in bytes, with the mask. */
export function headerSize({ payload, form, announced }: Frame, masked: boolean): number {
  return 2 + (form ?? lengthForm(announced ?? BigInt(payload.length))) + (masked ? 4 : 0);
}

/** The frame on the wire. With a key it is masked. */
export function encode(given: Frame, key: ArrayLike<number> | undefined): Buffer {
  return Buffer.from(peerFrame({ ...given, key }).buffer);
}
