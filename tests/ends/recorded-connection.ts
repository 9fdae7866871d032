/** One connection of this library in the matrix of ends: reads in one of the four ways, and records results and errors. */

import assert from "node:assert/strict";
import { ClosedError, type CloseInfo, type Connection, type Hooks, type Message } from "../../src/index.ts";
import { type Deferred, deferred } from "../kit/deferred.ts";
import { turns } from "../kit/loop-turns.ts";
import { endsQuietly, type Told, type View } from "./ends.ts";

/** What each side sends first, so that both are known to read. */
export const HELLO = "hello";

/** How the reading view ended. `error` is undefined where a loop or a stream ended without one. */
interface ViewEnd {
  readonly error: unknown;
}

export class RecordedConnection {
  /** Resolves when the connection is open. */
  readonly opened: Deferred<Connection> = deferred<Connection>();
  /** Resolves when the peer's first message was read. */
  readonly greeted: Deferred = deferred();
  /** Messages that were read, in order and whole. */
  received = 0;
  /** What the message hook returns for the peer's first message; undefined for a hook that returns nothing. */
  untilHandled: Promise<void> | undefined;
  readonly #view: View;
  /** Before this no message but the first is read; then one in a few turns. Undefined for a side that reads at once. */
  readonly #slowAfter: Promise<void> | undefined;
  readonly #closings: unknown[] = [];
  readonly #closes: CloseInfo[] = [];
  readonly #closeHook: Deferred = deferred();
  readonly #viewEnd: Deferred<ViewEnd> = deferred<ViewEnd>();

  constructor(view: View, slowAfter?: Promise<void>) {
    this.#view = view;
    this.#slowAfter = slowAfter;
  }

  /** The hooks of the connection. `closing` and `close` are there in every view. */
  get hooks(): Hooks {
    return {
      open: (connection) => this.opened.resolve(connection),
      closing: (_, error) => void this.#closings.push(error),
      close: (_, info) => {
        this.#closes.push(info);
        this.#closeHook.resolve();
      },
      ...(this.#view === "hooks" && { message: (_, message) => this.#take(message) }),
    };
  }

  /** Reads to the end, and rejects with the error of the view, if it has one. */
  async read(connection: Connection): Promise<void> {
    try {
      await this.#read(connection);
      this.#viewEnd.resolve({ error: undefined });
    } catch (error) {
      this.#viewEnd.resolve({ error });
      throw error;
    }
  }

  /** Resolves when the application knows that no further message comes. */
  get viewEnded(): Promise<unknown> {
    return this.#viewEnd.promise;
  }

  async #read(connection: Connection): Promise<void> {
    switch (this.#view) {
      case "for await":
        for await (const message of connection) await this.#take(message);
        break;
      case "receive":
        for (;;) await this.#take(await connection.receive());
      case "streams": {
        const reader = connection.readable.getReader();
        for (let step = await reader.read(); !step.done; step = await reader.read()) await this.#take(step.value);
        break;
      }
      case "hooks":
        await this.#closeHook.promise;
    }
  }

  /** Counts a message. With hooks that are not slow it returns nothing, as most do. */
  #take(message: Message): Promise<void> | undefined {
    if (message === HELLO) {
      this.greeted.resolve();
      return this.untilHandled;
    }
    assert.equal(typeof message, "string");
    assert.ok(isMessage(message as string, this.received), `message ${this.received} is in its place and whole`);
    this.received += 1;
    return this.#slowAfter?.then(() => turns(2));
  }

  /** Fails unless everything that this side is told is one of `told`, in every place where it is told. */
  async assertTold(told: readonly Told[]): Promise<CloseInfo> {
    const connection = await this.opened.promise;
    const info = await connection.closed;
    const { error } = await this.#viewEnd.promise;
    await this.#closeHook.promise;
    const facts = factsOf(info);
    assert.ok(
      told.some((one) => JSON.stringify(one) === JSON.stringify(facts)),
      `closed: ${JSON.stringify(facts)} (${String(info.cause)}), expected ${JSON.stringify(told)}`,
    );
    // The hooks: the beginning once, the end once, with the same facts.
    assert.equal(this.#closings.length, 1, "closing is called once");
    assert.deepEqual(this.#closes, [info], "close is called once, with what closed resolves with");
    const [refusal] = this.#closings;
    assert.equal(connection.signal.reason, refusal, "signal aborts with the error of the closing hook");
    await assert.rejects(connection.send("late"), (late) => late === refusal, "later calls get that error");
    assert.equal(connection.trySend("late"), "refused");
    assert.deepEqual([connection.state, connection.queuedMessages, connection.queuedBytes], ["CLOSED", 0, 0]);
    if (this.#view !== "hooks") {
      await assert.rejects(connection.receive(), (late) => late === refusal, "receive gets the same error");
    }
    this.#assertView(info, error, refusal);
    return info;
  }

  #assertView(info: CloseInfo, error: unknown, refusal: unknown): void {
    if (this.#view === "hooks") {
      assert.equal(error, undefined);
      assertErrorOf(refusal, info);
    } else if (this.#view !== "receive" && endsQuietly(info)) {
      assert.equal(error, undefined, "the loop or stream ends");
    } else {
      assert.equal(error, refusal, "the view gives the error that later calls get");
      assertErrorOf(error, info);
    }
  }
}

/** Fails unless `error` is what calls get at an end of which `info` is the account. */
function assertErrorOf(error: unknown, info: CloseInfo): void {
  const { cause, code, by, reason, wasClean } = info;
  if (cause instanceof Error && cause.constructor !== Error) {
    assert.equal(error, cause, "calls get the same object as closed.cause");
    return;
  }
  // Without a cause there is an error all the same, since a call has to reject; an error of the application is held in it.
  assert.ok(error instanceof ClosedError, `${String(error)} is a ClosedError`);
  assert.deepEqual(
    [error.closeCode, error.by, error.reason, error.wasClean, error.cause],
    [code, by, reason, wasClean, cause],
  );
}

function factsOf({ code, by, wasClean, cause }: CloseInfo): Told {
  const name = cause === undefined ? "none" : (cause as Error).constructor.name;
  return { code, by, wasClean, cause: (name === "Error" ? "thrown" : name) as Told["cause"] };
}

/** The text of message `index`, of `size` characters. */
export function messageOf(index: number, size: number): string {
  return `${index}:`.padEnd(size, "x");
}

/** Whether `text` is message `index`, of whatever size. */
export function isMessage(text: string, index: number): boolean {
  return text.startsWith(`${index}:`) && text.endsWith("x");
}
