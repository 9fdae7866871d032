/** Plays one cell of the matrix of ends on real sockets, and checks it. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { type CloseInfo, type Connection, connect, type Handler, listen, type Server } from "../../src/index.ts";
import { ChildProgram } from "../kit/child-process.ts";
import { type Deferred, deferred } from "../kit/deferred.ts";
import { turns } from "../kit/loop-turns.ts";
import { portOf } from "../kit/raw-peer.ts";
import { type Cell, expected, type Line, type Load, WAYS, type Way } from "./ends.ts";
import type { Order } from "./peer-program.ts";
import { RawSide } from "./raw-side.ts";
import { HELLO, messageOf, RecordedConnection } from "./recorded-connection.ts";
import { optionsOf } from "./transport-options.ts";

const SHORT = { count: 1_000, size: 64 };
const LONG = { count: 16, size: 65_536 };

/** The messages that this side sent. */
interface Sent {
  readonly count: number;
  /** The size of each. */
  readonly size: number;
  /** Resolves with what became of them. */
  readonly settled: Promise<readonly PromiseSettledResult<void>[]>;
}

/**
 * Queues the messages of `load`, and calls `end` before any of them can leave. For a slow peer there are as many as the kernel takes,
 * and then some.
 */
async function queue(connection: Connection, load: Load, end: () => void): Promise<Sent> {
  const calls: Promise<void>[] = [];
  const { count, size } = load === "peer slow" ? LONG : SHORT;
  const send = (): void => {
    for (let left = count; left > 0; left -= 1) calls.push(connection.send(messageOf(calls.length, size)));
  };
  if (load === "queue full") send();
  if (load === "peer slow") {
    for (let before = -1; before !== connection.queuedMessages || before === 0; ) {
      if (connection.queuedMessages === 0) send();
      before = connection.queuedMessages;
      await turns(5);
    }
  }
  assert.equal(connection.queuedMessages > 0, load !== "queue empty", "messages are queued at the moment of the end");
  end();
  return { count: calls.length, size, settled: Promise.allSettled(calls) };
}

/** Fails unless every message arrived, or this side was told that it may not have. `error` is what later calls get. */
async function assertAccounted(
  way: Way,
  { count, settled }: Sent,
  received: number,
  { wasClean }: CloseInfo,
  error: unknown,
): Promise<void> {
  const outcomes = await settled;
  const rejected = outcomes.filter((outcome) => outcome.status === "rejected");
  const resolved = count - rejected.length;
  assert.ok(
    rejected.every(({ reason }) => reason === error),
    "every call gets the same error",
  );
  if (way.queue === "delivered") {
    assert.deepEqual({ resolved, received }, { resolved: count, received: count }, "every message arrives");
  } else if (count > 0) {
    assert.equal(wasClean, false, "this side is told of the loss");
    assert.ok(received <= count);
  }
}

/** This side and what is opened for it. All of it is closed by force if the cell fails. */
class Staged implements AsyncDisposable {
  readonly here: RecordedConnection;
  readonly errors: unknown[] = [];
  server: Server | undefined;
  raw: RawSide | undefined;
  readonly #line: Line;
  readonly #clients: Connection[] = [];

  constructor({ line, view }: Cell) {
    this.here = new RecordedConnection(view);
    this.#line = line;
  }

  /** Listens, with `recorded` as what is told about the connection. */
  async listen(recorded: RecordedConnection, handler: Handler | undefined, more: object = {}): Promise<string> {
    const options = { ...optionsOf(this.#line).server, ...recorded.hooks, onError: this.#onError, ...more };
    this.server = await listen(`${this.#line}://127.0.0.1:0`, options, handler);
    return this.server.url;
  }

  async connect(url: string, recorded: RecordedConnection, more: object = {}): Promise<void> {
    const options = { ...optionsOf(this.#line).client, ...recorded.hooks, onError: this.#onError, ...more };
    const connection = await connect(url, options);
    this.#clients.push(connection);
    void recorded.read(connection).catch(() => undefined);
  }

  readonly #onError = (error: unknown): void => void this.errors.push(error);

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.terminate();
    this.raw?.reset();
    for (const connection of this.server?.connections ?? []) connection.terminate();
    await this.server?.close({ drain: 0 });
  }
}

/** A handler that reads with `recorded`, as applications do: the error of the end leaves it. With hooks there is none. */
function reading(recorded: RecordedConnection, view: Cell["view"]): Handler | undefined {
  return view === "hooks"
    ? (connection) => {
        void recorded.read(connection);
        return connection.closed.then(() => undefined);
      }
    : (connection) => recorded.read(connection);
}

/** Both ends are connections of this library. */
export async function playPair(cell: Cell): Promise<void> {
  const way = WAYS[cell.way];
  await using staged = new Staged(cell);
  const { here } = staged;
  const slow = deferred();
  const there = new RecordedConnection(cell.view, cell.load === "peer slow" ? slow.promise : undefined);
  const handled = deferred();
  const byHook = cell.way === "throws" && cell.view === "hooks";
  const byHandler = cell.way === "returns" || (cell.way === "throws" && !byHook);
  if (byHook) here.untilHandled = handled.promise;
  const server = cell.role === "server" ? here : there;
  const client = cell.role === "server" ? there : here;
  const scoped: Handler = (connection) => {
    void server.read(connection).catch(() => undefined);
    return handled.promise;
  };
  const url = await staged.listen(server, byHandler ? scoped : reading(server, cell.view));
  await staged.connect(url, client);
  const connection = await here.opened.promise;
  await (await there.opened.promise).send(HELLO);
  await connection.send(HELLO);
  await Promise.all([here.greeted.promise, there.greeted.promise]);

  let drained: Promise<unknown> | undefined;
  const sent = await queue(connection, cell.load, () => {
    drained = end(cell, connection, staged.server as Server, handled);
  });
  slow.resolve();

  const info = await here.assertTold(expected(way.here, cell));
  await there.assertTold(expected(way.there, cell));
  await assertAccounted(way, sent, there.received, info, connection.signal.reason);
  if (cell.way === "terminate" && cell.load === "queue full") {
    const outcomes = await sent.settled;
    assert.ok(
      outcomes.every(({ status }) => status === "rejected"),
      "no message that was still queued is taken for sent",
    );
  }
  if (cell.way === "serverClose") assert.deepEqual(await drained, { clean: 1, cut: 0 });
  await (staged.server as Server).close();
  assert.deepEqual(staged.errors, cell.way === "throws" ? [THROWN] : []);
}

const THROWN = new Error("thrown by the application");

/** Ends `connection` in the way of the cell. */
function end(cell: Cell, connection: Connection, server: Server, handled: Deferred): Promise<unknown> | undefined {
  switch (cell.way) {
    case "returns":
      handled.resolve();
      return undefined;
    case "throws":
      handled.reject(THROWN);
      return undefined;
    case "close":
      return connection.close();
    case "terminate":
      connection.terminate();
      return undefined;
    case "serverClose":
      return server.close({ drain: Infinity });
    default:
      throw new Error(`${cell.way} is not for two connections`);
  }
}

/** The peer is raw bytes. */
export async function playRaw(cell: Cell): Promise<void> {
  const way = WAYS[cell.way];
  await using staged = new Staged(cell);
  const { here } = staged;
  const halfOpen = cell.way === "halfClose";
  const peerEnded = deferred();
  const more = halfOpen && {
    allowHalfOpen: true,
    // With hooks alone the application learns of the FIN here.
    observe: ({ type }: { readonly type: string }) => type === "peerEnded" && peerEnded.resolve(),
  };
  if (cell.role === "server") {
    const scoped: Handler = (connection) => {
      const read = here.read(connection);
      read.catch(() => undefined);
      return halfOpen ? connection.closed.then(() => undefined) : read;
    };
    await staged.listen(here, scoped, more || {});
    staged.raw = await RawSide.dial(cell.line, portOf(staged.server as Server));
  } else {
    const listening = await RawSide.listen(cell.line);
    const [side] = await Promise.all([listening.side, staged.connect(listening.url, here, more || {})]);
    staged.raw = side;
  }
  const { raw } = staged;
  const connection = await here.opened.promise;
  raw.send(HELLO);
  await connection.send(HELLO);
  await Promise.all([here.greeted.promise, raw.greeted.promise]);

  if (cell.load === "peer slow") raw.pause();
  const sent = await queue(connection, cell.load, () => {
    if (cell.way === "reset") raw.reset();
    else if (cell.way === "fin" || halfOpen) raw.fin();
    else raw.close(Number(cell.way.slice("close".length)), "of the peer");
  });
  if (cell.load === "peer slow") raw.readSlowly();

  let later = 0;
  if (halfOpen) {
    await (cell.view === "hooks" ? peerEnded.promise : here.viewEnded);
    for (; later < 3; later += 1) await connection.send(messageOf(sent.count + later, sent.size));
    void connection.close();
  }
  const info = await here.assertTold(expected(way.here, cell));
  const errno = await raw.closed;
  assert.equal(raw.fault, undefined);
  await assertAccounted(way, sent, raw.received - later, info, connection.signal.reason);
  if (cell.way !== "reset") assert.deepEqual([errno, raw.ended], [undefined, true], "the peer gets a FIN and no reset");
  const code = /^close(\d+)$/.exec(cell.way)?.[1];
  assert.deepEqual(raw.codes, code === undefined ? [] : [Number(code)], "the Close frame has the peer's code");
  await staged.server?.close();
  assert.deepEqual(staged.errors, []);
}

const PROGRAM = fileURLToPath(new URL("./peer-program.js", import.meta.url));

/** The peers of `cells`, which have the same line and role, are in one process. Resolves with a check for each cell. */
export async function playKilled(cells: readonly Cell[]): Promise<(() => Promise<void>)[]> {
  const [{ line, role }] = cells as [Cell];
  const child = new ChildProgram(PROGRAM, [], { channel: true });
  const order = (urls: Order["urls"]): Promise<string> => child.ask<string>({ line, urls } satisfies Order);
  try {
    const staged = cells.map((cell) => new Staged(cell));
    if (role === "server") {
      const urls = await Promise.all(
        staged.map((one, index) => one.listen(one.here, reading(one.here, (cells[index] as Cell).view))),
      );
      await order(urls);
    } else {
      const url = await order(undefined);
      for (const one of staged) await one.connect(url, one.here);
    }
    for (const { here } of staged) await Promise.all([here.opened.promise, here.greeted.promise]);
    // What is sent from now on is not read.
    child.signal("SIGSTOP");
    const sent: Sent[] = [];
    for (const [index, { here }] of staged.entries()) {
      sent.push(await queue(await here.opened.promise, (cells[index] as Cell).load, () => undefined));
    }
    child.signal("SIGKILL");
    await child.exit;
    return cells.map((cell, index) => async () => {
      const way = WAYS[cell.way];
      await using mine = staged[index] as Staged;
      const { here, server, errors } = mine;
      const info = await here.assertTold(expected(way.here, cell));
      const { signal: ended } = await here.opened.promise;
      await assertAccounted(way, sent[index] as Sent, 0, info, ended.reason);
      await server?.close();
      assert.deepEqual(errors, []);
    });
  } finally {
    child.signal("SIGKILL");
  }
}
