/** Node's own WebSocket as a client. */

import { obeying, tell } from "./line.js";
import { sockets } from "./socket.js";

await obeying(process.versions["undici"] ?? process.version, sockets(tell));
