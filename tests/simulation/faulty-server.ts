/** Servers whose hooks and functions throw. The query of a request says which one. */

import { type Connection, type ListenOptions, listen, type Server } from "../../src/index.ts";
import { type Machine, Planned, type World } from "./world.ts";

/** The port of WebSockets, and the one of lines. */
export const FAULTY = { ws: 82, lines: 8 } as const;

/** The hooks and functions that can throw. */
export const THROWING = ["open", "message", "ping", "pong", "closing", "close", "highWater", "lowWater"] as const;

/** Message for which the server fills its send queue. */
export const FILL = "fill";

function planned(url: string, name: string): void {
  if (url.includes(`throw-${name}`)) throw new Planned(name);
}

/** What the peer sends is not known here, and what the hooks take is not counted. */
function unwatched(world: World, machine: Machine, connection: Connection): void {
  const end = world.endOf(connection, "server", machine);
  end.in.loose = true;
  end.saysTaken = false;
}

function optionsOf(world: World, machine: Machine): ListenOptions {
  const known = world.options("server", machine);
  return {
    ...known,
    network: machine.host,
    maxConnections: 4,
    messageType: "text",
    highWaterMark: 3_000,
    lowWaterMark: 1_000,
    overflow: "reject",
    open: (connection) => {
      unwatched(world, machine, connection);
      planned(connection.url, "open");
    },
    message: (connection, data) => {
      planned(connection.url, "message");
      if (data === FILL) for (let many = 0; many < 5; many += 1) void connection.trySend("x".repeat(1_000));
    },
    ping: ({ url }) => planned(url, "ping"),
    pong: ({ url }) => planned(url, "pong"),
    closing: (connection, error) => {
      known.closing?.(connection, error);
      planned(connection.url, "closing");
    },
    close: (connection, info) => {
      known.close?.(connection, info);
      planned(connection.url, "close");
    },
    highWater: ({ url }) => planned(url, "highWater"),
    lowWater: ({ url }) => planned(url, "lowWater"),
    observe: (event) => {
      if (event.type === "refused") {
        world.oracle.reach.saw(`refused ${event.reason}`);
        world.refusals.set(`${event.remoteAddress}:${event.remotePort}`, event.reason);
      }
      if (event.type === "accepted" && event.path === "/any" && world.noise() < 0.1) throw new Planned("observe");
    },
  };
}

/** Starts both on the machine of the server. */
export function listenFaulty(world: World, machine: Machine): readonly Promise<Server>[] {
  const options = optionsOf(world, machine);
  const webSockets = listen("ws://server:82/any", {
    ...options,
    origin: (origin) => {
      planned(origin ?? "", "origin");
      return origin === undefined || origin === "http://friend";
    },
    authorize: ({ query, signal }) => {
      planned(query, "authorize");
      if (query.includes("deny")) return new Response("no", { status: 403 });
      // Settles when nothing depends on it any more.
      if (query.includes("never"))
        return new Promise((resolve) => void signal.addEventListener("abort", () => resolve(undefined)));
      return undefined;
    },
  });
  const lines = listen(
    `tcp://server:${FAULTY.lines}`,
    {
      ...world.options("server", machine),
      network: machine.host,
      framing: "lines",
      farewell: () => {
        throw new Planned("farewell");
      },
    },
    async (connection: Connection) => {
      unwatched(world, machine, connection);
      for await (const message of connection) if (message === "throw") throw new Planned("handler");
    },
  );
  return [webSockets, lines];
}
