/** Frames as a scripted peer writes them, well or badly, of any size. Shares no code with what it tests. */

export interface Frame {
  readonly opcode: number;
  readonly payload: Buffer;
  readonly fin?: boolean;
  /** The three reserved bits, RSV1 being 4. */
  readonly rsv?: number;
  /** Masked where frames come without a mask, and the other way round. */
  readonly maskedWrongly?: boolean;
  /** How many bytes hold the length beside its seven bits; the fewest possible if left out. */
  readonly form?: 0 | 2 | 8;
  /** What the header announces, if that is not what follows it. */
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

/** One with an opcode that has no name, or one for which no name is wanted. */
export const frame = (opcode: number, payload: Payload = "", changes: Changes = {}): Frame =>
  maker(opcode)(payload, changes);

/** A Close frame; without a code an empty one. */
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

/** The payload in pieces of `size` bytes, the last of which may be shorter. An empty one is a single empty piece. */
export function pieces(payload: Payload, size: number): Buffer[] {
  const bytes = Buffer.from(payload);
  const count = Math.max(1, Math.ceil(bytes.length / size));
  return Array.from({ length: count }, (_, index) => bytes.subarray(index * size, (index + 1) * size));
}

/** Bytes of the header, its mask included. */
export function headerSize({ payload, form, announced }: Frame, masked: boolean): number {
  return 2 + (form ?? formOf(announced ?? BigInt(payload.length))) + (masked ? 4 : 0);
}

function formOf(length: bigint): 0 | 2 | 8 {
  return length < 126n ? 0 : length < 65_536n ? 2 : 8;
}

/** The frame on the wire; with a key it is masked. */
export function encode(given: Frame, key: Uint8Array | undefined): Buffer {
  const { opcode, payload, fin = true, rsv = 0, form, announced } = given;
  const length = announced ?? BigInt(payload.length);
  const extra = form ?? formOf(length);
  const start = headerSize(given, key !== undefined);
  const bytes = Buffer.alloc(start + payload.length);
  bytes.writeUInt8((fin ? 128 : 0) + rsv * 16 + opcode, 0);
  bytes.writeUInt8((key === undefined ? 0 : 128) + (extra === 0 ? Number(length) : extra === 2 ? 126 : 127), 1);
  if (extra === 2) bytes.writeUInt16BE(Number(length), 2);
  if (extra === 8) bytes.writeBigUInt64BE(length, 2);
  bytes.set(payload, start);
  if (key === undefined) return bytes;
  bytes.set(key, start - 4);
  for (let index = start; index < bytes.length; index += 1) bytes[index]! ^= key[(index - start) & 3]!;
  return bytes;
}
