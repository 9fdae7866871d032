/** The two roles for compressed messages: an echo server that gets an offer, and an echo client that gets a response. */

import assert from "node:assert/strict";
import {
  type CloseInfo,
  type Connection,
  type ConnectOptions,
  connect,
  type ListenOptions,
  listen,
} from "../../../src/index.ts";
import { ManualClock } from "../../../src/testing/index.ts";
import { answerOf, portOf, rawServer, switchingTo, upgraded, upgradeRequest } from "../../kit/raw-peer.ts";
import { agreementOf, DeflatePeer } from "./deflate-peer.ts";

/** The actions of a peer whose other side echoes. */
export type Talk = (peer: DeflatePeer, answer: string) => Promise<void>;

async function echo(connection: Connection): Promise<void> {
  for await (const message of connection) await connection.send(message);
}

/** Offers `offers` to an echo server, and runs `talk` with the parameters of its response. Returns how the server's connection ended. */
export async function withServer(offers: string, options: ListenOptions, talk: Talk): Promise<CloseInfo> {
  const faults: unknown[] = [];
  const settled = { compression: true, clock: new ManualClock(), ...options };
  await using server = await listen("ws://127.0.0.1:0", { ...settled, onError: (error) => faults.push(error) }, echo);
  await using raw = await upgraded(portOf(server), upgradeRequest("/", { "Sec-WebSocket-Extensions": offers }));
  const [connection] = server.connections;
  assert.ok(connection);
  const answer = answerOf(raw.text.slice(0, raw.text.indexOf("\r\n\r\n") + 4)).headers["sec-websocket-extensions"];
  assert.ok(answer !== undefined, `no extension was agreed on, where ${offers} was offered`);
  assert.equal(connection.extensions, answer);
  const peer = new DeflatePeer(raw, "client", agreementOf(answer));
  await talk(peer, answer);
  raw.socket.destroy();
  const info = await connection.closed;
  assert.deepEqual(faults, []);
  return info;
}

/** Responds to an echo client with `answer`, if its offer allows that, and runs `talk`. Returns how the client's connection ended. */
export async function withClient(
  answer: (offers: readonly string[]) => string,
  options: ConnectOptions<undefined>,
  talk: Talk,
): Promise<CloseInfo> {
  let said = "";
  let trouble: unknown;
  await using server = await rawServer(async (raw) => {
    await raw.head();
    try {
      said = answer(offersIn(raw.text));
      raw.write(switchingTo(raw.text, { "Sec-WebSocket-Extensions": said }));
    } catch (error) {
      trouble = error;
      raw.socket.destroy();
    }
  });
  const clock = new ManualClock();
  const connection = await connect(`ws://127.0.0.1:${server.port}`, { clock, ...options }).catch((error: unknown) => {
    throw trouble ?? error;
  });
  const [raw] = server.peers;
  assert.ok(raw);
  assert.equal(connection.extensions, said);
  const echoing = echo(connection).catch(() => undefined);
  const peer = new DeflatePeer(raw, "server", agreementOf(said));
  await talk(peer, said);
  for (const { socket } of server.peers) socket.destroy();
  const info = await connection.closed;
  await echoing;
  return info;
}

/** The offers of a client, each by itself. */
export function offersIn(request: string): readonly string[] {
  const [, value = ""] = /^Sec-WebSocket-Extensions: (.*)\r$/m.exec(request) ?? [];
  return value.split(",").map((offer) => offer.trim());
}
