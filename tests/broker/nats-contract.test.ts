/** The contract of the NATS broker with JetStream, against a real server. */

import { natsContract } from "./nats-harness.ts";

// The 100,000 topics are those of the broker without a log, whose subscriptions are the same.
natsContract("natsBroker with JetStream", { stream: { messages: 20_000 } }, 1_000);
