/** Operations on bytes that the standard library does not have. */

/**
 * The bytes of a received message, in memory that no other thread shares. From TypeScript 5.7 on this is `Uint8Array<ArrayBuffer>`,
 * which `Blob` and `crypto.subtle` take. Earlier versions have no type parameter: there it is `Uint8Array`.
 */
export type MessageBytes = ReturnType<Uint8ArrayConstructor["of"]>;

/** No bytes. Do not pass it to the application, which may transfer the memory of an array. */
export const NO_BYTES: MessageBytes = new Uint8Array();

/** True if this machine stores the lowest byte of a number first. */
export const LITTLE_ENDIAN: boolean = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** Copies all chunks into one new array. `size` is the sum of their lengths in bytes, if the caller knows it. */
export function concat(chunks: readonly Uint8Array[], size: number = totalLength(chunks)): MessageBytes {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

function totalLength(chunks: readonly Uint8Array[]): number {
  let size = 0;
  for (const chunk of chunks) size += chunk.length;
  return size;
}

/**
 * The getter `name` of `prototype`. It reads an internal slot: a subclass, an own property or a Proxy cannot change its result.
 */
function getter<This, T>(prototype: object, name: string | symbol): (this: This) => T {
  return Object.getOwnPropertyDescriptor(prototype, name)?.get as (this: This) => T;
}

const TYPED_ARRAY = Object.getPrototypeOf(Uint8Array.prototype) as object;
const typedArrayName = getter<unknown, string | undefined>(TYPED_ARRAY, Symbol.toStringTag);
const typedLength = getter<Uint8Array, number>(TYPED_ARRAY, "length");
const typedBuffer = getter<ArrayBufferView, ArrayBuffer>(TYPED_ARRAY, "buffer");
const typedOffset = getter<ArrayBufferView, number>(TYPED_ARRAY, "byteOffset");
const typedSize = getter<ArrayBufferView, number>(TYPED_ARRAY, "byteLength");
const typedArrayAt = Uint8Array.prototype.at;
const typedArraySet = Uint8Array.prototype.set;
const dataBuffer = getter<ArrayBufferView, ArrayBuffer>(DataView.prototype, "buffer");
const dataOffset = getter<ArrayBufferView, number>(DataView.prototype, "byteOffset");
const dataSize = getter<ArrayBufferView, number>(DataView.prototype, "byteLength");
const bufferSize = getter<unknown, number>(ArrayBuffer.prototype, "byteLength");

/**
 * Returns `given` as a string or as a `Uint8Array` over the same memory. Throws TypeError if `given` is not a string, a view or
 * an ArrayBuffer, or if it is a view whose buffer is detached or has become too short for the view. Reads no property of `given`,
 * because a subclass or an own property can hide the true value. For the same reason, use `lengthOf` and `copyTo` on the result.
 */
export function asData(given: unknown): string | Uint8Array {
  if (typeof given === "string") return given;
  if (ArrayBuffer.isView(given)) {
    const kind = typedArrayName.call(given);
    const view = given as ArrayBufferView;
    // The getters of a DataView throw TypeError if its buffer is detached or too short.
    if (kind === undefined) return new Uint8Array(dataBuffer.call(view), dataOffset.call(view), dataSize.call(view));
    // A typed array has the length 0 if its buffer is detached or too short. Then each of its methods throws TypeError.
    if (typedLength.call(given as Uint8Array) === 0) typedArrayAt.call(given as Uint8Array, 0);
    if (kind === "Uint8Array") return given as Uint8Array;
    return new Uint8Array(typedBuffer.call(view), typedOffset.call(view), typedSize.call(view));
  }
  if (isArrayBuffer(given)) return new Uint8Array(given);
  throw new TypeError(
    `Cannot send ${given === null ? "null" : typeof given}: expected a string, a Uint8Array, another view or an ArrayBuffer`,
  );
}

/** True for a Uint8Array of any realm. */
export function isBytes(given: unknown): given is Uint8Array {
  return ArrayBuffer.isView(given) && typedArrayName.call(given) === "Uint8Array";
}

function isArrayBuffer(given: unknown): given is ArrayBuffer {
  if (typeof given !== "object" || given === null) return false;
  try {
    // Throws for anything but an ArrayBuffer, of whichever realm.
    bufferSize.call(given);
    return true;
  } catch {
    return false;
  }
}

/** The true length of `bytes`: a subclass or an own property `length` cannot hide it. Throws TypeError for a Proxy. */
export function lengthOf(bytes: Uint8Array): number {
  return typedLength.call(bytes);
}

/** Copies `bytes` into `target`, beginning at index `at` of `target`. Reads no property of `bytes`. */
export function copyTo(target: Uint8Array, bytes: Uint8Array, at: number = 0): void {
  typedArraySet.call(target, bytes, at);
}

/** Returns a string unchanged, and bytes as a copy. The caller may then change its own bytes. */
export function ownData(data: string | Uint8Array): string | MessageBytes {
  if (typeof data === "string") return data;
  const own = new Uint8Array(lengthOf(data));
  copyTo(own, data);
  return own;
}

/** The length of `text` in UTF-8, in bytes. A lone surrogate counts 3 bytes, because U+FFFD is sent in its place. */
export function utf8Length(text: string): number {
  let size = text.length;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) continue;
    size += unit < 0x800 ? 1 : 2;
    // A surrogate pair is two UTF-16 units and takes four bytes in UTF-8.
    if (isHigh(unit) && isLow(text.charCodeAt(index + 1))) index += 1;
  }
  return size;
}

const isHigh = (unit: number): boolean => (unit & 0xfc00) === 0xd800;
const isLow = (unit: number): boolean => (unit & 0xfc00) === 0xdc00;
