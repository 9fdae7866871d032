/** Node's own WebSocket client, in another process. */

import { compressed } from "./compressed.ts";
import { exchanges } from "./exchanges.ts";
import { NODE } from "./peers.ts";

exchanges(NODE, "client");
compressed(NODE, "client");
