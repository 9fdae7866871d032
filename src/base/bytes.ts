/** Bytes: the few operations that the standard library leaves out. */

/** The chunks in one array of their own. */
export function concat(chunks: readonly Uint8Array[], size: number = sizeOf(chunks)): Uint8Array {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

function sizeOf(chunks: readonly Uint8Array[]): number {
  let size = 0;
  for (const chunk of chunks) size += chunk.length;
  return size;
}

/** The same bytes, whatever view the caller had of them. Anything but a string, a buffer or a view is a TypeError. */
export function asData(given: unknown): string | Uint8Array {
  if (typeof given === "string" || given instanceof Uint8Array) return given;
  if (ArrayBuffer.isView(given)) return new Uint8Array(given.buffer, given.byteOffset, given.byteLength);
  if (given instanceof ArrayBuffer) return new Uint8Array(given);
  throw new TypeError(
    `Cannot send ${given === null ? "null" : typeof given}: expected a string, a Uint8Array, another view or an ArrayBuffer`,
  );
}

const trueLength = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), "length")?.get as (
  this: Uint8Array,
) => number;

/** How long `bytes` is, which a property of the same name can hide, in a class of the caller's own. */
export function lengthOf(bytes: Uint8Array): number {
  return trueLength.call(bytes);
}

/** How many bytes `text` takes in UTF-8. A lone surrogate counts as the U+FFFD that is sent in its place. */
export function utf8Length(text: string): number {
  let size = text.length;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) continue;
    size += unit < 0x800 ? 1 : 2;
    // The two units of a pair are four bytes together.
    if (isHigh(unit) && isLow(text.charCodeAt(index + 1))) index += 1;
  }
  return size;
}

const isHigh = (unit: number): boolean => (unit & 0xfc00) === 0xd800;
const isLow = (unit: number): boolean => (unit & 0xfc00) === 0xdc00;
