/** What happens on one connection after another: messages are sent and received, and the end is decided. */

import { setTimeout as sleep } from "node:timers/promises";
import type { CloseInfo, Connection, Message } from "../../index.ts";
import type { Feed } from "./input.ts";
import type { EventSink, SessionEvent } from "./transcript.ts";

/** A message that is sent on each connection, after a pause in milliseconds. */
export interface ScriptedMessage {
  readonly message: Message;
  readonly pause: number;
}

export interface SessionOptions {
  /** Sent on each connection, before the feed. Called for each connection. */
  readonly script: () => Iterable<ScriptedMessage>;
  /** Sent once, on whichever connection is open. Undefined if only the script is sent. */
  readonly feed: Feed | undefined;
  /** After the last message: milliseconds without a message from the peer until the connection is closed. */
  readonly wait: number;
  /** The number of received messages after which the connection is closed. */
  readonly answers: number;
  /** Milliseconds between two Pings; undefined for none. */
  readonly ping: number | undefined;
  /** True: received bytes that are UTF-8 are texts. For TCP, where the framing and not the peer decides the type. */
  readonly texts: boolean;
  readonly code: number;
  readonly reason: string;
}

type EventFacts = SessionEvent extends infer Event ? (Event extends SessionEvent ? Omit<Event, "at"> : never) : never;

export class Session {
  readonly #options: SessionOptions;
  readonly #sink: EventSink;
  readonly #now: () => number;
  #connection: Connection<undefined> | undefined;
  /** When the last message was sent or received, and when the last one was received. */
  #lastMessage = 0;
  #lastReceived = 0;
  #received = 0;
  #opened = false;
  #stopped = false;
  #stop: () => void = () => undefined;
  readonly #stopping: Promise<void>;

  constructor(options: SessionOptions, sink: EventSink, now: () => number) {
    this.#options = options;
    this.#sink = sink;
    this.#now = now;
    this.#stopping = new Promise((resolve) => {
      this.#stop = resolve;
    });
  }

  /** True if a connection was open. */
  get opened(): boolean {
    return this.#opened;
  }

  /** The number of messages that were received, on all connections. */
  get received(): number {
    return this.#received;
  }

  /** Closes the open connection, and every later one. Returns whether one is open. */
  stop(): boolean {
    this.#stopped = true;
    this.#stop();
    return this.#connection !== undefined;
  }

  emit(event: EventFacts): void | Promise<void> {
    return this.#sink({ ...event, at: this.#now() } as SessionEvent);
  }

  /**
   * Sends and receives on `connection` to its end. Resolves with how it ended if this side closed it, and with undefined if it ended
   * otherwise. Rejects with the error of the feed, or of a message that cannot be sent at all.
   */
  async run(connection: Connection<undefined>): Promise<CloseInfo | undefined> {
    this.#connection = connection;
    this.#opened = true;
    this.#lastMessage = this.#now();
    const receiving = this.#receive(connection);
    const pinging = this.#ping(connection);
    let failure: { readonly error: unknown } | undefined;
    try {
      await Promise.race([this.#send(connection), this.#stopping, ended(connection)]);
    } catch (error) {
      failure = { error };
    }
    const closing = !connection.signal.aborted;
    if (closing) await connection.close(this.#options.code, this.#options.reason);
    const info = await connection.closed;
    await Promise.all([receiving, pinging]);
    this.#connection = undefined;
    await this.emit({ type: "close", kind: connection.kind, ...info });
    if (failure !== undefined) throw failure.error;
    return closing ? info : undefined;
  }

  /** Sends the script and the feed, and waits for the answers. Rejects if a message cannot be sent for a reason of its own. */
  async #send(connection: Connection<undefined>): Promise<void> {
    const { script, feed } = this.#options;
    for (const { message, pause } of script()) {
      if (pause > 0) await this.#sleep(pause, connection);
      if (!(await this.#sendOne(connection, message, true))) return;
    }
    for (;;) {
      const message = await feed?.next();
      if (message === undefined) break;
      // Without a connection the message stays in the feed.
      if (connection.signal.aborted || this.#stopped || !(await this.#sendOne(connection, message, false))) return;
      feed?.sent();
    }
    await this.#answers(connection);
  }

  /** False if the connection has ended. */
  async #sendOne(connection: Connection<undefined>, message: Message, scripted: boolean): Promise<boolean> {
    try {
      await connection.send(message);
    } catch (error) {
      // Any other error is about the message: it is too long, or does not fit the framing.
      if (connection.signal.aborted) return false;
      throw error;
    }
    await this.#message("out", message, scripted);
    return true;
  }

  async #receive(connection: Connection<undefined>): Promise<void> {
    try {
      for await (const message of connection) {
        if (this.#received >= this.#options.answers) continue;
        this.#received += 1;
        this.#lastReceived = this.#now();
        await this.#message("in", this.#options.texts ? asText(message) : message);
        if (this.#received >= this.#options.answers) this.stop();
      }
    } catch {
      // The loop ends with the error of the connection, which is in its CloseInfo too.
    }
  }

  #message(direction: "in" | "out", message: Message, scripted = false): void | Promise<void> {
    const now = this.#now();
    const since = now - this.#lastMessage;
    this.#lastMessage = now;
    return this.emit({ type: "message", direction, message, since, scripted });
  }

  /** Resolves when the peer was silent for `wait` after the last message that this side sent. */
  async #answers(connection: Connection<undefined>): Promise<void> {
    const { wait } = this.#options;
    const from = this.#now();
    for (;;) {
      const left = Math.max(from, this.#lastReceived) + wait - this.#now();
      if (left <= 0 || connection.signal.aborted) return;
      await this.#sleep(left, connection);
    }
  }

  async #ping(connection: Connection<undefined>): Promise<void> {
    const { ping } = this.#options;
    if (ping === undefined || connection.kind === "tcp") return;
    while (!connection.signal.aborted) {
      try {
        const rtt = await connection.ping();
        await this.emit({ type: "pong", rtt });
      } catch {
        // The connection has ended.
        return;
      }
      await this.#sleep(ping, connection);
    }
  }

  /** Resolves after `length` milliseconds, which may be Infinity, or at the end of the connection. */
  async #sleep(length: number, { signal }: Connection<undefined>): Promise<void> {
    // Node's timers fire at once beyond this.
    const longest = 2 ** 31 - 1;
    await sleep(Math.min(length, longest), undefined, { signal }).catch(() => undefined);
  }
}

/** Bytes that are UTF-8 as a text, and any other message as it is. */
function asText(message: Message): Message {
  if (typeof message === "string") return message;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(message);
  } catch {
    return message;
  }
}

/** Resolves when the connection begins to end. */
function ended({ signal }: Connection<undefined>): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
