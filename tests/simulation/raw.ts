/** Peers that do not use the library and break the rules, and what the library must do about each. */

import { createHash } from "node:crypto";
import { createServer, type Server as NetServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Endpoints } from "../../src/transport/transport.ts";
import type { End } from "./end.ts";
import { FAULTY } from "./faulty-server.ts";
import type { Machine, World } from "./world.ts";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const REQUEST = (path: string): string =>
  `GET /${path} HTTP/1.1\r\nHost: server\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`;

/** A frame of a client with the masking key 0. */
export function masked(first: number, payload: Buffer | string): Buffer {
  const bytes = Buffer.from(payload);
  const length = bytes.length < 126 ? [0x80 | bytes.length] : [0xfe, bytes.length >> 8, bytes.length & 255];
  return Buffer.concat([Buffer.from([first, ...length, 0, 0, 0, 0]), bytes]);
}

interface Deed {
  readonly name: string;
  /** What is written behind the request. */
  readonly bytes?: Buffer;
  /** The cause with which the server's end must end: a code of an error, or the name of a limit. */
  readonly cause: string;
  readonly after?: "fin" | "destroy" | "silent";
}

const DEEDS: readonly Deed[] = [
  { name: "unmasked frame", bytes: Buffer.from([0x81, 1, 65]), cause: "PROTOCOL" },
  { name: "reserved bit", bytes: masked(0xc1, "a"), cause: "PROTOCOL" },
  { name: "bad UTF-8", bytes: masked(0x81, Buffer.from([0xff])), cause: "PROTOCOL" },
  { name: "long ping", bytes: masked(0x89, Buffer.alloc(126)), cause: "PROTOCOL" },
  { name: "too large", bytes: Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0]), cause: "LIMIT" },
  { name: "half a message", bytes: masked(0x01, "half"), cause: "messageTimeout", after: "silent" },
  { name: "half a message, then FIN", bytes: masked(0x01, "half"), cause: "PROTOCOL", after: "fin" },
  { name: "FIN without Close", cause: "CLOSED", after: "fin" },
  { name: "socket closed", cause: "CLOSED", after: "destroy" },
  { name: "silence", cause: "heartbeat.timeout", after: "silent" },
  { name: "bad close code", bytes: masked(0x88, Buffer.from([3, 0xed])), cause: "PROTOCOL" },
  { name: "close without code", bytes: masked(0x88, ""), cause: "CLOSED" },
  {
    name: "message, then close 4001",
    bytes: Buffer.concat([masked(0x81, "hi"), masked(0x88, Buffer.from([15, 161]))]),
    cause: "CLOSED",
  },
];

const closeWith = (code: number): Deed => ({
  ...{ name: `close ${code}`, bytes: masked(0x88, Buffer.from([code >> 8, code & 255])), cause: "CLOSED" },
});

const MORE_DEEDS: readonly Deed[] = [
  { name: "opcode 3", bytes: masked(0x83, "a"), cause: "PROTOCOL" },
  { name: "long form of a length", bytes: Buffer.from([0x82, 0xfe, 0, 1, 0, 0, 0, 0, 65]), cause: "PROTOCOL" },
  { name: "fragmented ping", bytes: masked(0x09, ""), cause: "PROTOCOL" },
  { name: "continuation of nothing", bytes: masked(0x80, "a"), cause: "PROTOCOL" },
  { name: "message in a message", bytes: Buffer.concat([masked(0x01, "a"), masked(0x81, "b")]), cause: "PROTOCOL" },
  { name: "close payload of one byte", bytes: masked(0x88, Buffer.from([3])), cause: "PROTOCOL" },
  ...[1002, 1003, 1007, 1008, 1009, 1011, 1013].map(closeWith),
];

/** Opens a connection without the library and breaks a rule on it. */
export function rawClient(world: World, from: Machine, choice: number, more = false): void {
  if (!from.alive || from.frozen) return;
  const deeds = more ? MORE_DEEDS : DEEDS;
  const deed = deeds[choice % deeds.length] as Deed;
  const early = more ? 0 : Math.floor(choice / deeds.length) % 4;
  // What is on its way on a slow link stays slow, also when the link is healed.
  const slow = world.net.link("server", from.name).latency > 100;
  const stream = from.host.connect({ host: world.machine("server").host.address, port: 80 });
  stream.on("error", () => undefined);
  let answer = "";
  let upgraded = false;
  let frames = "";
  stream.on("data", (chunk: Buffer) => {
    if (upgraded) {
      frames += chunk.toString("latin1");
      return;
    }
    answer += chunk.toString("latin1");
    if (!answer.includes("\r\n\r\n")) return;
    upgraded = answer.startsWith("HTTP/1.1 101");
    world.oracle.reach.saw(`raw ${answer.slice(9, 12)}`);
    if (!upgraded) return;
    world.oracle.note(from.name, `raw client: ${deed.name}`);
    if (deed.bytes !== undefined) stream.write(deed.bytes);
    if (deed.after === "fin") stream.end();
    if (deed.after === "destroy") stream.destroy();
    expectEnd(world, stream, from, deed, () => frames);
  });
  stream.once("connect", () => {
    const request = REQUEST(early === 3 ? "idle?any" : "any");
    // Half a request: the server waits for openTimeout.
    stream.write(early === 1 ? request.slice(0, 30) : early === 2 ? request.replace("13", "12") : request);
    const closed = { at: 0 };
    stream.once("close", () => {
      closed.at = world.loop.time;
    });
    const server = world.machine("server");
    const since = world.loop.time;
    if (early === 1)
      world.loop.after(world.limits.openTimeout + 800, () => {
        if (!slow && undisturbed(world, since, server, from) && from.alive && closed.at === 0 && !stream.readableEnded)
          world.oracle.wrong("I4 openTimeout too late", "half a request");
      });
  });
}

/** True if nothing has happened that might delay the server. */
export function undisturbed(world: World, since: number, server: Machine, from: Machine): boolean {
  const running = server.alive && !server.frozen && server.thawedAt < since && world.machine("server") === server;
  return running && !world.slow && !world.ending && from.alive && (world.disturbed.get(from.name) ?? -1) < since;
}

/** The server's end must end as the deed says, in a calm run. */
function expectEnd(world: World, stream: Duplex, from: Machine, deed: Deed, frames: () => string): void {
  const since = world.loop.time;
  const { localAddress, localPort } = (stream as unknown as { endpoints: Endpoints }).endpoints;
  const end = world.oracle.ends.findLast(
    (one): one is End =>
      one.role === "server" && one.connection.remoteAddress === localAddress && one.connection.remotePort === localPort,
  );
  if (end === undefined) return;
  const server = end.process as Machine;
  const { heartbeat, lifetime, messageTimeout, idleTimeout } = world.limits;
  const silence = heartbeat === false ? idleTimeout : heartbeat.interval + heartbeat.timeout;
  const bound = Math.min(lifetime, messageTimeout, silence) + 2 * world.limits.closeTimeout + 1_500;
  world.loop.after(bound, () => {
    if (!undisturbed(world, since, server, from)) return;
    // The end began for another reason, before the deed or before anything of it had arrived.
    if ((end.closingAt ?? since) < since) return;
    if (end.closingAt !== undefined && (deed.bytes !== undefined || deed.after !== "silent") && !end.heardBeforeClosing)
      return;
    if (end.info === undefined) {
      world.oracle.wrong("I4 a bad peer is kept", `${deed.name}: ${end.connection.state}`);
      return;
    }
    const { cause } = end.info;
    const facts = cause as { readonly code?: string; readonly limit?: string } | undefined;
    world.oracle.reach.saw(`deed ${deed.name}`);
    // Without a heartbeat it is the idle limit, and the end of its life may come first.
    const own = deed.cause === "heartbeat.timeout" ? "idleTimeout" : deed.cause === "CLOSED" ? "closeTimeout" : "";
    const limits = [own, "lifetime"];
    const seen = [facts?.code, facts?.limit, cause === undefined ? "CLOSED" : undefined];
    const fits = seen.includes(deed.cause) || limits.includes(facts?.limit ?? "none");
    // RFC 6455 5.5.1: the Close frame is answered with its code.
    if (
      deed.name.endsWith("4001") &&
      cause !== undefined &&
      end.info.code === 4001 &&
      !frames().includes("\x88\x02\x0f\xa1")
    )
      world.oracle.wrong("I3 another code in the answer", deed.name);
    if (!fits) world.oracle.wrong("I3 another cause", `${deed.name}: ${String(cause)}, not ${deed.cause}`);
  });
}

const ANSWERS = [
  "",
  "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
  "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
  "garbage\r\n\r\n",
  "101",
] as const;

/** Answers of servers of other protocols. */
const ODD_ANSWERS = [
  "\x15\x03\x01\x00\x02\x02\x46",
  "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
  "HTTP/1.1 101 Yes\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n",
  "",
] as const;

/** A TCP client without the library that breaks the framing of lines, or makes the handler throw. */
export function rawLines(world: World, from: Machine, choice: number): void {
  if (!from.alive || from.frozen) return;
  const stream = from.host.connect({ host: world.machine("server").host.address, port: FAULTY.lines });
  stream.on("error", () => undefined);
  stream.on("data", () => undefined);
  stream.once("connect", () => {
    const bytes = ["\xff\n", "half a line", "throw\n", "whole\n"][choice % 4] as string;
    stream.write(Buffer.from(bytes, "latin1"));
    if (choice % 4 !== 2) stream.end();
  });
}

/** A server without the library that answers requests in one wrong way. */
export async function evilServer(world: World, choice: number, odd = false): Promise<string> {
  const port = (odd ? 2_000 : 1_000) + (choice % 50);
  const answers: readonly string[] = odd ? ODD_ANSWERS : ANSWERS;
  const answer = answers[choice % answers.length] as string;
  const after = Math.floor(choice / answers.length) % 4;
  const server = createServer();
  server.on("connection", (stream: Socket) => {
    let head = "";
    stream.on("error", () => undefined);
    stream.on("data", (chunk: Buffer) => {
      const had = head.includes("\r\n\r\n");
      head += chunk.toString("latin1");
      if (had || !head.includes("\r\n\r\n")) return;
      if (answer !== "101") {
        stream.write(Buffer.from(answer, "latin1"));
        if (odd) stream.end();
        return;
      }
      const key = /sec-websocket-key: (.*)\r\n/i.exec(head)?.[1] ?? "";
      const accept = createHash("sha1")
        .update(key + (after === 3 ? "x" : GUID))
        .digest("base64");
      stream.write(
        `HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      );
      // A masked frame of a server, or nothing more ever: it neither answers a Ping nor a Close.
      if (after === 1) stream.write(Buffer.from([0x81, 0x81, 0, 0, 0, 0, 65]));
      if (after === 2) stream.end();
    });
  });
  await world
    .machine("evil")
    .host.listen(server as NetServer, { host: "", port, socketPath: undefined })
    .catch(() => undefined);
  return `ws://evil:${port}/`;
}
