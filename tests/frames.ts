/** Frames as a peer reads them, wherever the network cut them. Shares no code with what it tests. */

export interface Frame {
  readonly opcode: number;
  readonly fin: boolean;
  /** The three reserved bits, RSV1 being 4. */
  readonly rsv: number;
  readonly masked: boolean;
  /** Without its mask. */
  readonly payload: Buffer;
}

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

/** Where the frame at `at` ends; beyond all bytes while its header has not come. */
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

/** The messages that `frames` make, in order; texts as strings. Throws where messages mingle or a control frame is cut. */
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
