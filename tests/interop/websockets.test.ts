/** Tests against the package websockets of Python, as a client of ours and as a server to ours. */

import { compressed } from "./compressed.js";
import { exchanges } from "./exchanges.js";
import { PYTHON_WEBSOCKETS } from "./peers.js";

for (const role of ["client", "server"] as const) {
  exchanges(PYTHON_WEBSOCKETS, role);
  compressed(PYTHON_WEBSOCKETS, role);
}
