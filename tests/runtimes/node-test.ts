/** Stands in for `node:test` on Deno, which cannot leave out single tests: skips those whose name begins with an entry of HOLDFAST_LEFT_OUT. */

import * as real from "node:test";

type Body = (t: real.TestContext) => void | Promise<void>;
type Define = typeof real.it;

const leftOut: readonly string[] = JSON.parse(process.env["HOLDFAST_LEFT_OUT"] ?? "[]");

/** On Deno, `it` is a plain function with `skip`, `todo` and `only`. */
function filtered(define: Define): Define {
  const choose = (name: string, options?: real.TestOptions | Body, body?: Body): Promise<void> => {
    const chosen = leftOut.some((one) => name.startsWith(one)) ? define.skip : define;
    return typeof options === "object" ? chosen(name, options, body) : chosen(name, options);
  };
  return Object.assign(choose, { skip: define.skip, todo: define.todo, only: define.only }) as Define;
}

export const after: typeof real.after = real.after;
export const before: typeof real.before = real.before;
export const it: Define = filtered(real.it);
export const describe: Define = filtered(real.describe as Define);
