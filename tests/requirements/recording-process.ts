/** A process of its own: listens where it is told to, notes each message before it answers, and can be killed at any time. */

import { openSync, writeSync } from "node:fs";
import { listen } from "../../src/index.js";

const [address = "", log = "", life = ""] = process.argv.slice(2);
// What was written to a file outlives its writer.
const file = openSync(log, "a");
const server = await listen(address, {
  message: (connection, data) => {
    writeSync(file, `${life} ${new URL(connection.url).pathname.slice(1)} ${data}\n`);
    connection.trySend(`heard ${data}`);
  },
});
process.send?.(server.url);
