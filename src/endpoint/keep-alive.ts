/** The keepalive of an endpoint's sockets: judged and completed once, at the door. */

import { count, length } from "../connection/options.js";
import { ENDPOINT_DEFAULTS, type KeepAliveOptions } from "./options.js";

// Linux takes no more; and of what the kernel refuses Node says nothing, so that two hours would stand there.
const LONGEST = 32_767_000;
const MOST = 127;

/** Complete and valid. A wrong value is a TypeError or RangeError that says what was expected. */
export function settleKeepAlive(given: KeepAliveOptions = {}): KeepAliveOptions & { readonly delay: number } {
  if (typeof given !== "object" || given === null) {
    throw new TypeError(`Cannot use keepAlive: expected an object, got ${given === null ? "null" : typeof given}`);
  }
  const { delay = ENDPOINT_DEFAULTS.keepAlive.delay, interval, count: probes, ...unknown } = given;
  for (const name of Object.keys(unknown)) {
    throw new TypeError(`Cannot use option keepAlive.${name}: there is no such option here`);
  }
  length("keepAlive.delay", delay);
  if (delay !== Infinity) atMost("keepAlive.delay", delay, LONGEST);
  if (interval !== undefined) {
    length("keepAlive.interval", interval);
    atMost("keepAlive.interval", interval, LONGEST);
  }
  if (probes !== undefined) {
    count("keepAlive.count", probes);
    atMost("keepAlive.count", probes, MOST);
  }
  return { delay, ...(interval !== undefined && { interval }), ...(probes !== undefined && { count: probes }) };
}

function atMost(name: string, value: number, maximum: number): void {
  if (value > maximum) throw new RangeError(`Cannot use ${name} ${value}: expected at most ${maximum}`);
}
