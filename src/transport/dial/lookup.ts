/** Finds the addresses of a name: with the network's resolver, or with the function of the option `lookup`. */

import { isIP } from "node:net";
import { isError, isObject } from "../../base/forms.ts";
import type { Network } from "../network.ts";
import type { LookupAddress, LookupFunction } from "../node-types.ts";

/** How addresses are found and connected to. */
export interface DialRoute {
  /** In place of the network's resolver. */
  readonly lookup: LookupFunction | undefined;
  /** The only family of addresses to use; 0 for both. */
  readonly family: 0 | 4 | 6;
  /** The address of this side. */
  readonly localAddress: string | undefined;
}

/** Calls `done` once, with addresses of the wanted family, or with an error if there is none. */
export function lookupAddresses(
  network: Network,
  { lookup, family }: DialRoute,
  host: string,
  done: (error: Error | null, addresses: readonly LookupAddress[]) => void,
): void {
  let called = false;
  const answer = (error: Error | null, addresses: readonly LookupAddress[]): void => {
    if (called) return;
    called = true;
    // With an error, Node passes no addresses.
    if (error !== null) {
      done(error, []);
      return;
    }
    const wanted = addresses.filter((address) => family === 0 || address.family === family);
    if (wanted.length > 0) done(null, wanted);
    else done(notFound(family === 0 ? `${host} has no address` : `${host} has no IPv${family} address`), []);
  };
  if (lookup === undefined) {
    network.lookup(host, answer);
    return;
  }
  try {
    lookup(host, { all: true, family }, (error, found) => {
      try {
        if (error) answer(isError(error) ? error : new Error(String(error)), []);
        else answer(null, [found].flat().map(checkedAddress));
      } catch (wrong) {
        answer(wrong as Error, []);
      }
    });
  } catch (error) {
    answer(isError(error) ? error : new Error(String(error)), []);
  }
}

/**
 * Throws TypeError if `found` is not an IP address: Node would resolve it once more, with the system's resolver, which would
 * undo the choice of a `lookup` that permits only certain addresses.
 */
function checkedAddress(found: unknown): LookupAddress {
  const address = isObject(found) ? found["address"] : found;
  const family = typeof address === "string" ? isIP(address) : 0;
  if (family !== 0) return { address: address as string, family };
  throw new TypeError(`Cannot use the result of lookup: expected IP addresses, got ${JSON.stringify(address)}`);
}

function notFound(message: string): Error {
  return Object.assign(new Error(message), { code: "ENOTFOUND" });
}
