/** Deno as a client of this library, and as a server for it. */

import { exchanges } from "./exchanges.ts";
import { DENO_PEER } from "./peers.ts";

for (const role of ["client", "server"] as const) exchanges(DENO_PEER, role);
