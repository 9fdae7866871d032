/** A process of its own, with nothing to do but to come back: says how it went. */

import { isConnectionError, reconnect } from "../../src/index.js";

const [url = ""] = process.argv.slice(2);
try {
  await reconnect(url, () => undefined, { initialPause: 20, maxAttempts: 4 });
} catch (error) {
  console.log(isConnectionError(error) ? error.code : error);
}
