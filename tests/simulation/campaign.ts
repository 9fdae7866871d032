/**
 * A campaign: many seeds in a row, of whole systems or of topics. A program of its own, which `npm run simulate` starts for each
 * worker. Prints one JSON object per line: progress, then the counters.
 */

import { Reach } from "./reach.ts";
import { shrink } from "./shrink.ts";
import { simulate } from "./simulate.ts";
import { simulateTopics } from "./topics/simulate.ts";
import { timeline, timelinePage } from "./trace.ts";

const [from = 0, count = 1, every = 500] = process.argv.slice(2).map(Number);
const play = process.argv[5] === "topics" ? simulateTopics : simulate;
const reach = new Reach();
/** Resolves when the line is written: a pipe takes 64 KiB at once, and `process.exit` does not wait for the rest. */
const say = (what: object): Promise<void> =>
  new Promise((resolve) => process.stdout.write(`${JSON.stringify(what)}\n`, () => resolve()));

for (let seed = from; seed < from + count; seed += 1) {
  const failing = await play(seed, { reach });
  if (failing.violations.length > 0) {
    const list = process.env["HOLDFAST_SHRINK"] === "0" ? failing.choices : await shrink(failing, {}, play);
    const { events = [] } = await play(list, { kept: true });
    const title = `seed ${seed}: ${failing.violations[0]?.rule}`;
    await say({
      seed,
      violations: failing.violations,
      list,
      text: timeline(events),
      page: timelinePage(title, events),
    });
    if (process.env["HOLDFAST_FIRST"] === "1") break;
  }
  if ((seed - from + 1) % every === 0) await say({ done: every });
}
await say({ done: count % every, reach: Object.fromEntries(reach.counts) });
// Servers of node:http without a listening socket are no reason to wait.
process.exit();
