/** The clients of a run, and a client that connects again and again. */

import { ClosedError, ReconnectingConnection } from "../../src/index.ts";
import { send, take, textOf } from "./calls.ts";
import type { End } from "./end.ts";
import type { Machine, World } from "./world.ts";

/** True for a server that only sends: a message to it ends the connection. */
export const isFeed = (url: string): boolean => /:9$|\/feed/.test(url);

/** A client, or the crowd of its ends. */
export class Client {
  readonly name: string;
  readonly world: World;
  ends: End[] = [];
  /** Milliseconds between two messages that it takes; Infinity takes none. */
  pace = 0;
  reconnecting: Reconnecting | undefined;

  constructor(world: World, name: string) {
    this.world = world;
    this.name = name;
    world.machine(name);
  }

  get machine(): Machine {
    return this.world.machine(this.name);
  }

  /** The last open end. */
  get end(): End | undefined {
    return this.ends.findLast(
      ({ process, connection }) =>
        process.alive && !process.frozen && connection.state === "OPEN" && !isFeed(connection.url),
    );
  }

  async open(url: string): Promise<void> {
    const end = await this.world.open(this.name, url);
    if (end === undefined) return;
    this.ends.push(end);
    end.readsAll = true;
    if (/push|failing/.test(url)) void send(this.world, end, this.world.text(20));
    await this.#read(end);
  }

  async #read(end: End): Promise<void> {
    for (;;) {
      while (this.pace !== 0 && end.connection.state === "OPEN") {
        await this.world.loop.sleep(Math.min(this.pace, 500));
        if (this.pace !== Infinity) break;
      }
      while (end.process.frozen) await this.world.loop.sleep(10);
      if ((await take(this.world, end)) !== undefined) continue;
      // A read deadline of the connection has passed, and will be renewed.
      if (end.connection.state !== "OPEN" || end.connection.signal.aborted || !end.process.alive) return;
      if (end.connection.peerEndedFor !== undefined) return;
      await this.world.loop.sleep(100);
    }
  }
}

/** A client that connects again and again, and what is known about its messages. */
export class Reconnecting {
  readonly connection: ReconnectingConnection;
  readonly #world: World;
  readonly #sent: string[] = [];
  #next = 0;
  pending = 0;
  closes = 0;
  readonly machine: Machine;
  /** The application has closed it. */
  closing = false;

  constructor(world: World, machine: Machine) {
    this.#world = world;
    this.machine = machine;
    const {
      closing: _,
      close: __,
      highWater: ___,
      lowWater: ____,
      overflow: _____,
      ...limits
    } = world.options("client", machine) as Record<string, unknown>;
    this.connection = new ReconnectingConnection("ws://server/any", {
      ...limits,
      network: machine.host,
      initialPause: 150,
      maxPause: 900,
      random: world.noise,
      message: (_connection, data) => this.#received(textOf(data)),
      close: () => {
        this.closes += 1;
      },
      state: (state) => {
        world.oracle.note(machine.name, `reconnecting: ${state.name}`);
        world.oracle.reach.saw(`reconnect ${state.name}`);
        // A lost connection and a limit are passing causes. 1000 is the end that the server wanted.
        // 1000 is that also if a reset cuts off the rest. 1008 is final: this side sent too slowly for messageTimeout.
        const cause = state.name === "ended" && !this.closing ? state.cause : undefined;
        const final = cause instanceof ClosedError && [1000, 1008].includes(cause.closeCode);
        if (cause !== undefined && !final) world.oracle.wrong("I10 gave up", String(cause));
        if (state.name !== "waiting") return;
        world.oracle.note(machine.name, `reconnecting waits: ${state.why.kind} ${String(state.why.error)}`);
        world.oracle.reach.saw(`reconnect why ${state.why.kind}`);
        const pause = state.until.getTime() - world.loop.wallTime();
        // The server may ask for 100 ms more.
        const asked = Number(state.why.headers["retry-after"] ?? 0) * 1_000;
        const window = 100 + asked + Math.min(900, 150 * 2 ** Math.min(20, state.attempt));
        if (pause < -1 || pause > window + 1)
          world.oracle.wrong("I10 pause outside of its window", `${pause} ms in attempt ${state.attempt}`);
      },
    });
  }

  close(): void {
    this.closing = true;
    void this.connection.close();
  }

  send(text: string): void {
    this.#sent.push(text);
    this.pending += 1;
    this.connection.send(text, { timeout: 6_000 }).then(
      () => {
        this.pending -= 1;
      },
      (error: unknown) => {
        this.pending -= 1;
        if (error instanceof Error && "code" in error) this.#world.oracle.reach.saw(`reconnect send ${error.code}`);
      },
    );
  }

  /** Each message arrives at most once, and in order. */
  #received(text: string): void {
    const index = this.#sent.indexOf(text);
    this.#world.oracle.reach.saw("reconnect echo");
    if (index === -1) this.#world.oracle.wrong("I10 other bytes", text.slice(0, 30));
    else if (index < this.#next) this.#world.oracle.wrong("I10 twice or out of order", text.slice(0, 30));
    else this.#next = index + 1;
  }
}
