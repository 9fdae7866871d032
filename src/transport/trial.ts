/** Tries the fast lane on two pairs of sockets before any connection goes by it: Node may change what it stands on. */

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { TransportError } from "../base/errors.js";
import { after } from "../base/time.js";
import { systemClock } from "./clock.js";
import { FastLane } from "./fast-lane.js";
import { learn, nativeOf, write } from "./node-internals.js";
import { systemError } from "./stackless.js";
import { type TcpArrival, TcpArrivals } from "./tcp-arrivals.js";
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
  const house = new House();
  const rehearse = async (): Promise<void> => {
    const [a, b] = await house.openPair(STORIES[0], STORIES[1], taken);
    const [c, d] = await house.openPair(STORIES[2], STORIES[3], arrived);
    await talk([a, b, c, d]);
    await house.close();
  };
  try {
    await bounded(rehearse());
  } finally {
    void house.close();
  }
}

/** What the server makes of a connection whose first bytes came. */
type Making = (arrival: TcpArrival, bytes: Buffer) => FastLane | undefined;

/** As what node:http was to read comes back to a lane. */
const taken: Making = (arrival, bytes) => {
  const socket = arrival.toSocket();
  socket.unshift(bytes);
  return FastLane.take(socket);
};

const arrived: Making = (arrival, bytes) => FastLane.arrived(arrival, EARLY, bytes);

/** The server of the trial, and everybody who is connected to it. */
class House {
  readonly #server = createServer({ allowHalfOpen: true });
  readonly #lanes: FastLane[] = [];
  readonly #clients: Socket[] = [];
  #arrivals: TcpArrivals | undefined;
  #spoke: (arrival: TcpArrival, bytes: Buffer) => void = (arrival) => arrival.drop();

  /** Both ends of a connection, on which its client has written while it was yet to be made. */
  async openPair(story: string, guestStory: string, make: Making): Promise<[Witness, Witness]> {
    const server = this.#server;
    const guestBy = this.#guestsBy(guestStory, make);
    let client: Socket;
    try {
      // Its own: in a worker of a cluster it would otherwise be shared, and others would get its connections.
      if (!server.listening) await once(server.listen({ port: 0, host: "127.0.0.1", exclusive: true }), "listening");
      this.#arrivals ??= this.#takeArrivals();
      client = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true });
      this.#clients.push(client);
      const connected = once(client, "connect");
      // Behind the tick in which Node begins to connect to a literal address.
      const written = new Promise<void>((resolve) => process.nextTick(() => resolve(writeLater(client, EARLY))));
      await Promise.all([connected, written]);
    } catch (error) {
      throw (error as NodeJS.ErrnoException).syscall === undefined ? error : new Untried("", { cause: error });
    }
    const address = `127.0.0.1:${client.localPort}`;
    return [this.#witness(FastLane.take(client), story), await guestBy(address)];
  }

  /** Resolves when the server has counted every connection out. */
  async close(): Promise<void> {
    for (const lane of this.#lanes) lane.abort();
    // Those that nobody has taken: anybody may connect to a port of this machine.
    this.#arrivals?.drop();
    for (const client of this.#clients) client.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #takeArrivals(): TcpArrivals {
    return new TcpArrivals(this.#server, {
      clock: systemClock,
      patience: Infinity,
      prepare: () => undefined,
      spoke: (arrival, bytes) => this.#spoke(arrival, bytes),
      left: (arrival) => arrival.drop(),
    });
  }

  /** Makes something of everybody who says something: who it was is known when the client is connected. */
  #guestsBy(story: string, make: Making): (address: string) => Promise<Witness> {
    const guests = new Map<string, Witness>();
    let check = (): void => undefined;
    const failed = new Promise<never>((_, reject) => {
      this.#server.on("connection", (socket: Socket) => {
        if (this.#arrivals?.handing) return;
        socket.destroy();
        reject(new Error("a server has accepted in another way"));
      });
      this.#spoke = (arrival, bytes) => {
        const { remoteAddress } = arrival.ends();
        try {
          guests.set(remoteAddress, this.#witness(make(arrival, bytes), story));
        } catch (error) {
          reject(error);
        }
        check();
      };
    });
    failed.catch(() => undefined);
    return (address) => {
      const found = new Promise<Witness>((resolve) => {
        check = () => {
          const guest = guests.get(address);
          if (guest !== undefined) resolve(guest);
        };
        check();
      });
      return Promise.race([found, failed]);
    };
  }

  #witness(lane: FastLane | undefined, story: string): Witness {
    if (lane === undefined) throw new Error("a socket of Node's own is not fit");
    this.#lanes.push(lane);
    return new Witness(lane, story);
  }
}

const EARLY = Buffer.from("early,");
const LATER = Buffer.from("later");
const ALL = "early,later";

/** A write on a socket that is still connecting, which cannot be done at once. */
function writeLater(socket: Socket, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const native = nativeOf(socket);
    const onWritten = (status: number): void => {
      if (status === 0) resolve();
      else reject(systemError(status, "write"));
    };
    const status = native === null ? 0 : write(native, bytes, { onWritten, onRead: nothing, onShutDown: nothing });
    if (status !== "waits") reject(new Error(`a write that has to wait was answered with ${status}`));
  });
}

function nothing(): void {}

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
  // And a reset, behind an answer.
  await d.until(() => d.said === "early,");
  await c.until(() => c.said === "early,");
  c.lane.abort();
  for (const witness of [a, b, c, d]) await witness.until(() => witness.log === witness.story);
}

/** One end, and what it is told. */
class Witness implements TransportEvents {
  readonly lane: FastLane;
  readonly story: string;
  said = "";
  log = "";
  #changed: () => void = () => undefined;

  constructor(lane: FastLane, story: string) {
    this.story = story;
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
