/** The steps of a run: what clients and servers do, and faults. Each takes three numbers, of which 0 is the plainest. */

import { drained, ping, send, trySend, write } from "./calls.ts";
import { Reconnecting } from "./clients.ts";
import type { End } from "./end.ts";
import { LATER_STEPS } from "./later-steps.ts";
import { freeze, kill, restartIfDead, thawAll } from "./processes.ts";
import { evilServer, rawClient } from "./raw.ts";
import { PATHS, serve } from "./server-roles.ts";
import type { Step } from "./step.ts";
import { expectInGroup, type World } from "./world.ts";

const SIZES = [20, 130, 700, 3_000, 9_000, 70_000];
const WAITS = [0, 1, 30, 150, 700, 2_500];

const sized = (b: number): number => SIZES[b % SIZES.length] as number;

function serverEnd(world: World, a: number): End | undefined {
  const open = world.oracle.ends.filter(
    ({ role, process, connection }) =>
      role === "server" && process.alive && !process.frozen && connection.state === "OPEN",
  );
  return open[a % Math.max(1, open.length)];
}

export const STEPS: readonly Step[] = [
  {
    name: "send",
    run: (world, _, client, a, b) => {
      const { end } = client;
      if (end !== undefined) for (let many = 0; many <= a % 12; many += 1) void send(world, end, world.text(sized(b)));
    },
  },
  {
    name: "open",
    run: (world, _, client, a, b) => {
      const url = b % 5 === 4 ? "ws://server2/" : b % 7 === 5 ? "ws://server:81/" : "ws://server/";
      const path = PATHS[a % PATHS.length];
      // A handler that takes nothing does not let Pings through when its inbox is full.
      world.oracle.faulty ||= path === "idle";
      for (let many = 0; many <= (b % 3 === 1 ? 1 : 0); many += 1) void client.open(`${url}${path}`);
      world.oracle.note(client.name, `opens ${PATHS[a % PATHS.length]}`);
    },
  },
  {
    name: "trySend",
    run: (world, _, client, a, b) => {
      const { end } = client;
      if (end !== undefined) for (let many = 0; many <= a % 12; many += 1) trySend(world, end, world.text(sized(b)));
    },
  },
  {
    name: "send with a limit",
    run: (world, _, client, a, b) => {
      // A limit that expires inside a message ends the connection.
      world.oracle.faulty = true;
      const { end } = client;
      const policies = ["wait", "reject", "drop-newest", "drop-oldest", "coalesce", "close"] as const;
      const overflow = policies[a % 6] as (typeof policies)[number];
      for (let many = 0; end !== undefined && many < 4; many += 1)
        void send(world, end, world.text(sized(b)), {
          timeout: 300 + a + 90 * many,
          overflow,
          ...(a % 3 === 0 && { key: "k" }),
        });
    },
  },
  {
    name: "close",
    run: (world, _, client, a) => {
      const { end } = client;
      if (end === undefined) return;
      end.closedHere = "close";
      world.oracle.note(client.name, "calls close");
      void end.connection.close(a % 2 === 0 ? 1000 : 4000, "enough");
    },
  },
  {
    name: "ping",
    run: (world, _, client, a) => {
      const { end } = client;
      if (end === undefined) return;
      void ping(world, end, 200 + 10 * a);
      void ping(world, end, 350 + 10 * a);
    },
  },
  {
    name: "pace",
    run: (world, _, client, a) => {
      client.pace = [0, 60, 400, Infinity][a % 4] as number;
      // An echo for a client that takes nothing ends by writeTimeout.
      world.oracle.faulty ||= client.pace > 0;
    },
  },
  {
    name: "parts",
    run: (world, _, client, a, b) => {
      const text = world.text(sized(b) + 9);
      const at = 3 + (a % 5);
      if (client.end !== undefined) void write(world, client.end, [text.slice(0, at), text.slice(at)], text);
    },
  },
  {
    name: "drain",
    run: (world, _, client, a) => {
      if (client.end !== undefined) void drained(world, client.end, 500 + a);
    },
  },
  {
    name: "server sends",
    run: (world, _, _client, a, b) => {
      const end = serverEnd(world, a);
      if (end !== undefined && !end.in.loose)
        for (let many = 0; many <= a % 12; many += 1) void send(world, end, world.text(sized(b)));
    },
  },
  {
    name: "group",
    run: (world, _, _client, a, b) => {
      const machine = world.machine("server");
      if (!machine.alive || machine.frozen) return;
      for (let many = 0; many <= a % 6; many += 1) {
        const text = world.text(sized(b));
        world.exchange.text = text;
        expectInGroup(world, machine, text);
        const { refused } = world.group.send(text, {
          overflow: (["close", "drop-oldest", "drop-newest", "reject"] as const)[a % 4],
        });
        if (refused > 0) world.oracle.reach.saw("group refused");
      }
    },
  },
  {
    name: "reconnecting",
    run: (world, _, client, a) => {
      if (!client.machine.alive || client.machine.frozen) return;
      if (client.reconnecting?.machine.alive !== true) client.reconnecting = new Reconnecting(world, client.machine);
      for (let many = 0; many <= a % 4; many += 1) client.reconnecting.send(world.text(30));
    },
  },
  { name: "raw client", run: (world, _, client, a) => rawClient(world, client.machine, a) },
  {
    name: "evil server",
    fault: true,
    run: (world, _, client, a) => {
      void evilServer(world, a).then((url) => client.open(url));
    },
  },
  { name: "lines", run: (_world, _, client) => void client.open("tcp://server:7") },
  {
    name: "server closes one",
    run: (world, _, _client, a) => {
      const end = serverEnd(world, a);
      if (end === undefined) return;
      end.closedHere = "close";
      end.note("server calls close");
      void end.connection.close(1000);
    },
  },
  {
    name: "cut up",
    fault: true,
    run: (world, _, { name }) => world.net.link(name, "server").cut(),
  },
  {
    name: "cut down",
    fault: true,
    run: (world, _, { name }) => world.net.link("server", name).cut(),
  },
  { name: "partition", fault: true, run: (world, _, { name }) => world.net.partition([name], ["server", "server2"]) },
  { name: "heal", fault: true, run: (world) => world.net.heal() },
  { name: "reset", fault: true, run: (world, _, { name }) => world.net.link(name, "server").reset() },
  { name: "freeze server", fault: true, run: (world) => freeze(world.machine("server")) },
  { name: "freeze client", fault: true, run: (_world, _, client) => freeze(client.machine) },
  { name: "thaw", fault: true, run: (world) => thawAll(world) },
  { name: "kill client", fault: true, run: (world, _, client) => kill(world, client.machine, "kill") },
  {
    name: "kill server",
    fault: true,
    run: (world, _, _client, a) => kill(world, world.machine("server"), a % 2 === 0 ? "kill" : "crash"),
  },
  {
    name: "restart",
    fault: true,
    run: (world) => {
      for (const machine of [...world.machines.values()]) restartIfDead(world, machine);
    },
  },
  {
    name: "terminate",
    fault: true,
    run: (_world, _, client) => {
      const { end } = client;
      if (end === undefined) return;
      end.closedHere = "terminate";
      end.connection.terminate();
    },
  },
  {
    name: "server terminates",
    fault: true,
    run: (world, _, _client, a) => {
      const end = serverEnd(world, a);
      if (end === undefined) return;
      end.closedHere = "terminate";
      end.connection.terminate(new Error("planned"));
    },
  },
  {
    name: "slow link",
    fault: true,
    run: (world, _, { name }, a) => {
      const link = world.net.link("server", name);
      link.rate = [1_000, 4_000, 100_000][a % 3] as number;
      link.latency = [5, 300, 900][a % 3] as number;
    },
  },
  {
    name: "server closes",
    run: (world, _, _client, a) => {
      const machine = world.machine("server");
      const { server } = world;
      if (server === undefined || world.draining || !machine.alive || machine.frozen) return;
      world.draining = true;
      world.faultyServes = false;
      // At the end of the drain connections are cut.
      world.oracle.faulty = true;
      world.oracle.note("server", "closes");
      const since = world.loop.time;
      const drain = 1_000 + 20 * a;
      void server.close({ drain, ...(a % 2 === 1 && { retryAfter: 100 }) }).then(async ({ cut }) => {
        if (cut > 0) world.oracle.reach.saw("drain is over");
        if (world.loop.time - Math.max(since, machine.thawedAt) > drain + 100)
          world.oracle.wrong("I11 drain too late", `${world.loop.time - since} ms of ${drain}`);
        world.oracle.reach.saw("drained server");
        const started = await Promise.all([...world.feeds, ...world.faultyServers]);
        const others = [world.hookServer, world.lineServer, ...started];
        await Promise.all(others.map((other) => other?.close({ drain: 500 })));
        await world.loop.sleep(300);
        if (machine.alive && world.machine("server") === machine) await serve(world);
      });
    },
  },
  {
    name: "resolver fails",
    fault: true,
    run: (world, _, client, a) => {
      world.net.resolve("elsewhere", a % 2 === 0 ? "EAI_AGAIN" : ["10.9.9.9"]);
      void client.open(a % 3 === 0 ? "ws://nowhere/echo" : "ws://elsewhere/echo");
      void client.open("ws://server:9999/echo");
    },
  },
  // Added later. The choices of kept runs name the steps above by their place.
  ...LATER_STEPS,
];

export function waitOf(choice: number): number {
  return WAITS[choice % WAITS.length] as number;
}
