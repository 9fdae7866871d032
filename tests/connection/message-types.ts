/** The types of messages, by the options. The compiler is the test: nothing here runs. */

import {
  accept,
  acceptSync,
  attach,
  type Connection,
  connect,
  Hub,
  json,
  listen,
  type Message,
  type MessageBytes,
  ReconnectingConnection,
  reconnect,
  type Sendable,
} from "../../src/index.ts";
import { pair } from "../../src/testing/index.ts";
import { exactly } from "../kit/exactly.ts";

interface In {
  readonly in: number;
}
interface Out {
  readonly out: number;
}

// @ts-expect-error: the check notices another type.
exactly<string>()(1);
// @ts-expect-error: and `any`.
exactly<string>()(JSON.parse("1"));

export async function byConnect(): Promise<void> {
  exactly<Connection<undefined, Message, Sendable>>()(await connect("ws://a"));
  exactly<string>()(await (await connect("ws://a", { messageType: "text" })).receive());
  exactly<MessageBytes>()(await (await connect("ws://a", { messageType: "binary" })).receive());
  exactly<MessageBytes>()(await (await connect("ws://a", { messageType: "bytes" })).receive());
  exactly<Message>()(await (await connect("ws://a", { messageType: "any" })).receive());
  exactly<never>()(await (await connect("ws://a", { messageType: "none" })).receive());
  exactly<string>()(await (await connect("tcp://a:1", { framing: "lines" })).receive());
  exactly<string>()(await (await connect("tcp://a:1", { framing: { eol: "\r\n" } })).receive());
  exactly<string>()(await (await connect("tcp://a:1", { framing: { lengthPrefix: 4, text: true } })).receive());
  exactly<MessageBytes>()(await (await connect("tcp://a:1", { framing: "raw" })).receive());
  exactly<MessageBytes>()(await (await connect("tcp://a:1", { framing: { lengthPrefix: 4 } })).receive());
  exactly<MessageBytes>()(await (await connect("tcp://a:1", { framing: { delimiter: "\0" } })).receive());
  exactly<MessageBytes>()(await (await connect("tcp://a:1", { framing: { fixed: 8 } })).receive());
  const custom = { encode: () => new Uint8Array(1), decode: () => ({ message: "a", size: 1 }) };
  exactly<Message>()(await (await connect("tcp://a:1", { framing: custom })).receive());

  await connect("ws://a", { messageType: "text", message: (_, text) => exactly<string>()(text) });
  const typed = await connect("ws://a", { codec: json<In, Out>(), message: (_, value) => exactly<In>()(value) });
  exactly<Connection<undefined, In, Out>>()(typed);
  for await (const value of typed) exactly<In>()(value);
  await typed.send({ out: 1 });
  // @ts-expect-error: a message is no value.
  await typed.send("text");
  // @ts-expect-error: another type of value.
  typed.trySend({ in: 1 });
  // @ts-expect-error: without a codec a value is no message.
  await (await connect("ws://a", { messageType: "text" })).send({ out: 1 });
  const data = await connect("ws://a", { data: { name: "Ali" }, codec: json<In, Out>() });
  exactly<string>()(data.data.name);
}

export async function byServers(): Promise<void> {
  const codec = json<In, Out>();
  const server = await listen("ws://a", { codec, authorize: () => ({ name: "Ali" }) }, async (connection, request) => {
    exactly<string>()(connection.data.name);
    exactly<string>()(request.path);
    for await (const value of connection) exactly<In>()(value);
    await connection.send({ out: 1 });
  });
  for (const connection of server.connections) exactly<Connection<{ name: string }, In, Out>>()(connection);
  await listen("tcp://a:1", { framing: "lines" }, async (connection) => {
    for await (const line of connection) exactly<string>()(line);
  });
  await listen("ws://a", { messageType: "text", message: (_, text) => exactly<string>()(text) });
  server.route("/b", { codec, handler: async (connection) => exactly<In>()(await connection.receive()) });
  attach(null as never, { codec, open: (connection) => void connection.trySend({ out: 2 }) });
  attach(null as never, { messageType: "text" }, async (connection) => exactly<string>()(await connection.receive()));
}

export async function byAccept(): Promise<void> {
  const event = [null as never, null as never, new Uint8Array()] as const;
  exactly<In>()(await (await accept(...event, { codec: json<In, Out>() })).receive());
  exactly<Message>()(await (await accept(...event)).receive());
  await acceptSync(...event, { messageType: "text", message: (_, text) => exactly<string>()(text) })?.send("a");
}

export async function byOthers(): Promise<void> {
  await reconnect("ws://a", async (connection) => exactly<string>()(await connection.receive()), {
    messageType: "text",
  });
  await reconnect("ws://a", async (connection) => connection.send({ out: 1 }), { codec: json<In, Out>() });
  const client = new ReconnectingConnection("ws://a", {
    codec: json<In, Out>(),
    open: (connection) => connection.send({ out: 1 }),
    message: (_, value) => exactly<In>()(value),
  });
  exactly<In>()(await client.receive());
  exactly<string>()(await new ReconnectingConnection("tcp://a:1", { framing: "lines" }).receive());
  exactly<Message>()(await new ReconnectingConnection("tcp://a:1").receive());
  const ends = pair({ server: { codec: json<In, Out>() }, client: { messageType: "text" } });
  exactly<In>()(await ends.server.receive());
  exactly<string>()(await ends.client.receive());
}

/** What a hook returns is not used, so a hook may return the promise of any call. */
export async function byHooks(): Promise<void> {
  const topic = new Hub().topic("room");
  await listen("ws://a", {
    open: (connection) => topic.join(connection),
    message: (_, message) => topic.publish(message),
    request: (_, response) => Promise.resolve(response),
  });
  await listen("ws://a", {}, (connection) => topic.join(connection));
  await connect("ws://a", { open: (connection) => topic.join(connection) });
  new ReconnectingConnection("ws://a", {
    open: (connection) => topic.join(connection),
    message: (client) => topic.join(client),
  });
  // @ts-expect-error: a value that is no promise is a mistake.
  await listen("ws://a", { message: () => 1 });
  // @ts-expect-error: a function that returns a hook is none.
  await connect("ws://a", { open: () => (connection: Connection) => topic.join(connection) });
}
