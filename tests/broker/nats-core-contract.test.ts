/** The contract of the NATS broker without a log, against a real server. */

import { natsContract } from "./nats-harness.ts";

natsContract("natsBroker without a log", { log: false }, 100_000);
