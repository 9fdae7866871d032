/** The roles of the tables, on real sockets: an echo server, an echo server with hooks, an echo client. */

import assert from "node:assert/strict";
import { type CloseInfo, type Connection, type ConnectionOptions, connect, listen } from "../../src/index.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { assertHandshake } from "../kit/close-info.ts";
import { portOf, type RawPeer, rawServer, switchingTo, upgraded } from "../kit/raw-peer.ts";
import type { End, Row } from "./row.ts";
import { ScriptedPeer } from "./scripted-peer.ts";

export interface PlayedRole {
  readonly name: string;
  /** Plays `row` on its own connection. Ends early, with an error, when `signal` aborts. */
  readonly play: (row: Row, options: ConnectionOptions, signal: AbortSignal) => Promise<void>;
}

async function echo(connection: Connection): Promise<void> {
  for await (const message of connection) await connection.send(message);
}

export const SERVER: PlayedRole = {
  name: "as server",
  play: (row, options, signal) => asServer(row, options, echo, signal),
};

export const HOOKED: PlayedRole = {
  name: "as server with hooks",
  play: (row, options, signal) => {
    const message = (connection: Connection, data: string | Uint8Array): void => void connection.trySend(data);
    return asServer(row, { ...options, message }, undefined, signal);
  },
};

export const CLIENT: PlayedRole = { name: "as client", play: asClient };

async function asServer(
  row: Row,
  options: ConnectionOptions,
  handler: typeof echo | undefined,
  signal: AbortSignal,
): Promise<void> {
  const faults: unknown[] = [];
  const ended: CloseInfo[] = [];
  await using server = await listen(
    "ws://127.0.0.1:0",
    {
      ...options,
      // The clock does not advance, so no timeout closes a connection.
      clock: new ManualClock(),
      onError: (error) => faults.push(error),
      close: (_, info) => void ended.push(info),
    },
    handler,
  );
  await using raw = await upgraded(portOf(server));
  const [connection] = server.connections;
  await scripted(row, raw, "client", signal);
  const info = await connection?.closed;
  assert.deepEqual(ended, [info]);
  assert.deepEqual(faults, []);
  judge(row.end, info);
}

async function asClient(row: Row, options: ConnectionOptions, signal: AbortSignal): Promise<void> {
  const faults: unknown[] = [];
  let greeted: (raw: RawPeer) => void;
  const arrived = new Promise<RawPeer>((resolve) => {
    greeted = resolve;
  });
  await using server = await rawServer(async (raw) => {
    await raw.head();
    raw.write(switchingTo(raw.text));
    greeted(raw);
  });
  const clock = new ManualClock();
  const onError = (error: unknown): void => void faults.push(error);
  const connection = await connect(`ws://127.0.0.1:${server.port}`, { ...options, clock, onError });
  const echoing = echo(connection).catch((error: unknown) => error);
  await scripted(row, await arrived, "server", signal);
  const info = await connection.closed;
  const error = await echoing;
  // A loop ends if there is no cause, and throws the cause otherwise.
  if (row.end.how !== "failed") assert.equal(error, info.cause);
  assert.deepEqual(faults, []);
  judge(row.end, info);
}

async function scripted(row: Row, raw: RawPeer, side: "client" | "server", signal: AbortSignal): Promise<void> {
  const giveUp = (): void => void raw.socket.destroy();
  signal.addEventListener("abort", giveUp, { once: true });
  const { bytes } = raw;
  const peer = new ScriptedPeer(raw.socket, side, bytes.subarray(bytes.indexOf("\r\n\r\n") + 4));
  await peer.play(row).finally(() => signal.removeEventListener("abort", giveUp));
}

/** True if the connection reports the same end as its peer. */
function judge(end: End, info: CloseInfo | undefined): void {
  assert.ok(info);
  const { code, by, wasClean, cause } = info;
  if (end.how === "failed") {
    assert.deepEqual({ code, by, wasClean }, { code: end.code, by: "local", wasClean: false });
    assert.match(String((cause as Error).name), /^(ProtocolError|LimitError)$/);
  } else {
    const told = end.how === "clean" ? 1000 : end.code;
    assertHandshake(info, { code: told, reason: info.reason, by: "peer" });
  }
}
