/** Tests of your own program on a network in memory: a lost server, a drain and a cut cable, in milliseconds. */

import { connect, Group, listen, ReconnectingConnection, type Server } from "holdfast";
import { network } from "holdfast/testing";

const net = network({ latency: 20 });
const { clock } = net;

// The program under test: a chat server. Its only argument for tests is the network.
async function start(): Promise<{ readonly server: Server; readonly group: Group }> {
  const group = new Group();
  const server = await listen("ws://chat:80", { network: net.host("chat") }, async (connection) => {
    group.join(connection);
    for await (const message of connection) group.send(message);
  });
  return { server, group };
}

await start();
const ann = new ReconnectingConnection("ws://chat:80", { network: net.host("ann"), onError: () => undefined });
const opening = connect("ws://chat:80", { network: net.host("ben") });
await clock.advance(200);
const ben = await opening;

// A message to the group.
await ben.send("hello, all");
await clock.advance(100);
console.log("ann reads:", await ann.receive());

// The server is killed. Ann's client comes back to the next process.
net.host("chat").kill();
await clock.advance(5_000);
console.log("ben was closed with", (await ben.closed).code);
const { server, group } = await start();
await clock.advance(20_000);
console.log("ann is", ann.state.name, "and the group has", group.size, "member");

// The cable is cut, without a FIN or a reset. Both sides notice it by their heartbeats.
net.partition(["ann"], ["chat"]);
await clock.advance(60_000);
console.log("the group has", group.size, "members");
net.heal();
await clock.advance(40_000);
console.log("ann is", ann.state.name, "again");

// A drain.
const closing = server.close();
await clock.advance(1_000);
const { clean, cut } = await closing;
console.log(`the drain: ${clean} clean, ${cut} cut`);
await ann.close();
