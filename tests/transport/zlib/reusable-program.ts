/** A program that breaks a requirement of the reused zlib stream, as its argument says, and prints the resulting messages. */

import { createDeflateRaw } from "node:zlib";
import { reusableZlib } from "../../../src/transport/zlib/reusable.ts";
import { deflateNow, inflateNow } from "../../../src/transport/zlib/zlib.ts";

/** What a program prints. */
export interface Keeping {
  readonly kept: boolean;
  readonly message: string;
  readonly invalid: string;
  readonly warnings: readonly { readonly name: string; readonly message: string }[];
}

type Call = (...given: unknown[]) => unknown;
type Prototype = Record<string, Call | undefined>;

/** Changes that a future Node could make without harm to its own calls. */
const BROKEN: Record<string, (handle: Prototype, stream: Prototype) => void> = {
  nothing: () => undefined,
  "a handle is not begun anew": (handle) => {
    handle["reset"] = () => undefined;
  },
  "a handle reports another handle's errors": (handle) => {
    const first = new WeakMap<object, unknown>();
    Object.defineProperty(handle, "onerror", {
      get() {
        return first.get(this);
      },
      set(told) {
        if (!first.has(this)) first.set(this, told);
      },
    });
  },
  "a stream is used by another name": (_, stream) => {
    delete stream["_processChunk"];
  },
  "a handle has one more argument": (handle, stream) => {
    const { writeSync } = handle;
    handle["writeSync"] = function (...given) {
      return Reflect.apply(writeSync as Call, this, given.slice(0, 7));
    };
    const { _processChunk: processChunk } = stream;
    stream["_processChunk"] = function (this: { _handle: Prototype }, ...given: unknown[]) {
      const { _handle: own } = this;
      const { writeSync: write } = own;
      own["writeSync"] = (...call) => (write as Call).apply(own, [...call, 0]);
      return Reflect.apply(processChunk as Call, this, given);
    } as Call;
  },
};

const warnings: { name: string; message: string }[] = [];
process.on("warning", ({ name, message }) => warnings.push({ name, message }));

const [what = "nothing"] = process.argv.slice(2);
const { _handle: handle } = createDeflateRaw() as unknown as { _handle: object };
const base = Object.getPrototypeOf(Object.getPrototypeOf(Object.getPrototypeOf(createDeflateRaw())));
BROKEN[what]?.(Object.getPrototypeOf(handle), base);

const how = { level: 1, windowBits: 15, dictionary: undefined };
let message = "";
for (const text of ["hello", " ", "again"]) {
  const { bytes } = inflateNow(deflateNow(text, how, true), undefined, 100);
  message += Buffer.from(bytes ?? []).toString();
}
const wrong = inflateNow(Uint8Array.of(7), undefined, 100);
const invalid = "problem" in wrong ? wrong.problem : "";
const kept = reusableZlib() !== undefined;
// Node gives its warnings in a later turn.
setImmediate(() => console.log(JSON.stringify({ kept, message, invalid, warnings } satisfies Keeping)));
