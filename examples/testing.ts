/** A test of your own program: a peer that stays silent for forty seconds, in no time at all. */

import { pair } from "holdfast/testing";

const { client, clock, link } = pair({ client: { heartbeat: { interval: 25_000, timeout: 10_000 } } });

// Everything is lost from now on, without a FIN or a reset: a pulled cable.
link.cut();
await clock.advance(40_000);

const { code, cause } = await client.closed;
console.log(code, String(cause));
