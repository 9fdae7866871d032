/** Tests against Deno, as a client of ours and as a server to ours. */

import { exchanges } from "./exchanges.js";
import { DENO_PEER } from "./peers.js";

for (const role of ["client", "server"] as const) exchanges(DENO_PEER, role);
