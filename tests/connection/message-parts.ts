/** Messages that arrive in fragments, and helpers to read them. */

import type { MessageReader } from "../../src/index.ts";
import { type Wired, wired } from "../../src/testing/index.ts";
import { joined, KEY, peerFrame } from "../kit/frames.ts";

export const STREAMING = { streaming: true } as const;

export const part = (opcode: number, payload: string | Uint8Array, fin = true): Uint8Array =>
  peerFrame({ opcode, payload, fin, key: KEY });

/** A connection that has received the first of three fragments of a message. */
export function begun(options: Parameters<typeof wired>[0] = {}): Wired & { rest: () => void } {
  const scene = wired({ ...options, connection: { ...STREAMING, ...options.connection } });
  scene.peer.write(part(1, "one ", false));
  return { ...scene, rest: () => scene.peer.write(joined(part(0, "two ", false), part(0, "three"))) };
}

export const textOf = async (reader: MessageReader): Promise<string> => {
  const pieces: Uint8Array[] = [];
  for await (const piece of reader) pieces.push(piece);
  return Buffer.concat(pieces).toString();
};
