/** Tests against Node's own WebSocket client, in a process of its own. */

import { compressed } from "./compressed.js";
import { exchanges } from "./exchanges.js";
import { NODE } from "./peers.js";

exchanges(NODE, "client");
compressed(NODE, "client");
