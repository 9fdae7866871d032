/** The Python package websockets as a client of this library, and as a server for it. */

import { compressed } from "./compressed.ts";
import { exchanges } from "./exchanges.ts";
import { PYTHON_WEBSOCKETS } from "./peers.ts";

for (const role of ["client", "server"] as const) {
  exchanges(PYTHON_WEBSOCKETS, role);
  compressed(PYTHON_WEBSOCKETS, role);
}
