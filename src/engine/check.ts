/** The check of a message: a number that differs, nearly always, if the message differs. */

const OFFSET_BASIS = 0x811c9dc5;
const PRIME = 0x01000193;

/** FNV-1a of 32 bits, so that clients in any language can compute it in three lines. It does not protect against forgery. */
export function checkOf(bytes: Uint8Array): number {
  let hash = OFFSET_BASIS;
  for (let index = 0; index < bytes.length; index += 1) hash = Math.imul(hash ^ (bytes[index] as number), PRIME);
  return hash >>> 0;
}
