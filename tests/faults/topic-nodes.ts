/** Nodes of a topic in processes of their own, and clients that come back to them with their positions. */

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import {
  type CloseInfo,
  type Connection,
  connect,
  EnvelopeReader,
  type Message,
  ReconnectingConnection,
  type ReconnectingOptions,
} from "../../src/index.ts";
import { type ChildOptions, ChildProgram } from "../kit/child-process.ts";
import { type Books, ClientBooks, type Confirmation, TOPIC } from "./topics-soak-books.ts";
import type { NodeQuestion } from "./topics-soak-program.ts";

const PROGRAM = fileURLToPath(new URL("./topics-soak-program.js", import.meta.url));
const QUIET = { onError: () => undefined };

/** A node that is killed and started again. */
export class Node {
  url: string | undefined;
  #child: ChildProgram | undefined;
  #route: Connection | undefined;
  readonly #answers: Map<string, (answer: Confirmation) => void> = new Map();

  async start(broker: string, options: ChildOptions = {}): Promise<void> {
    this.#child = new ChildProgram(PROGRAM, [broker], { channel: true, ...options });
    const url = await this.#child.message<string>();
    this.#route = await connect(`${url}/publish`, {
      message: (_, text) => {
        const answer = JSON.parse(String(text)) as Confirmation;
        this.#answers.get(answer.text)?.(answer);
      },
      close: () => this.#forget(),
    });
    this.url = url;
  }

  /** The node closes its connections with 1001, and ends when their work is done. */
  async stop(): Promise<void> {
    this.url = undefined;
    this.#child?.process.kill("SIGTERM");
    const exit = await this.#child?.exit;
    assert.equal(exit?.status, 0);
    await this.#route?.closed;
  }

  freeze(): void {
    this.#child?.process.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child?.process.kill("SIGCONT");
  }

  /** What the node answers to a message over its channel. */
  async ask<Answer>(question: NodeQuestion): Promise<Answer> {
    return (this.#child as ChildProgram).ask<Answer>(question);
  }

  async kill(): Promise<void> {
    this.url = undefined;
    await this.#child?.[Symbol.asyncDispose]();
    await this.#route?.closed;
  }

  /** Resolves without a place if nothing is known about the message. */
  publish(text: string): Promise<Confirmation> {
    return new Promise((resolve) => {
      this.#answers.set(text, (answer) => {
        this.#answers.delete(text);
        resolve(answer);
      });
      if (this.#route?.trySend(text) === "refused") this.#answers.get(text)?.({ text });
    });
  }

  #forget(): void {
    for (const [text, resolve] of this.#answers) resolve({ text });
  }
}

/** A client that comes back with its position, to any node that is there. */
export class Client {
  readonly account: ClientBooks;
  readonly reader: EnvelopeReader = new EnvelopeReader();
  readonly failures: unknown[] = [];
  readonly #connection: ReconnectingConnection;
  #away = false;
  /** Set if it does not come back any more. */
  end: CloseInfo | undefined;

  constructor(books: Books, urlOf: () => string, options: ReconnectingOptions = {}) {
    this.account = new ClientBooks(books);
    this.#connection = new ReconnectingConnection(
      () => {
        if (this.#away) throw new Error("the client is away");
        const position = this.reader.position(TOPIC);
        const query = position === undefined ? "" : `?after=${encodeURIComponent(JSON.stringify(position))}`;
        return `${urlOf()}/${query}`;
      },
      {
        ...QUIET,
        ...{ initialPause: 50, maxPause: 500, stableAfter: 500 },
        ...options,
        state: () => undefined,
        close: (_: unknown, info: CloseInfo) => {
          this.end = info;
        },
        open: () => this.reader.connected(),
        message: (_, message) => this.#take(message as Message),
      },
    );
  }

  async reset(absence: number): Promise<void> {
    this.#away = absence > 0;
    this.#connection.connection?.terminate(new Error("reset"));
    await pause(absence);
    this.#away = false;
  }

  /** Where it is, for a test that fails. */
  get told(): string {
    const { connection, state } = this.#connection;
    return inspect({ last: this.account.last, state, away: this.#away, url: connection?.url, why: this.end?.code });
  }

  async close(): Promise<void> {
    this.#connection.terminate();
    await this.#connection.closed;
  }

  #take(message: Message): void {
    // After the first failure the rest would fail too.
    if (this.failures.length > 0) return;
    try {
      this.account.take(this.reader.receive(message));
    } catch (error) {
      this.failures.push(error);
    }
  }
}
