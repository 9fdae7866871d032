/** A program that connects to the given address, answers messages, and reports when it is ready. */

import { connect } from "../../src/index.ts";

const [address = ""] = process.argv.slice(2);
const tcp = address.startsWith("tcp:");
const connection = await connect(address, {
  heartbeat: { interval: Infinity },
  idleTimeout: Infinity,
  ...(tcp && { framing: "lines" }),
});
process.send?.("ready");
for await (const _question of connection) await connection.send("yes");
