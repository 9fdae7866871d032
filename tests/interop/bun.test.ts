/** Bun as a client of this library, and as a server for it. */

import { compressed, WAYS } from "./compressed.ts";
import { exchanges } from "./exchanges.ts";
import { BUN_CLIENT, BUN_SERVER } from "./peers.ts";

exchanges(BUN_CLIENT, "client");
compressed(BUN_CLIENT, "client");
exchanges(BUN_SERVER, "server");
// Without context takeover its server declines small windows.
compressed(
  BUN_SERVER,
  "server",
  WAYS.filter(({ takeover, bits }) => takeover || bits === 15),
);
