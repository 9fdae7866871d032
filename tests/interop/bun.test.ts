/** Tests against Bun, as a client of ours and as a server to ours. */

import { exchanges } from "./exchanges.js";
import { BUN_CLIENT, BUN_SERVER } from "./peers.js";

exchanges(BUN_CLIENT, "client");
exchanges(BUN_SERVER, "server");
