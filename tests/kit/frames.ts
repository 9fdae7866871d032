/** WebSocket frames as a peer reads and writes them, valid or not. Shares no code with `src`, which it tests. */

export interface Frame {
  readonly opcode: number;
  readonly fin: boolean;
  /** The three reserved bits, RSV1 being 4. */
  readonly rsv: number;
  readonly masked: boolean;
  /** Without its mask. */
  readonly payload: Buffer;
}

/** Reads frames from a byte stream, wherever the network cut it. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  /** Bytes of a frame that has not ended. */
  get pending(): number {
    return this.#rest.length;
  }

  /** The frames that `chunk` completes. */
  push(chunk: Uint8Array): Frame[] {
    const bytes = this.#rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#rest, chunk]);
    const frames: Frame[] = [];
    let at = 0;
    for (let end = endOf(bytes, at); end <= bytes.length; end = endOf(bytes, at)) {
      frames.push(frameAt(bytes, at, end));
      at = end;
    }
    this.#rest = bytes.subarray(at);
    return frames;
  }
}

/** The index at which the frame at `at` ends; beyond all bytes while its header is incomplete. */
function endOf(bytes: Buffer, at: number): number {
  const start = startOf(bytes, at);
  if (start > bytes.length) return Infinity;
  const short = (bytes[at + 1] ?? 0) & 127;
  return (
    start + (short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2)))
  );
}

function startOf(bytes: Buffer, at: number): number {
  if (bytes.length < at + 2) return Infinity;
  const second = bytes[at + 1] ?? 0;
  const short = second & 127;
  return at + 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + (second > 127 ? 4 : 0);
}

function frameAt(bytes: Buffer, at: number, end: number): Frame {
  const start = startOf(bytes, at);
  const first = bytes[at] ?? 0;
  const masked = (bytes[at + 1] ?? 0) > 127;
  const payload = Buffer.from(bytes.subarray(start, end));
  if (masked) {
    const key = bytes.subarray(start - 4, start);
    for (let index = 0; index < payload.length; index += 1) payload[index]! ^= key[index & 3]!;
  }
  return { opcode: first & 15, fin: first > 127, rsv: (first >> 4) & 7, masked, payload };
}

/** The frames in `bytes`, which must end where the last of them does. */
export function framesIn(bytes: Uint8Array): Frame[] {
  const reader = new FrameReader();
  const frames = reader.push(bytes);
  if (reader.pending > 0) throw new Error(`${reader.pending} bytes of a frame that has not ended`);
  return frames;
}

/** The messages that `frames` make, in order; texts as strings. Throws if messages are mixed or a control frame is too long or in fragments. */
export function messagesIn(frames: readonly Frame[]): (string | Buffer)[] {
  const messages: (string | Buffer)[] = [];
  let open: Frame[] = [];
  for (const frame of frames) {
    if (frame.opcode >= 8) {
      if (!frame.fin || frame.payload.length > 125) throw new Error(`a control frame broke its rules`);
      continue;
    }
    if ((frame.opcode === 0) !== open.length > 0)
      throw new Error(`opcode ${frame.opcode} behind ${open.length} fragments`);
    open.push(frame);
    if (!frame.fin) continue;
    const whole = Buffer.concat(open.map(({ payload }) => payload));
    messages.push(open[0]?.opcode === 1 ? whole.toString() : whole);
    open = [];
  }
  return messages;
}

/** The code of the first Close frame in `bytes`: 1005 if the frame has none, undefined if there is no such frame. */
export function closeCodeIn(bytes: Uint8Array): number | undefined {
  const close = new FrameReader().push(bytes).find(({ opcode }) => opcode === 8);
  if (close === undefined) return undefined;
  return close.payload.length === 0 ? 1_005 : close.payload.readUInt16BE(0);
}

export interface PeerFrame {
  readonly opcode: number;
  readonly payload?: Uint8Array | string;
  readonly fin?: boolean;
  /** The three reserved bits, RSV1 being 4. */
  readonly rsv?: number;
  /** The four bytes of the masking key; absent for a frame without a mask. */
  readonly key?: ArrayLike<number> | undefined;
  /** How many bytes hold the length beside its seven bits; the fewest possible if left out. */
  readonly form?: 0 | 2 | 8 | undefined;
  /** The length in the header, if it is not that of the payload. */
  readonly announced?: bigint | undefined;
}

/** A masking key. */
export const KEY: readonly number[] = [0x37, 0xfa, 0x21, 0x3d];

/** The bytes of a frame. */
export function peerFrame(frame: PeerFrame): Uint8Array {
  const { opcode, fin = true, rsv = 0, key } = frame;
  const payload = bytesOf(frame.payload ?? "");
  const length = frame.announced ?? BigInt(payload.length);
  const form = frame.form ?? lengthForm(length);
  const start = 2 + form + (key === undefined ? 0 : 4);
  const bytes = new Uint8Array(start + payload.length);
  const header = new DataView(bytes.buffer);
  header.setUint8(0, (fin ? 128 : 0) + rsv * 16 + opcode);
  header.setUint8(1, (key === undefined ? 0 : 128) + (form === 0 ? Number(length) : form === 2 ? 126 : 127));
  if (form === 2) header.setUint16(2, Number(length));
  if (form === 8) header.setBigUint64(2, length);
  bytes.set(payload, start);
  if (key === undefined) return bytes;
  bytes.set(key, start - 4);
  for (let index = start; index < bytes.length; index += 1) bytes[index]! ^= key[(index - start) & 3]!;
  return bytes;
}

/** How many bytes hold this length beside the seven bits of the second byte: RFC 6455 section 5.2. */
export function lengthForm(length: bigint): 0 | 2 | 8 {
  return length < 126n ? 0 : length < 65_536n ? 2 : 8;
}

export function bytesOf(payload: Uint8Array | string): Uint8Array {
  return typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
}

/** `parts` joined. */
export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** The bytes of `text`, each a number in base 16. */
export function hex(text: string): Uint8Array {
  return Uint8Array.from(text.split(" ").filter(Boolean), (byte) => Number.parseInt(byte, 16));
}

/** `bytes` in pieces, cut at these places; a place beyond the end counts from the start again. */
export function cutAt(bytes: Buffer, places: readonly number[]): Buffer[] {
  const sorted = places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b);
  return [0, ...sorted].map((from, index) => bytes.subarray(from, sorted[index] ?? bytes.length));
}
