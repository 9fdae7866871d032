/** Node's own WebSocket as a client. */

import { obeying, tell } from "./line.ts";
import { sockets } from "./socket.ts";

await obeying(process.versions["undici"] ?? process.version, sockets(tell));
