/** Tests against Autobahn|Python, as a client of ours and as a server to ours. */

import { compressed } from "./compressed.js";
import { exchanges } from "./exchanges.js";
import { AUTOBAHN_PYTHON } from "./peers.js";

for (const role of ["client", "server"] as const) {
  exchanges(AUTOBAHN_PYTHON, role);
  compressed(AUTOBAHN_PYTHON, role);
}
