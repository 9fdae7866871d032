/** A process of its own: listens where it is told to, notes each message before it answers, and can be killed at any time. */

import { openSync, writeSync } from "node:fs";
import { listen } from "../../src/index.js";

const [address = "", log = ""] = process.argv.slice(2);
// What was written to a file outlives its writer, up to a page's end: the last line may be torn.
const file = openSync(log, "a");
const server = await listen(address, {
  message: (connection, data) => {
    writeSync(file, `${new URL(connection.url).pathname.slice(1)} ${data}\n`);
    connection.trySend(`heard ${data}`);
  },
});
process.send?.(server.url);
