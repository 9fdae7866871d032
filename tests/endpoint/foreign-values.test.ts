/** Values that `instanceof` does not recognise: of another realm (`node:vm`, jest), of a polyfill, of a second copy of the library. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { runInNewContext } from "node:vm";
import {
  ClosedError,
  type Connection,
  type ConnectionError,
  connect,
  type ErrorContext,
  Group,
  type GroupMember,
  HandshakeError,
  isConnectionError,
  LimitError,
  type ListenOptions,
  listen,
  prepare,
  ReconnectingConnection,
  reconnect,
  TimeoutError,
} from "../../src/index.ts";
import { pair } from "../../src/testing/index.ts";
import { portOf, refused, upgradeRequest } from "../kit/raw-peer.ts";

const LIMIT = { timeout: 60_000 };
const ANY_PORT = "ws://127.0.0.1:0";
const foreign = <T>(code: string): T => runInNewContext(code) as T;
/** The copy in dist: these tests use the one that is built beside them. */
const COPY = new URL("../../../dist/index.js", import.meta.url).href;
const secondCopy = (): Promise<typeof import("../../src/index.ts")> => import(COPY);

const echo = async (connection: Connection): Promise<void> => {
  for await (const message of connection) await connection.send(message);
};

// A response of a library that has only its form in common with the global class.
class OwnResponse {
  readonly status: number;
  readonly headers: unknown;
  readonly #body: string;

  constructor(status: number, headers: unknown = new Map(), body: string = "") {
    this.status = status;
    this.headers = headers;
    this.#body = body;
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    return new TextEncoder().encode(this.#body).buffer as ArrayBuffer;
  }
}

interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly errors: readonly [unknown, ErrorContext["place"]][];
  readonly opened: number;
}

/** The response to a client when `authorize` returns `answer`. */
async function responseTo(answer: unknown): Promise<Answered> {
  const errors: [unknown, ErrorContext["place"]][] = [];
  let opened = 0;
  const options: ListenOptions = {
    authorize: () => answer,
    onError: (error, { place }) => void errors.push([error, place]),
  };
  await using server = await listen(ANY_PORT, options, () => {
    opened += 1;
  });
  const { status, headers, body } = await refused(portOf(server), upgradeRequest());
  return { status, headers, body, errors, opened };
}

describe("a response that authorize returns refuses", LIMIT, () => {
  it("when it is from another realm", async () => {
    const answer = foreign(`
      class Response {
        status = 401;
        headers = new Map([["x-realm", "other"]]);
        get [Symbol.toStringTag]() { return "Response"; }
        async arrayBuffer() { return new Uint8Array([110, 111]).buffer; }
      }
      new Response()`);
    const { status, headers, body, errors, opened } = await responseTo(answer);
    assert.deepEqual([status, headers["x-realm"], body, errors, opened], [401, "other", "no", [], 0]);
  });

  it("when it is the response of fetch, and a framework has replaced the global Response", async () => {
    await using backend = createServer((_, response) => void response.writeHead(403, { "X-By": "backend" }).end("out"));
    await once(backend.listen(0, "127.0.0.1"), "listening");
    const answer = await fetch(`http://127.0.0.1:${(backend.address() as AddressInfo).port}`);
    const own = globalThis.Response;
    globalThis.Response = class Response {} as typeof own;
    try {
      const { status, headers, body, opened } = await responseTo(answer);
      assert.deepEqual([status, headers["x-by"], body, opened], [403, "backend", "out", 0]);
    } finally {
      globalThis.Response = own;
      backend.closeAllConnections();
    }
  });

  it("when it is of a library's own class, and keeps each of several cookies", async () => {
    const fields = [
      ["set-cookie", "a=1"],
      ["set-cookie", "b=2"],
    ];
    const { status, body, opened } = await responseTo(new OwnResponse(429, fields, "later"));
    assert.deepEqual([status, body, opened], [429, "later", 0]);
  });
});

describe("an invalid result of authorize is answered with 500 and reported", LIMIT, () => {
  const invalid: Record<string, unknown> = {
    false: false,
    "an Error": new Error("refused"),
    "an Error of another realm": foreign("new Error('refused')"),
    "status and headers without arrayBuffer": { status: 401, headers: {} },
    "status and body without headers": { status: 401, body: "no" },
    "an object with the tag Response": { [Symbol.toStringTag]: "Response" },
    "a response with status 200": new OwnResponse(200),
    "a response with an invalid status": new OwnResponse(4_010),
    "a status that is not a number": Object.assign(new OwnResponse(401), { status: Number.NaN }),
    "headers with a line break": new OwnResponse(401, [["x", "a\r\nSet-Cookie: b=2"]]),
    "headers of a wrong form": new OwnResponse(401, ["x: a"]),
    "a body that is not bytes": Object.assign(new OwnResponse(401), { arrayBuffer: async () => ({ length: 2 }) }),
  };
  for (const [name, answer] of Object.entries(invalid)) {
    it(name, async () => {
      const { status, headers, errors, opened } = await responseTo(answer);
      assert.deepEqual([status, headers["set-cookie"], opened], [500, undefined, 0]);
      assert.deepEqual(
        errors.map(([error, place]) => [(error as Error).name, place]),
        [["TypeError", "authorize"]],
      );
    });
  }

  it("but data of the application with a status is valid", async () => {
    for (const data of [{ status: 401 }, { status: "active", headers: {} }, { headers: {} }, [], new Map()]) {
      let got: unknown;
      await using server = await listen<unknown>(ANY_PORT, { authorize: () => data }, (connection) => {
        got = connection.data;
      });
      await (await connect(server.url)).closed;
      assert.equal(got, data);
    }
  });
});

/** An AbortSignal as old polyfills make it: no reason, no throwIfAborted. */
class OldSignal {
  aborted = false;
  readonly #listeners = new Set<() => void>();

  addEventListener(_: "abort", listener: () => void): void {
    this.#listeners.add(listener);
  }

  removeEventListener(_: "abort", listener: () => void): void {
    this.#listeners.delete(listener);
  }

  abort(): void {
    this.aborted = true;
    for (const listener of this.#listeners) listener();
  }
}

describe("values from another realm or from a polyfill work", LIMIT, () => {
  it("an AbortSignal, in every call that takes one", async () => {
    await using server = await listen(ANY_PORT, echo);
    await using connection = await connect(server.url);
    const old = new OldSignal();
    const signal = old as unknown as AbortSignal;
    const aborted = { name: "AbortError" };
    const steady = new ReconnectingConnection(server.url, { signal });
    const waiting = [
      connection.receive({ signal }),
      steady.receive({ signal }),
      reconnect(server.url, async ({ closed }) => void (await closed), { signal }),
    ];
    while (server.connections.size < 3) await new Promise(setImmediate);
    old.abort();
    for (const call of waiting) await assert.rejects(call, aborted);
    assert.equal((await steady.closed).by, "local");
    await assert.rejects(connection.receive({ signal }), aborted);
    await assert.rejects(connection.send("x", { signal }), aborted);
    await assert.rejects(connect(server.url, { signal }), aborted);
    await assert.rejects(
      reconnect(server.url, () => undefined, { signal }),
      aborted,
    );
  });

  it("a Date, as a deadline of a call and of a connection", async () => {
    const { client, clock } = pair();
    const deadline = foreign<Date>(`new Date(${clock.in(50).getTime()})`);
    const late = assert.rejects(client.receive({ deadline }), TimeoutError);
    client.setWriteDeadline(deadline);
    await clock.advance(50);
    await late;
    await assert.rejects(client.send("x"), TimeoutError);
  });

  it("bytes, as messages, prepared ones, parts and delimiters", async () => {
    const bytes = (view: string): Uint8Array => foreign(`${view}.from([1, 2, 3])`);
    const own = Uint8Array.of(1, 2, 3);
    const large = foreign<Uint8Array>("new Uint8Array(300_000).fill(7)");
    await using server = await listen(ANY_PORT, { compression: true }, echo);
    await using connection = await connect(server.url);
    const sent = [bytes("Uint8Array"), foreign<ArrayBuffer>("Uint8Array.from([1, 2, 3]).buffer"), bytes("Int8Array")];
    for (const message of [...sent, prepare(bytes("Uint8Array"))]) {
      await connection.send(message);
      assert.deepEqual(new Uint8Array((await connection.receive()) as Uint8Array), own);
      assert.notEqual(connection.trySend(message), "refused");
      assert.deepEqual(new Uint8Array((await connection.receive()) as Uint8Array), own);
    }
    await connection.send(large);
    assert.equal(((await connection.receive()) as Uint8Array).length, large.length);
    const writer = connection.writer();
    await writer.write(bytes("Uint8Array"));
    await writer.end(foreign<ArrayBuffer>("Uint8Array.of(4).buffer"));
    assert.deepEqual(new Uint8Array((await connection.receive()) as Uint8Array), Uint8Array.of(1, 2, 3, 4));
  });

  it("bytes, in a framing", async () => {
    const framing = { delimiter: foreign<Uint8Array>("Uint8Array.of(0, 0)"), text: true };
    const delimited = pair({ kind: "tcp", framing });
    await delimited.client.send("a");
    assert.equal(await delimited.server.receive(), "a");
    const custom = {
      encode: (): Uint8Array => foreign("Uint8Array.of(5)"),
      decode: ({ length }: Uint8Array) => ({ message: foreign<Uint8Array>("Uint8Array.of(6)"), size: length }),
    };
    const coded = pair({ kind: "tcp", framing: custom });
    await coded.client.send("a");
    assert.deepEqual(Array.from((await coded.server.receive()) as Uint8Array), [6]);
  });

  it("a URL, in every function that takes one", async () => {
    await using server = await listen(ANY_PORT, echo);
    const url = { href: server.url, protocol: "ws:", toString: () => server.url } as unknown as URL;
    const name = ({ kind }: Connection): string => kind;
    assert.equal(await reconnect(url, name), "websocket");
    assert.equal(await reconnect(() => url, name), "websocket");
    await (await connect(url)).close();
  });
});

describe("two copies of the library in one process", LIMIT, () => {
  it("have different classes", async () => {
    const copy = await secondCopy();
    assert.notEqual(copy.ClosedError, ClosedError);
    assert.ok(fileURLToPath(COPY).includes("dist"));
  });

  it("recognise each other's errors, by isConnectionError and by instanceof", async () => {
    const copy = await secondCopy();
    const closed = new copy.ClosedError({ closeCode: 1000, by: "peer", wasClean: true });
    const limit = new copy.LimitError({ operation: "send", limit: "maxQueuedBytes", maximum: 1, actual: 2 });
    const handshake = await copy.connect("tcp://127.0.0.1:1").catch((error: unknown) => error as ConnectionError);
    for (const error of [closed, limit, handshake]) assert.ok(isConnectionError(error));
    const own = new ClosedError({ closeCode: 1000, by: "peer", wasClean: true });
    assert.ok(copy.isConnectionError(own));
    assert.ok(own instanceof copy.ClosedError);
    assert.ok(closed instanceof ClosedError && limit instanceof LimitError && handshake instanceof HandshakeError);
    assert.ok(!((closed as unknown) instanceof LimitError) && !(new Error("x") instanceof ClosedError));
  });

  it("do not recognise a foreign error with the same name or code", () => {
    const named = Object.assign(new Error("x"), { name: "ClosedError", code: "CLOSED" });
    assert.equal(isConnectionError(named), false);
    assert.equal((named as unknown) instanceof ClosedError, false);
  });

  it("do not affect a class that extends one of the library's classes", async () => {
    class Own extends ClosedError {}
    const facts = { closeCode: 1000, by: "peer", wasClean: true } as const;
    assert.ok(new Own(facts) instanceof Own && new Own(facts) instanceof ClosedError);
    assert.equal(new ClosedError(facts) instanceof Own, false);
    const copy = await secondCopy();
    assert.equal((new copy.ClosedError(facts) as unknown) instanceof Own, false);
  });

  it("accept each other's errors as the cause of terminate", async () => {
    const copy = await secondCopy();
    const { client } = pair();
    const cause = new copy.TransportError({ errno: "EPIPE" });
    client.terminate(cause);
    await assert.rejects(client.receive(), (error) => error === cause);
    assert.equal((await client.closed).cause, cause);
  });

  it("send each other's prepared messages", async () => {
    const copy = await secondCopy();
    const { client, server } = pair();
    const group = new Group();
    group.join(client);
    const prepared = copy.prepare("once") as unknown as ReturnType<typeof prepare>;
    await client.send(prepared);
    assert.equal(client.trySend(prepare(prepared)), "sent");
    assert.equal(group.send(prepared).taken, 1);
    assert.deepEqual(
      [await server.receive(), await server.receive(), await server.receive()],
      ["once", "once", "once"],
    );
  });

  it("accept each other's connections as members of a group, until their end", async () => {
    const copy = await secondCopy();
    await using server = await listen(ANY_PORT, echo);
    const [own, other] = [await connect(server.url), await copy.connect(server.url)];
    const group = new Group<GroupMember>();
    for (const member of [own, other]) group.join(member);
    assert.deepEqual(group.send("to all"), { taken: 2, refused: 0 });
    assert.deepEqual([await own.receive(), await other.receive()], ["to all", "to all"]);
    assert.deepEqual(group.send("to one", { except: other }), { taken: 1, refused: 0 });
    assert.equal(await own.receive(), "to one");
    await other.close();
    assert.deepEqual([group.has(other), group.size], [false, 1]);
    await own.close();
  });
});

describe("a group", () => {
  it("accepts a ReconnectingConnection as a member, until its final end", async () => {
    const received: unknown[] = [];
    await using server = await listen(ANY_PORT, async (connection) => {
      for await (const message of connection) received.push(message);
    });
    const client = new ReconnectingConnection(server.url);
    const group = new Group<GroupMember>();
    group.join(client);
    await client.send("open");
    assert.equal(group.send("hello").taken, 1);
    await client.close();
    assert.deepEqual([received, group.size], [["open", "hello"], 0]);
    group.join(client);
    assert.equal(group.size, 0);
  });

  it("closes a member of any kind without room, with 1013", async () => {
    const closes: unknown[] = [];
    const member: GroupMember = {
      trySend: (_, options) => (options?.overflow === "reject" ? "refused" : "sent"),
      close: async (...given) => void closes.push(given) as never,
      signal: new AbortController().signal,
      closed: new Promise(() => undefined),
    };
    const group = new Group<GroupMember>();
    group.join(member);
    assert.deepEqual(group.send("x", { overflow: "drop-oldest" }), { taken: 1, refused: 0 });
    assert.deepEqual(closes, []);
    assert.deepEqual(group.send("x"), { taken: 0, refused: 1 });
    assert.deepEqual(closes, [[1013, "the outgoing queue is full"]]);
  });

  it("refuses a member that cannot send", () => {
    const group = new Group<GroupMember>();
    for (const wrong of [{}, null, undefined, "x", { trySend: () => "sent" }, { closed: Promise.resolve() }]) {
      for (const call of [() => group.join(wrong as never), () => group.send("x", { except: wrong as never })]) {
        if (wrong === undefined && call !== undefined) continue;
        assert.throws(call, {
          name: "TypeError",
          message: /^Cannot (join|send with except): expected a Connection, or/,
        });
      }
    }
    assert.throws(() => group.join(undefined as never), TypeError);
  });
});
