/** Redis kills all subscriptions twice a second, and nothing may be lost, doubled or out of order. */

import { createClient } from "redis";
import { withRoom } from "./room.mjs";

const EVERY = 500;
const RATE = 1_000;
const MEMBERS = 50;
/** The work is about a minute, whatever the length of other measurements. */
const SECONDS = 60;
/** Milliseconds for the last repair. */
const GRACE = 10_000;

export async function killedSubscriptions(name) {
  return await withRoom(name, { members: MEMBERS, history: true }, async (room) => {
    const client = await createClient({ url: room.redis.url }).connect();
    let kills = 0;
    const timer = setInterval(async () => {
      kills += await client.sendCommand(["CLIENT", "KILL", "TYPE", "pubsub"]);
    }, EVERY);
    setTimeout(() => clearInterval(timer), SECONDS * 1_000);
    const run = await room.run(RATE, SECONDS, { grace: GRACE });
    client.destroy();
    const { holes, healedHoles, healedEntries, gaps, inDoubt } = await room.delivering.process.ask("stats");
    const missing = room.clients.reduce((sum, { received }) => sum + run.sent - received, 0);
    const figures = { ...run, kills, holes, healedHoles, healedEntries, inDoubt, missing };
    if (
      missing + run.lost + run.doubled + run.disordered + run.ended > 0 ||
      holes !== healedHoles ||
      Object.values(gaps).some((count) => count > 0)
    )
      throw new Error(`is not whole: ${JSON.stringify({ ...figures, gaps })}`);
    return figures;
  });
}
