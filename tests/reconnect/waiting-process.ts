/** A program that only waits to reconnect, and reports the result. */

import { isConnectionError, reconnect } from "../../src/index.ts";

const [url = ""] = process.argv.slice(2);
try {
  await reconnect(url, () => undefined, { initialPause: 20, maxAttempts: 4 });
} catch (error) {
  console.log(isConnectionError(error) ? error.code : error);
}
