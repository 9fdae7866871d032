/** Messages that come in parts, and what reads them. */

import type { MessageReader } from "../../src/index.js";
import { type Wired, wired } from "../../src/testing/index.js";
import { joined, KEY, peerFrame } from "../engine/peer-frames.js";

export const STREAMING = { streaming: true } as const;

export const part = (opcode: number, payload: string | Uint8Array, fin = true): Uint8Array =>
  peerFrame({ opcode, payload, fin, key: KEY });

/** A connection to which a message in three parts has begun to come. */
export function begun(options: Parameters<typeof wired>[0] = {}): Wired & { rest: () => void } {
  const scene = wired({ ...options, connection: { ...STREAMING, ...options.connection } });
  scene.wire.write(part(1, "one ", false));
  return { ...scene, rest: () => scene.wire.write(joined(part(0, "two ", false), part(0, "three"))) };
}

export const textOf = async (reader: MessageReader): Promise<string> => {
  const pieces: Uint8Array[] = [];
  for await (const piece of reader) pieces.push(piece);
  return Buffer.concat(pieces).toString();
};
