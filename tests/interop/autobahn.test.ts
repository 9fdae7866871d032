/** Autobahn|Python as a client of this library, and as a server for it. */

import { compressed } from "./compressed.ts";
import { exchanges } from "./exchanges.ts";
import { AUTOBAHN_PYTHON } from "./peers.ts";

for (const role of ["client", "server"] as const) {
  exchanges(AUTOBAHN_PYTHON, role);
  compressed(AUTOBAHN_PYTHON, role);
}
