/** Tests against Bun, as a client of ours and as a server to ours. */

import { compressed, WAYS } from "./compressed.js";
import { exchanges } from "./exchanges.js";
import { BUN_CLIENT, BUN_SERVER } from "./peers.js";

exchanges(BUN_CLIENT, "client");
compressed(BUN_CLIENT, "client");
exchanges(BUN_SERVER, "server");
// Its server declines small windows where it keeps no contexts.
compressed(
  BUN_SERVER,
  "server",
  WAYS.filter(({ takeover, bits }) => takeover || bits === 15),
);
