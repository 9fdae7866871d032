/** A process that listens on the given address, writes each message to a file before it answers, and can be killed at any time. */

import { openSync, writeSync } from "node:fs";
import { listen } from "../../src/index.ts";

const [address = "", log = ""] = process.argv.slice(2);
// The content of a file outlives its writer up to the end of a page: the last line may be incomplete.
const file = openSync(log, "a");
const server = await listen(address, {
  message: (connection, data) => {
    writeSync(file, `${new URL(connection.url).pathname.slice(1)} ${data}\n`);
    connection.trySend(`heard ${data}`);
  },
});
process.send?.(server.url);
