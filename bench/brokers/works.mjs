/** What is measured with a server between the nodes, against whom, and what is to be reached. */

import { killedSubscriptions } from "./killed.mjs";
import { publishLatency } from "./publish.mjs";
import { returning } from "./returning.mjs";
import { withRoom } from "./room.mjs";

const MEMBERS = 200;
/** Messages per second, from the least to the most that is tried. */
const RATES = [
  ...[100, 200, 300, 400, 600, 800, 1_000, 1_200, 1_400, 1_600, 1_800, 2_000, 2_300, 2_600, 3_000],
  ...[3_500, 4_000, 4_500, 5_000, 5_500, 6_000, 7_000, 8_000, 9_000, 10_000],
];
/** A rate is carried if this share of its deliveries arrives while it is published. */
const CARRIED = 0.95;

/** The processor time of a delivery at a rate that every system carries. */
const deliver =
  (history) =>
  async (name, { seconds }) =>
    await withRoom(name, { members: MEMBERS, history }, async (room) => {
      await room.run(300, 1);
      return valid(await room.run(300, seconds));
    });

/** The highest rate that is carried. The rates rise until two in a row are not carried. */
const capacity =
  (history) =>
  async (name, { seconds }) =>
    await withRoom(name, { members: MEMBERS, history }, async (room) => {
      let best;
      let failed = 0;
      for (const rate of RATES) {
        const run = await room.run(rate, seconds / 2, { grace: 1_000 });
        if (run.carried >= CARRIED && run.lost + run.doubled + run.disordered + run.ended === 0)
          [best, failed] = [run, 0];
        else failed += 1;
        if (failed === 2 || run.ended > 0) break;
        await room.quiet();
      }
      if (best === undefined) throw new Error(`does not carry ${RATES[0]} messages per second`);
      return best;
    });

function valid(run) {
  const { carried, lost, doubled, disordered, ended } = run;
  if (carried < CARRIED || lost + doubled + disordered + ended > 0)
    throw new Error(`is not valid: ${JSON.stringify(run)}`);
  return run;
}

const cpu = { title: "CPU of a delivery, ours over theirs", ratio: (ours, theirs) => ours.cpu / theirs.cpu };
const rate = { title: "deliveries/s, ours over theirs", ratio: (ours, theirs) => ours.deliveries / theirs.deliveries };
const p99 = { title: "p99 of a publish, ours over theirs", ratio: (ours, theirs) => ours.p99 / theirs.p99 };

export const WORKS = {
  deliver: {
    title: "300 messages per second to 200 members, through Redis",
    run: deliver(false),
    peers: ["centrifugo", "socket.io", "socket.io-streams"],
    compared: cpu,
    goals: { centrifugo: { atMost: 0.65 }, "socket.io-streams": { atMost: 0.5 } },
    figures: ["cpu", "bytes", "p50", "p99", "share"],
  },
  "deliver-history": {
    title: "the same with a history of 1,000 messages",
    run: deliver(true),
    peers: ["centrifugo", "socket.io-streams"],
    compared: cpu,
    goals: { centrifugo: { atMost: 0.65 }, "socket.io-streams": { atMost: 0.5 } },
    figures: ["cpu", "bytes", "p50", "p99", "share"],
  },
  capacity: {
    title: "the highest rate that reaches 200 members, through Redis, one core for the members' node",
    run: capacity(false),
    peers: ["centrifugo", "socket.io", "socket.io-streams"],
    compared: rate,
    goals: { centrifugo: { atLeast: 1.5 }, "socket.io": { atLeast: 4 }, "socket.io-streams": { atLeast: 4 } },
    figures: ["deliveries", "cpu", "share", "driver", "publisher"],
  },
  "capacity-history": {
    title: "the same with a history of 1,000 messages",
    run: capacity(true),
    peers: ["centrifugo", "holdfast without history"],
    compared: rate,
    goals: { centrifugo: { atLeast: 1.5 }, "holdfast without history": { atLeast: 0.9 } },
    figures: ["deliveries", "cpu", "share", "driver", "publisher"],
    alias: { "holdfast without history": capacity(false) },
  },
  publish: {
    title: "from publish to its confirmation by Redis, 500 messages per second",
    run: publishLatency,
    peers: ["PUBLISH"],
    compared: p99,
    goals: { PUBLISH: { atMost: 1.3 } },
    figures: ["p50", "p99"],
  },
  killed: {
    title: "CLIENT KILL TYPE pubsub every 500 ms, 1,000 messages per second",
    run: killedSubscriptions,
    peers: [],
    figures: ["sent", "lost", "doubled", "disordered", "missing", "kills", "holes", "healedHoles", "healedEntries"],
  },
  returning: {
    title: "10,000 members whose node was killed with SIGKILL come back to another node",
    run: returning,
    peers: [],
    figures: ["members", "seconds", "reads", "lost", "doubled", "gaps", "largestBucket"],
  },
};
