/**
 * What every broker promises to the hub, as tests. A broker is excused only from what its own `honours` deny, and from faults that
 * its server cannot suffer. Each test has the number of its point.
 */

import { describe } from "node:test";
import { deliveryContract } from "./contract-delivery.ts";
import { faultContract } from "./contract-faults.ts";
import { hubContract } from "./contract-hubs.ts";
import { logContract } from "./contract-log.ts";
import { onceContract } from "./contract-once.ts";
import { type BrokerHarness, Contract } from "./harness.ts";

/** Defines the tests for one broker. */
export function brokerContract(harness: BrokerHarness): void {
  describe(`the contract of ${harness.name}`, () => {
    const contract = new Contract(harness);
    deliveryContract(contract);
    logContract(contract);
    onceContract(contract);
    faultContract(contract);
    hubContract(contract);
  });
}
