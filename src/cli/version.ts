/** The version of this package. */

import { createRequire } from "node:module";

/** The version in this package's package.json. */
export function packageVersion(): string {
  return (createRequire(import.meta.url)("holdfast/package.json") as { readonly version: string }).version;
}
