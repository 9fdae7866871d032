/** Frames as a peer writes them, well or badly. Shares no code with what it tests. */

export interface PeerFrame {
  readonly opcode: number;
  readonly payload?: Uint8Array | string;
  readonly fin?: boolean;
  readonly rsv?: number;
  /** The four bytes of the masking key; left out for a frame that is not masked. */
  readonly key?: readonly number[];
  /** How many bytes hold the length beside its seven bits; the fewest possible if left out. */
  readonly form?: 0 | 2 | 8;
  /** What the header announces, if that is not what follows it. */
  readonly announced?: bigint;
}

export const KEY: readonly number[] = [0x37, 0xfa, 0x21, 0x3d];

export function bytesOf(payload: Uint8Array | string): Uint8Array {
  return typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
}

export function peerFrame({ opcode, payload = "", fin = true, rsv = 0, key, form, announced }: PeerFrame): Uint8Array {
  const body = bytesOf(payload);
  const length = announced ?? BigInt(body.length);
  const extra = form ?? (length < 126n ? 0 : length < 65536n ? 2 : 8);
  const header = new DataView(new ArrayBuffer(2 + extra));
  header.setUint8(0, (fin ? 128 : 0) + rsv * 16 + opcode);
  header.setUint8(1, (key ? 128 : 0) + (extra === 0 ? Number(length) : extra === 2 ? 126 : 127));
  if (extra === 2) header.setUint16(2, Number(length));
  if (extra === 8) header.setBigUint64(2, length);
  const masked = key ? body.map((byte, index) => byte ^ (key[index % 4] ?? 0)) : body;
  return Uint8Array.from([...new Uint8Array(header.buffer), ...(key ?? []), ...masked]);
}

/** Frames behind one another. */
export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** The bytes of `text`, each a number in base 16. */
export function hex(text: string): Uint8Array {
  return Uint8Array.from(text.split(" ").filter(Boolean), (byte) => Number.parseInt(byte, 16));
}
