/** A TCP server whose connections stay open, for a table of them. */

import { listen, type Server } from "../../../src/index.ts";

/** Listens on a free port. */
export function silentServer(): Promise<Server & AsyncDisposable> {
  return listen("tcp://127.0.0.1:0", { idleTimeout: Infinity }, async ({ closed }) => {
    await closed;
  });
}
