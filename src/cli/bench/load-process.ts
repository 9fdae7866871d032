/** The program of a process that `holdfast bench` starts: it obeys the orders of the channel, and ends with it. */

import { loadOf } from "./load.ts";

process.on(
  "message",
  loadOf((notice) => {
    // The channel may be closed already: then the bench has ended, and so does this process.
    if (process.connected) process.send?.(notice);
  }),
);
process.on("disconnect", () => process.exit());
// Ctrl+C reaches all processes of a terminal. The bench stops the measurement then, and still needs the results of this process.
process.on("SIGINT", () => undefined);
