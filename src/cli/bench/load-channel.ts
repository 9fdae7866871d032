/** The channel between the bench and a process of its load. */

import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Notice, Order } from "./plan.ts";

export interface LoadChannel {
  /** Sends an order. Ignored if the process has ended, which `failed` has reported. */
  send(order: Order): void;
  /** Ends the process. */
  close(): void;
}

/** Starts a process. `notice` gets what it reports, and `failed` its end. */
export type StartLoad = (notice: (notice: Notice) => void, failed: (error: Error) => void) => LoadChannel;

// Compiled, it lies beside this file.
const PROGRAM = fileURLToPath(new URL("./load-process.js", import.meta.url));

/**
 * The size of the young generation of a load process, in MiB. V8 begins with 1 MiB. Each turn of the event loop allocates, and a load has
 * several 100,000 turns in a second. With 1 MiB a loop of such turns has 150 collections in a second, whose pauses raise the measured p99;
 * with this size it has 3.
 */
const YOUNG_GENERATION = 64;

export const forkLoad: StartLoad = (notice, failed) => {
  // "advanced", because JSON has no undefined.
  const child = fork(PROGRAM, [], {
    serialization: "advanced",
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    execArgv: [...process.execArgv, ...["min", "max"].map((end) => `--${end}-semi-space-size=${YOUNG_GENERATION}`)],
  });
  child.on("message", notice);
  child.on("error", failed);
  child.on("exit", (status, signal) => {
    failed(new Error(`a process of the bench has ended with ${signal ?? `status ${status}`}`));
  });
  return {
    send(order) {
      if (child.connected) child.send(order, () => undefined);
    },
    close() {
      if (child.connected) child.disconnect();
    },
  };
};
