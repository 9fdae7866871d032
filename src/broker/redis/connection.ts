/** A connection to a server that is opened again whenever it is lost, and ended when the server is silent. */

import { after, type Clock, type Wakeup } from "../../base/time.ts";
import { Backoff, type BackoffPauses } from "../../engine/time/backoff.ts";
import { AS_TEXT, newClient, type RedisClient } from "./client.ts";
import type { RedisClientTarget } from "./options.ts";

/** The server at the other end of a connection. */
export interface ServerFacts {
  /** `master_replid`: names the history of the server's data. It changes when a replica becomes the master. */
  readonly replicationId: string;
}

/** What a connection reports. */
export interface ConnectionOwner {
  /** The options of the client for the next attempt. A rejection is a failed attempt. */
  target(): Promise<RedisClientTarget>;
  /** The connection is open, and the server is a master. A rejection ends it. */
  opened(client: RedisClient, facts: ServerFacts): Promise<void> | void;
  /** The connection is over. Called once after each `opened`. */
  lost(cause: unknown): void;
  /** An attempt has failed. */
  failed(cause: unknown): void;
  /** The server, at the same connection, has another history than before. */
  changed(facts: ServerFacts): void;
}

const PAUSES: BackoffPauses = { base: 50, cap: 5_000 };
/** How long an attempt may take, the answers of the server included. */
const OPEN_TIMEOUT = 5_000;
/** How often the server must answer, and after how many intervals without an answer it is taken for dead. */
const INTERVAL = 1_000;
const SILENT_INTERVALS = 4;
/** Every so many intervals the server is asked for its role and its history. */
const FACTS_EVERY = 4;

export class RedisConnection {
  readonly #owner: ConnectionOwner;
  readonly #clock: Clock;
  readonly #backoff: Backoff = new Backoff(PAUSES, Math.random);
  #client: RedisClient | undefined;
  #end: ((cause: unknown) => void) | undefined;
  #pause: { readonly wakeup: Wakeup; readonly resume: () => void } | undefined;
  #closed = false;

  constructor(owner: ConnectionOwner, clock: Clock) {
    this.#owner = owner;
    this.#clock = clock;
    void this.#run();
  }

  /** The client, while the connection is open. */
  get client(): RedisClient | undefined {
    return this.#client;
  }

  /** Ends the connection, and opens another one. */
  drop(cause: unknown): void {
    this.#end?.(cause);
  }

  /** Cuts the current pause short: there is a reason to believe that the next attempt succeeds. */
  hurry(): void {
    this.#backoff.reset();
    this.#pause?.resume();
  }

  close(): void {
    this.#closed = true;
    this.#end?.(new Error("Connection closed"));
    this.#pause?.resume();
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      try {
        await this.#live(await this.#owner.target());
      } catch (error) {
        if (!this.#closed) this.#owner.failed(error);
      }
      if (!this.#closed) await this.#wait(this.#backoff.next());
    }
  }

  /** One connection, from the attempt to its end. Rejects if it was never open. */
  async #live(target: RedisClientTarget): Promise<void> {
    const client = newClient(target);
    const ended = new Promise<never>((_, reject) => {
      this.#end = reject;
      client.on("error", reject);
      client.on("end", () => reject(new Error("Connection ended")));
      client.on("terminated", reject);
    });
    ended.catch(() => undefined);
    const limit = this.#clock.wakeAt(after(this.#clock.now(), OPEN_TIMEOUT), () =>
      this.drop(new Error(`Cannot connect to Redis: no answer for ${OPEN_TIMEOUT} ms`)),
    );
    let opened = false;
    let watch: Wakeup | undefined;
    try {
      if (this.#closed) return;
      const connecting = client.connect();
      connecting.catch(() => undefined);
      await Promise.race([connecting, ended]);
      const facts = await Promise.race([factsOf(client), ended]);
      const opening = Promise.resolve(this.#owner.opened(client, facts));
      opened = true;
      opening.catch(() => undefined);
      await Promise.race([opening, ended]);
      limit.cancel();
      this.#client = client;
      this.#backoff.reset();
      const watching = new Watch(client, facts, this.#owner, this.#clock);
      watch = watching;
      await Promise.race([watching.failed, ended]);
    } catch (error) {
      if (!opened) throw error;
      this.#client = undefined;
      this.#owner.lost(error);
    } finally {
      limit.cancel();
      watch?.cancel();
      this.#end = undefined;
      client.destroy();
    }
  }

  #wait(length: number): Promise<void> {
    return new Promise((resolve) => {
      const resume = (): void => {
        this.#pause?.wakeup.cancel();
        this.#pause = undefined;
        resolve();
      };
      this.#pause = { wakeup: this.#clock.wakeAt(after(this.#clock.now(), length), resume), resume };
    });
  }
}

/** Asks the server in intervals whether it is there, and whether it is the same. */
class Watch implements Wakeup {
  /** Rejects when the server is silent, or no master any more. */
  readonly failed: Promise<never>;
  readonly #client: RedisClient;
  readonly #owner: ConnectionOwner;
  readonly #clock: Clock;
  #facts: ServerFacts;
  #fail: (cause: unknown) => void = () => undefined;
  #wakeup: Wakeup | undefined;
  #asked = 0;
  /** The intervals since the question that is not answered yet. They are counted, so that a blocked event loop is one interval. */
  #silent = 0;
  #waiting = false;

  constructor(client: RedisClient, facts: ServerFacts, owner: ConnectionOwner, clock: Clock) {
    this.#client = client;
    this.#facts = facts;
    this.#owner = owner;
    this.#clock = clock;
    this.failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.failed.catch(() => undefined);
    this.#arm();
  }

  cancel(): void {
    this.#wakeup?.cancel();
    this.#fail(undefined);
  }

  #arm(): void {
    this.#wakeup = this.#clock.wakeAt(after(this.#clock.now(), INTERVAL), () => {
      this.#arm();
      if (!this.#waiting) this.#ask().catch(this.#fail);
      else if (++this.#silent >= SILENT_INTERVALS) {
        this.#fail(new Error(`Connection ended: no answer of Redis for ${SILENT_INTERVALS * INTERVAL} ms`));
      }
    });
  }

  async #ask(): Promise<void> {
    this.#waiting = true;
    this.#silent = 0;
    this.#asked += 1;
    if (this.#asked % FACTS_EVERY !== 0) await this.#client.sendCommand(["PING"], AS_TEXT);
    else {
      const facts = await factsOf(this.#client);
      const changed = facts.replicationId !== this.#facts.replicationId;
      this.#facts = facts;
      if (changed) this.#owner.changed(facts);
    }
    this.#waiting = false;
  }
}

/** Rejects if the server is a replica: a publish would be refused there, and it has only what the master has sent. */
async function factsOf(client: RedisClient): Promise<ServerFacts> {
  const info = String(await client.sendCommand(["INFO", "replication"], AS_TEXT));
  // A sentinel has no such section.
  const role = /^role:(\w+)/m.exec(info)?.[1];
  if (role === "slave") throw new Error("Cannot use this server of Redis: it is a replica");
  return { replicationId: /^master_replid:(\w+)/m.exec(info)?.[1] ?? "" };
}
