/** Keeps the process alive where no handle does: for open connections that are not reading, a closing server, a pause, workers. */

import { clearInterval, setInterval } from "./timers.ts";

// The longest interval that setInterval accepts, in milliseconds.
const MAX_INTERVAL = 2 ** 31 - 1;

let holds = 0;
let timer: NodeJS.Timeout | undefined;

/** Adds one reason to keep the process alive. Each call must be matched by one call of `letProcessGo`. */
export function holdProcess(): void {
  holds += 1;
  timer ??= setInterval(() => undefined, MAX_INTERVAL);
}

/** Removes one reason to keep the process alive. */
export function letProcessGo(): void {
  holds -= 1;
  if (holds > 0) return;
  clearInterval(timer);
  timer = undefined;
}

/** Runs `work`, and keeps the process alive until it settles. The clock does not keep the process alive. */
export async function whileHoldingProcess<T>(work: () => Promise<T>): Promise<T> {
  holdProcess();
  try {
    return await work();
  } finally {
    letProcessGo();
  }
}
