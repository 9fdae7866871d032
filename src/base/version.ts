/** The version of this package, for what leaves the process. `tests/exports.test.ts` compares it with package.json. */

export const VERSION = "0.1.0";
