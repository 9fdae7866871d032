/** The warning that a part of the library that needs Node's internals has failed its self-test and is not used. */

import { isError } from "../../base/forms.ts";

/** Emits the process warning. `part` names what is not used, `error` is what its self-test threw. */
export function warnOfFallback(code: "HOLDFAST_FAST_TRANSPORT" | "HOLDFAST_ZLIB", part: string, error: unknown): void {
  const reason = isError(error) ? error.message : String(error);
  process.emitWarning(`Holdfast's ${part} does not work on Node ${process.version}, and is not used: ${reason}`, {
    type: "HoldfastWarning",
    code,
  });
}
