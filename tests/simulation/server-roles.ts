/** What the server does with a connection, by the path of its request. */

import {
  type Connection,
  type ConnectionOptions,
  Group,
  isConnectionError,
  type ListenOptions,
  listen,
} from "../../src/index.ts";
import { pause, send, take, trySend, write } from "./calls.ts";
import { type End, FAREWELL } from "./end.ts";
import { listenFaulty } from "./faulty-server.ts";
import { expectInGroup, type Machine, Planned, type World } from "./world.ts";

export const PATHS = ["echo", "chat", "push", "parts", "sink", "idle", "failing", "asking"] as const;

export async function serverRole(
  world: World,
  machine: Machine,
  group: Group<Connection>,
  connection: Connection,
): Promise<void> {
  const end = world.endOf(connection, "server", machine);
  const path = connection.kind === "tcp" ? (world.noise() < 0.4 ? "idle" : "echo") : pathOf(connection);
  // A raw peer, or a client that reconnects: what it sends is not known here.
  if (connection.url.includes("any")) end.in.loose = true;
  switch (path) {
    case "chat":
      return chat(world, machine, group, end);
    case "push":
      return push(world, end);
    case "parts":
      return parts(world, end);
    case "sink":
      return sink(world, end);
    case "idle":
      // When its inbox is full, Pings are not answered.
      world.oracle.faulty = true;
      end.readsAll = false;
      await connection.closed;
      return;
    case "failing":
      await take(world, end);
      throw new Planned("this handler fails");
    case "asking":
      return asking(world, end);
    default:
      return echo(world, end);
  }
}

const pathOf = ({ url }: Connection): string => new URL(url).pathname.slice(1);

async function echo(world: World, end: End): Promise<void> {
  end.readsAll = true;
  for (let text = await take(world, end); text !== undefined; text = await take(world, end)) {
    if (!(await send(world, end, text))) await pause(world, end, 0);
  }
}

async function chat(world: World, machine: Machine, group: Group<Connection>, end: End): Promise<void> {
  end.readsAll = true;
  group.join(end.connection);
  try {
    for await (const message of end.connection) {
      end.received(message);
      const text = typeof message === "string" ? message : Buffer.from(message).toString("latin1");
      world.exchange.text = text;
      expectInGroup(world, machine, text);
      group.send(message, { overflow: world.noise() < 0.5 ? "drop-oldest" : "close" });
    }
  } catch (error) {
    end.judgeReason("iteration", error);
  }
}

/** Sends as fast as it can, and then closes in order: everything must arrive. */
async function push(world: World, end: End): Promise<void> {
  const first = await take(world, end);
  if (first === undefined) return;
  const many = 4 + Math.floor(world.noise() * 30);
  const size = world.noise() < 0.5 ? 40 : 1_500;
  const all: Promise<unknown>[] = [];
  for (let count = 0; count < many; count += 1) {
    if (count % 3 === 2) trySend(world, end, world.text(size));
    else all.push(send(world, end, world.text(size)));
  }
  await Promise.all(all);
  end.note("has pushed");
}

async function parts(world: World, end: End): Promise<void> {
  end.readsAll = true;
  for (let text = await take(world, end); text !== undefined; text = await take(world, end)) {
    await write(world, end, [text.slice(0, 3), text.slice(3, 90), text.slice(90)], text);
  }
}

/** Takes a message, and works for a while. */
export async function sink(world: World, end: End): Promise<void> {
  end.readsAll = true;
  for (let text = await take(world, end); text !== undefined; text = await take(world, end)) {
    const long = world.noise() < 0.1;
    // Its peers may end by writeTimeout.
    world.oracle.faulty ||= long;
    await pause(world, end, long ? 4_500 : 150);
  }
}

/** Receives with a timeout, answers each, and ends when there was nothing for a while. */
async function asking(world: World, end: End): Promise<void> {
  for (let times = 0; times < 40; times += 1) {
    const text = await take(world, end, { timeout: 400 });
    if (text !== undefined) await send(world, end, text, { timeout: 900 });
    else if (end.connection.state !== "OPEN") return;
  }
}

/** Sends a message now and then, and takes none. */
async function feedOf(world: World, end: End): Promise<void> {
  end.sendsOnly = true;
  while (end.connection.state === "OPEN" && !end.connection.draining.aborted) {
    await send(world, end, world.text(60));
    await pause(world, end, 170);
  }
}

/** A server without a handler: everything goes to hooks. */
export function serveEchoHook(world: World, machine: Machine): ConnectionOptions {
  return {
    message: async (connection, data) => {
      const end = world.endOf(connection, "server", machine);
      end.readsAll = true;
      end.received(data);
      const text = typeof data === "string" ? data : Buffer.from(data).toString("latin1");
      if (world.noise() < 0.3) await send(world, end, text);
      else trySend(world, end, text);
    },
  };
}

/** Starts the server's listeners on its current process. */
export async function serve(world: World): Promise<void> {
  const machine = world.machine("server");
  const { host } = machine;
  world.draining = false;
  world.group = new Group<Connection>({ name: "all", exchange: world.exchange.of(machine) });
  const options: ListenOptions = {
    ...world.options("server", machine),
    ...{ network: host, maxConnections: 40 },
    observe: (event) => {
      if (event.type === "refused") world.oracle.reach.saw(`refused ${event.reason}`);
    },
  };
  world.faultyServes = false;
  world.feeds = [];
  world.faultyServers = [];
  try {
    world.server = await listen("ws://server:80", options, (connection) =>
      serverRole(world, machine, world.group, connection),
    );
    world.lineServer = await listen(
      "tcp://server:7",
      { ...options, framing: "lines", ...(world.farewells && { farewell: ({ code }) => `${FAREWELL}${code}` }) },
      (connection) => {
        world.endOf(connection, "server", machine).says = world.farewells;
        return serverRole(world, machine, world.group, connection);
      },
    );
    world.hookServer = await listen("ws://server:81", { ...options, ...serveEchoHook(world, machine) });
    world.listening = machine;
  } catch (error) {
    if (!isConnectionError(error)) world.oracle.wrong("I8 listen", String(error));
  }
}

/** Starts the servers that only send, unless they run. Most runs have no use for them. */
export async function serveFeeds(world: World): Promise<void> {
  const machine = world.machine("server");
  if (!serves(world, machine) || world.feeds.length > 0) return;
  const feeds: ListenOptions = {
    ...world.options("server", machine),
    ...{ network: machine.host, messageType: "none", heartbeat: false, idleTimeout: Infinity },
  };
  const feed = (connection: Connection): Promise<void> => feedOf(world, world.endOf(connection, "server", machine));
  const starting = [
    listen("ws://server:83", feeds, feed),
    listen("tcp://server:9", { ...feeds, framing: "lines" }, feed),
  ];
  world.feeds = starting;
  await Promise.all(starting);
}

/** Starts the servers whose hooks throw, unless they run. */
export async function serveFaulty(world: World): Promise<void> {
  const machine = world.machine("server");
  if (!serves(world, machine) || world.faultyServers.length > 0) return;
  const starting = listenFaulty(world, machine);
  world.faultyServers = starting;
  await Promise.all(starting);
  if (!world.draining) {
    world.faultyServes = true;
    world.faultySince = world.loop.time;
  }
}

const serves = (world: World, machine: Machine): boolean => machine.alive && !machine.frozen && !world.draining;

/** Starts a second server, whose group is the same by the exchange. */
export async function serve2(world: World): Promise<void> {
  const machine = world.machine("server2");
  const group = new Group<Connection>({ name: "all", exchange: world.exchange.of(machine) });
  world.group2 = group;
  const options = { ...world.options("server", machine), network: machine.host };
  await listen("ws://server2:80", options, (connection) => serverRole(world, machine, group, connection));
}
