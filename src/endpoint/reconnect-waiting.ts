/** Waits of a process that has no connection: on the clock, with a signal, and without falling asleep for good. */

import { after, type Clock } from "../index.js";

// The longest that setInterval takes.
const FOR_LONG = 2 ** 31 - 1;

/** What `work` comes to, unless `signal` aborts first: then its reason. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  let cancel!: () => void;
  const aborted = new Promise<never>((_, reject) => {
    cancel = () => reject(signal.reason);
  });
  signal.addEventListener("abort", cancel, { once: true });
  if (signal.aborted) cancel();
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

/** Resolves when `length` milliseconds have passed; `cancel` takes the alarm back, and then it never does. */
export function alarm(clock: Clock, length: number): { readonly rings: Promise<void>; readonly cancel: () => void } {
  let cancel!: () => void;
  const rings = new Promise<void>((resolve) => {
    const wakeup = clock.wakeAt(after(clock.now(), length), () => resolve());
    cancel = () => wakeup.cancel();
  });
  return { rings, cancel };
}

/** Runs `work` and keeps the process alive meanwhile: our clock does not, because as a rule the sockets do, and now there is none. */
export async function awake<T>(work: () => Promise<T>): Promise<T> {
  const vigil = setInterval(() => undefined, FOR_LONG);
  try {
    return await work();
  } finally {
    clearInterval(vigil);
  }
}
