/** Kinds of steps that were added after the first runs were kept. */

import { isConnectionError, listen, reconnect, type Server } from "../../src/index.ts";
import { pause, send, take } from "./calls.ts";
import { type Client, isFeed, Reconnecting } from "./clients.ts";
import { type End, FAREWELL } from "./end.ts";
import { kill } from "./processes.ts";
import { evilServer, rawClient, rawLines } from "./raw.ts";
import { sendRequest } from "./requests.ts";
import { serveFaulty, serveFeeds, sink } from "./server-roles.ts";
import type { Step } from "./step.ts";
import { type Machine, Planned, type World } from "./world.ts";

export const LATER_STEPS: readonly Step[] = [
  {
    name: "rule breaker",
    run: (world, _, client, a) => rawClient(world, client.machine, (a >> 1) % 13, a % 2 === 0),
  },
  {
    name: "lines rule breaker",
    run: (world, _, client, a) => void serveFaulty(world).then(() => rawLines(world, client.machine, a)),
  },
  {
    name: "request",
    run: (world, _, client, a) => void serveFaulty(world).then(() => sendRequest(world, client.machine, a)),
  },
  {
    name: "requests at once",
    run: (world, _, client, a) => {
      // More than the server takes.
      void serveFaulty(world).then(() => {
        for (let many = 0; many < 6; many += 1) sendRequest(world, client.machine, many === 0 ? a : 15);
      });
    },
  },
  {
    name: "odd server",
    fault: true,
    run: (world, _, client, a) => {
      void evilServer(world, a, true).then((url) => client.open(url));
    },
  },
  {
    name: "crowd",
    run: (_world, _, client) => {
      for (let many = 0; many < 5; many += 1) void client.open("ws://server/echo");
    },
  },
  {
    name: "feed",
    run: (world, _, client, a) => {
      void serveFeeds(world).then(() => client.open(a % 2 === 0 ? "tcp://server:9" : "ws://server:83/feed"));
      if (a % 4 < 2) return;
      // A message ends a connection whose other side only sends.
      world.oracle.faulty = true;
      world.loop.after(600, () => {
        const end = client.ends.findLast(({ connection }) => isFeed(connection.url));
        if (end?.process.alive && !end.process.frozen && end.connection.state === "OPEN")
          void send(world, end, world.text(20));
      });
    },
  },
  {
    name: "half-close of a feed",
    run: (_world, _, client) => {
      const end = client.ends.findLast(({ connection }) => connection.url.endsWith(":9"));
      if (!end?.process.alive || end.process.frozen || end.connection.state !== "OPEN") return;
      end.closedHere = "close";
      void end.connection.close();
    },
  },
  { name: "deadlines", run: (world, _, client, a) => deadlines(world, client, a) },
  {
    name: "dies while it closes",
    fault: true,
    run: (world, _, _client, a) => {
      const machine = world.machine("server");
      if (world.server === undefined || !machine.alive || machine.frozen) return;
      world.draining = true;
      world.faultyServes = false;
      world.oracle.note("server", "closes, and dies meanwhile");
      void world.server.close({ drain: 1_000 });
      void world.lineServer?.close({ drain: 1_000 });
      world.loop.after(20 * (a % 40), () => {
        if (!machine.alive || world.healed) return;
        world.oracle.reach.saw("killed in close");
        kill(world, machine, a % 2 === 0 ? "kill" : "crash");
      });
    },
  },
  {
    name: "listen twice",
    run: (world, _, _client, a) => {
      const url = a % 2 === 0 ? "ws://server:80" : "ws://10.9.9.9:80";
      const machine = world.machine("server");
      if (machine.alive && !machine.frozen && world.listening === machine && !world.draining)
        listenInVain(world, machine, url);
    },
  },
  {
    name: "two addresses",
    run: (world, _, client) => {
      // The first one is of no machine.
      world.net.resolve("both", ["10.9.9.9", world.machine("server").host.address]);
      const { machine } = client;
      void client.open("ws://both/echo");
      world.loop.after(1_500, () => {
        const end = client.ends.findLast(({ connection }) => connection.url.includes("both"));
        if (end !== undefined && machine.alive) world.oracle.reach.saw("second address");
      });
    },
  },
  {
    name: "chat between servers",
    run: (world, _, client, a) => {
      void client.open(a % 2 === 0 ? "ws://server2/chat" : "ws://server/chat");
      world.loop.after(400, () => client.end !== undefined && void send(world, client.end, world.text(30)));
    },
  },
  {
    name: "unawaited",
    run: (world, _, client) => {
      const { end } = client;
      // A send behind the write deadline rejects with a TimeoutError, which is not counted.
      if (end === undefined || end.writeDeadline) return;
      // Nothing handles the rejections: they are counted, and reported to onError.
      for (let many = 0; many < 6; many += 1) {
        const text = world.text(40_000);
        const sent = end.sending(text, true);
        sent.state = "accepted";
        sent.awaited = false;
        void end.connection.send(text, { overflow: "reject" });
      }
    },
  },
  {
    name: "reconnecting loses messages",
    fault: true,
    run: (world, _, client, a) => {
      if (!client.machine.alive || client.machine.frozen) return;
      if (client.reconnecting?.machine.alive !== true) client.reconnecting = new Reconnecting(world, client.machine);
      const { name, reconnecting } = client;
      world.loop.after(700, () => {
        for (let many = 0; many < 6; many += 1) reconnecting.send(world.text(5_000));
      });
      world.loop.after(702 + a, () => {
        if (world.healed) return;
        world.disturbed.set(name, world.loop.time);
        world.net.link(name, "server").reset();
      });
    },
  },
  { name: "session", run: (world, _, client, a) => session(world, client.machine, a) },
  {
    name: "resolver is silent",
    run: (world, _, client) => {
      world.net.neverResolve("silent");
      void client.open("ws://silent/echo");
    },
  },
  {
    name: "untaken messages",
    run: (world, _, client, a) => {
      // When its inbox is full, the server answers no Ping.
      world.oracle.faulty = true;
      void client.open(a % 4 === 3 ? "tcp://server:7" : "ws://server/idle");
      world.loop.after(roundTrips(world), () => client.end !== undefined && void flood(world, client.end));
    },
  },
  { name: "ends at a server that closes", run: (world, _, client, a) => void endsAtClosingServer(world, client, a) },
];

/** Long enough for an opening, and for anything that follows it. */
const roundTrips = (world: World): number => 100 + 8 * world.latency;

/** More than any inbox of 4,000 bytes has room for. */
async function flood(world: World, end: End): Promise<void> {
  for (let many = 0; many < 24 && end.connection.state === "OPEN" && !end.process.frozen; many += 1)
    if (!(await send(world, end, world.text(2_500), { overflow: "wait" }))) return;
}

/** A server closes while its handler works. Its peer sends a message and ends meanwhile; neither is read before the server ends. */
async function endsAtClosingServer(world: World, client: Client, a: number): Promise<void> {
  const machine = world.machine("server");
  if (!machine.alive || machine.frozen) return;
  // A drain that is over cuts.
  world.oracle.faulty = true;
  const port = 3_000 + a;
  let server: Server;
  try {
    server = await listen(
      `tcp://server:${port}`,
      {
        ...world.options("server", machine),
        ...{ network: machine.host, framing: "lines", farewell: ({ code }) => `${FAREWELL}${code}` },
      },
      (connection) => {
        const end = world.endOf(connection, "server", machine);
        end.says = true;
        return sink(world, end);
      },
    );
  } catch (error) {
    if (!isConnectionError(error)) world.oracle.wrong("I8 listen", String(error));
    return;
  }
  void client.open(`tcp://server:${port}`);
  await world.loop.sleep(roundTrips(world));
  const end = client.ends.findLast(({ connection }) => connection.remotePort === port);
  if (end !== undefined) for (let many = 0; many < 6; many += 1) void send(world, end, world.text(20));
  await world.loop.sleep(2 * world.latency + 20);
  while (machine.frozen) await world.loop.sleep(10);
  if (!machine.alive) return;
  void server.close({ drain: 1_000 + 20 * a });
  if (end?.connection.state !== "OPEN") return;
  await pause(world, end, 10);
  void send(world, end, world.text(20));
  end.closedHere = "close";
  void end.connection.close();
}

/** Bounds that are instants: of one call, or of all calls of a connection. */
function deadlines(world: World, client: Client, a: number): void {
  const { end } = client;
  if (end === undefined) return;
  const { connection } = end;
  const length = 150 + 10 * a;
  // A bound inside a message ends the connection.
  world.oracle.faulty = true;
  if (a % 4 === 0) void send(world, end, world.text(9_000), { deadline: { in: length } });
  else if (a % 4 === 1) void take(world, end, { deadline: { in: length } });
  else if (a % 4 === 2) {
    connection.setWriteDeadline({ in: length });
    end.writeDeadline = true;
    end.hadWriteDeadline = true;
    for (let many = 0; many < 6; many += 1) void send(world, end, world.text(3_000));
    world.loop.after(length + 300, () => {
      if (connection.state !== "OPEN") return;
      connection.setWriteDeadline(undefined);
      end.writeDeadline = false;
    });
  } else {
    connection.setReadDeadline({ in: length });
    // The peer may close before the deadline is cleared.
    end.readsAll = false;
    world.loop.after(length + 300, () => connection.state === "OPEN" && connection.setReadDeadline(undefined));
  }
}

/** The address is in use, or not one of this machine. */
function listenInVain(world: World, machine: Machine, url: string): void {
  listen(url, { network: machine.host }, () => undefined).then(
    (server) => {
      // The server may have closed meanwhile. Then this one has the port, with other limits.
      void server.close({ drain: 0 });
      if (!world.draining && machine.alive) world.oracle.wrong("I8 listen", `${url} twice`);
    },
    (error: unknown) => {
      if (!isConnectionError(error)) world.oracle.wrong("I8 listen", String(error));
      else world.oracle.reach.saw(`listen ${"errno" in error ? String(error.errno) : error.code}`);
    },
  );
}

/** A session of `reconnect` that is aborted, and that may throw afterwards. */
function session(world: World, machine: Machine, a: number): void {
  if (!machine.alive || machine.frozen) return;
  machine.sessions += 1;
  const controller = new AbortController();
  const reason = new Planned("aborted");
  const { overflow: _, ...options } = world.options("client", machine);
  const throws = a % 3 === 1;
  reconnect(
    a % 5 === 4 ? "ws://server:9999/any" : a % 5 === 3 ? "ws://server:82/other" : "ws://server/any",
    async (connection) => {
      await connection.send("from a session");
      await world.loop.sleep(1_200);
      if (throws) throw new Planned("session");
    },
    {
      ...options,
      ...{ network: machine.host, signal: controller.signal, initialPause: 150, maxPause: 400, random: world.noise },
      ...(a % 3 === 2 && {
        state: () => {
          throw new Planned("state");
        },
      }),
    },
  ).then(
    () => world.oracle.reach.saw("session complete"),
    (error: unknown) => {
      if (error === reason) world.oracle.reach.saw("session aborted");
      else if (isConnectionError(error)) world.oracle.reach.saw("session final");
      else if (!(error instanceof Planned)) world.oracle.wrong("I8 session", String(error));
    },
  );
  world.loop.after(100 + 20 * a, () => {
    if (machine.alive) controller.abort(reason);
  });
}
