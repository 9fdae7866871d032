/** A node that subscribes to topics of Redis, in a process of its own. Prints what happens, a line for each event. */

import { redisBroker } from "../../src/broker/redis/index.ts";

const [url = "", count = "1"] = process.argv.slice(2);
const broker = redisBroker(url);
let interrupted = 0;
let restored = 0;

const said = (name: string, number: number): void => {
  if (number % Number(count) === 0) console.log(name);
};
const listener = {
  entry: () => console.log("entry"),
  interrupted: () => said("interrupted", ++interrupted),
  restored: () => said("restored", ++restored),
  invalid: () => undefined,
};
const subscriptions = Array.from({ length: Number(count) }, (_, index) => broker.subscribe(`topic ${index}`, listener));
await Promise.all(subscriptions.map(({ ready }) => ready));
console.log("ready");
process.on("SIGUSR2", async () => {
  for (const subscription of subscriptions) subscription.close();
  // A subscription that is ready shows that all commands before it were answered.
  await broker.subscribe("last", listener).ready;
  console.log("left");
  await broker.close();
});
