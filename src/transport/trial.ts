/** Tries the fast lane on two pairs of sockets before any connection goes by it: Node may change what it stands on. */

import { on, once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { TransportError } from "../base/errors.js";
import { after } from "../base/time.js";
import { systemClock } from "./clock.js";
import { FastLane } from "./fast-lane.js";
import { learn, writeLater } from "./tcp-handle.js";
import type { TransportEvents } from "./transport.js";

// It takes some milliseconds. Behind this, a callback that is missing is one that Node does not make.
const PATIENCE = 5_000;
// For a process that was busy with something else all this time, and has yet to see what came meanwhile.
const TURNS = 100;

/** There is no loopback to try it on, which says nothing of Node. */
export class Untried extends Error {}

/** Resolves if the fast lane works here, and rejects with what is wrong, or with `Untried`. Leaves nothing open. */
export async function tryFastLane(): Promise<void> {
  learn();
  const server = createServer({ allowHalfOpen: true });
  const sockets: Socket[] = [];
  const witnesses: Witness[] = [];
  server.on("connection", (socket) => sockets.push(socket));
  const clear = (): void => {
    for (const { lane } of witnesses) lane.abort();
    // Those that nobody has taken: anybody may connect to a port of this machine.
    for (const socket of sockets) socket.destroy();
  };
  const rehearse = async (): Promise<void> => {
    const pairs = [await openPair(server, sockets), await openPair(server, sockets)];
    for (const [index, socket] of pairs.flat().entries()) witnesses.push(new Witness(socket, STORIES[index] ?? ""));
    await talk(witnesses as [Witness, Witness, Witness, Witness]);
    clear();
    // Told only when the server has counted every connection out.
    await new Promise((resolve) => server.close(resolve));
  };
  try {
    await bounded(rehearse());
  } finally {
    clear();
    server.close();
  }
}

/** Both ends of a connection, on which its client has written while it was yet to be made. */
async function openPair(server: Server, sockets: Socket[]): Promise<[Socket, Socket]> {
  const accepted = on(server, "connection");
  let client: Socket;
  try {
    // Its own: in a worker of a cluster it would otherwise be shared, and others would get its connections.
    if (!server.listening) await once(server.listen({ port: 0, host: "127.0.0.1", exclusive: true }), "listening");
    client = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true });
    sockets.push(client);
    const connected = once(client, "connect");
    // Behind the tick in which Node begins to connect to a literal address.
    const written = new Promise<void>((resolve) => process.nextTick(() => resolve(writeLater(client, EARLY))));
    await Promise.all([connected, written]);
  } catch (error) {
    throw (error as NodeJS.ErrnoException).syscall === undefined ? error : new Untried("", { cause: error });
  }
  for await (const [socket] of accepted) if (socket.remotePort === client.localPort) return [client, socket];
  throw new Untried();
}

const EARLY = Buffer.from("early,");
const LATER = Buffer.from("later");
const ALL = "early,later";

/** What each of them is told. */
const STORIES = [" written ended closed", " written ended closed", " closed", " closed by ECONNRESET of read"] as const;

async function talk([a, b, c, d]: readonly [Witness, Witness, Witness, Witness]): Promise<void> {
  // Data both ways, then a FIN both ways.
  a.write(LATER);
  await b.until(() => b.said === ALL);
  b.write(Buffer.from(ALL));
  await a.until(() => a.said === ALL);
  a.lane.end();
  await b.until(() => b.log === " written ended");
  b.lane.end();
  // And a reset.
  await d.until(() => d.said === "early,");
  c.lane.abort();
  for (const witness of [a, b, c, d]) await witness.until(() => witness.log === witness.story);
}

class Witness implements TransportEvents {
  readonly lane: FastLane;
  readonly story: string;
  said = "";
  log = "";
  #changed: () => void = () => undefined;

  constructor(socket: Socket, story: string) {
    this.story = story;
    const lane = FastLane.take(socket);
    if (lane === undefined) throw new Error("a socket of Node's own is not fit");
    this.lane = lane;
    lane.open(this);
  }

  data(chunk: Uint8Array): void {
    this.said += Buffer.from(chunk).toString("latin1");
    this.#changed();
  }

  written(): void {
    this.#note("written");
  }

  write(bytes: Uint8Array): void {
    if (this.lane.write(bytes)) this.written();
  }

  ended(): void {
    this.#note("ended");
  }

  closed(error: TransportError | undefined): void {
    this.#note(error === undefined ? "closed" : `closed by ${error.errno} of ${error.syscall}`);
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (!ALL.startsWith(this.said)) throw new Error(`"${this.said}" was read instead of "${ALL}"`);
      if (!this.story.startsWith(this.log)) throw new Error(`"${this.log}" came instead of "${this.story}"`);
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  #note(event: string): void {
    this.log += ` ${event}`;
    this.#changed();
  }
}

async function bounded(work: Promise<void>): Promise<void> {
  let late = (): void => undefined;
  const timer = systemClock.wakeAt(after(systemClock.now(), PATIENCE), () => late());
  const limit = new Promise<void>((resolve) => {
    late = resolve;
  }).then(async () => {
    for (let turn = 0; turn < TURNS; turn += 1) await new Promise(setImmediate);
    throw new Error(`an event is missing for ${PATIENCE} ms`);
  });
  try {
    await Promise.race([work, limit]);
  } finally {
    timer.cancel();
    // Whichever of them comes second has nobody to tell.
    work.catch(() => undefined);
    limit.catch(() => undefined);
  }
}
