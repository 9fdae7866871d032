/** Recognises values by their form. `instanceof` fails for values of another realm (`node:vm`, jest), a polyfill or a second copy. */

const timeOf = Date.prototype.getTime;
const tagOf = Object.prototype.toString;

/** The name of a value's kind, for messages: `typeof`, but `null`, `array` and the class of an object by their names. */
export function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value !== "object") return typeof value;
  const { constructor: made } = value;
  const name = typeof made === "function" ? made.name : "";
  return name === "" || name === "Object" ? "an object" : `an object of class ${name}`;
}

export function isObject(value: unknown): value is Readonly<Record<PropertyKey, unknown>> {
  return typeof value === "object" && value !== null;
}

/** True for a Date of any realm. Reads the internal slot, so that an object that only inherits from Date is none. */
export function isDate(value: unknown): value is Date {
  try {
    timeOf.call(value as Date);
    return true;
  } catch {
    return false;
  }
}

/** True for an Error of any realm. */
export function isError(value: unknown): value is Error {
  return value instanceof Error || (isObject(value) && tagOf.call(value) === "[object Error]");
}

/** True for an AbortSignal of any realm, and for those of polyfills. */
export function isAbortSignal(value: unknown): value is AbortSignal {
  return (
    isObject(value) &&
    typeof value["aborted"] === "boolean" &&
    typeof value["addEventListener"] === "function" &&
    typeof value["removeEventListener"] === "function"
  );
}

/** The reason of a signal that has aborted. Old polyfills have none. */
export function reasonOf({ reason }: AbortSignal): unknown {
  return reason === undefined ? new DOMException("This operation was aborted", "AbortError") : reason;
}

/** Throws the signal's reason if it has aborted. Old polyfills have no `throwIfAborted`. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw reasonOf(signal);
}

/** True for a URL of any realm. */
export function isUrl(value: unknown): value is URL {
  return isObject(value) && typeof value["href"] === "string" && typeof value["protocol"] === "string";
}

/** A type with its optional properties set, as after `{ ...DEFAULTS, ...present(given) }`. */
export type Complete<T> = { readonly [K in keyof T]-?: Exclude<T[K], undefined> };

/** A copy without the properties that are undefined: in options they are absent ones. */
export function present<T extends object>(given: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as never;
}
