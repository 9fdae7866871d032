/** The check of a message: a number that differs, nearly always, if the message differs. */

const OFFSET_BASIS = 0x811c9dc5;
const PRIME = 0x01000193;

/** FNV-1a of 32 bits, so that clients in any language can compute it in three lines. It does not protect against forgery. */
export function checkOf(bytes: Uint8Array): number {
  let hash = OFFSET_BASIS;
  for (let index = 0; index < bytes.length; index += 1) hash = with8(hash, bytes[index] as number);
  return hash >>> 0;
}

/** The check of the bytes of a text in UTF-8. As there, half of a surrogate pair counts as U+FFFD. */
export function checkOfText(text: string): number {
  let hash = OFFSET_BASIS;
  for (const character of text) {
    const given = character.codePointAt(0) as number;
    const point = given >= 0xd800 && given < 0xe000 ? 0xfffd : given;
    if (point < 0x80) hash = with8(hash, point);
    else if (point < 0x800) hash = withTail(with8(hash, 0xc0 | (point >> 6)), point, 1);
    else if (point < 0x10000) hash = withTail(with8(hash, 0xe0 | (point >> 12)), point, 2);
    else hash = withTail(with8(hash, 0xf0 | (point >> 18)), point, 3);
  }
  return hash >>> 0;
}

function with8(hash: number, byte: number): number {
  return Math.imul(hash ^ byte, PRIME);
}

/** The last `count` bytes of a character, of six bits each. */
function withTail(hash: number, point: number, count: number): number {
  let result = hash;
  for (let left = count - 1; left >= 0; left -= 1) result = with8(result, 0x80 | ((point >> (6 * left)) & 0x3f));
  return result;
}
