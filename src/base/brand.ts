/** The marks by which a second copy of this library in the same process recognises values of this one. */

/** The property of a prepared message that is true. */
export const PREPARED: unique symbol = Symbol.for("holdfast.prepared");

/** The property of an object of `admit` that is true. */
export const ADMISSION: unique symbol = Symbol.for("holdfast.admission");

/** The property of the bytes of a text that is true. */
export const TEXT_BYTES: unique symbol = Symbol.for("holdfast.text");
