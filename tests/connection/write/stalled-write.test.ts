/** All connections share one write buffer: bytes in it that wait for a peer that does not read are not overwritten. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as dial, type Socket } from "node:net";
import { it } from "node:test";
import { type Connection, listen } from "../../../src/index.ts";
import { portOf } from "../../kit/raw-peer.ts";

it("messages that wait for one peer keep their content while other connections send", { timeout: 60_000 }, async () => {
  const opened: Connection[] = [];
  let resolveArrived = (): void => undefined;
  await using server = await listen("tcp://127.0.0.1:0", {
    framing: "lines",
    open: (connection) => {
      opened.push(connection);
      resolveArrived();
    },
    message: () => undefined,
  });
  const join = async (): Promise<[Socket, Connection]> => {
    const arrived = new Promise<void>((resolve) => {
      resolveArrived = resolve;
    });
    const socket = dial(portOf(server), "127.0.0.1");
    await Promise.all([once(socket, "connect"), arrived]);
    return [socket, opened.at(-1) as Connection];
  };
  const [stalled, toStalled] = await join();
  const [reader, toReader] = await join();
  let sent = "";
  // As many small writes as the kernels accept. The last one waits.
  for (let line = 0; toStalled.queuedMessages === 0 || toStalled.trySend("probe") !== "queued"; line += 1) {
    if (toStalled.queuedMessages > 0) sent += "probe\n";
    const text = `${line}:${"s".repeat(30_000)}`;
    toStalled.trySend(text);
    sent += `${text}\n`;
    await new Promise(setImmediate);
  }
  sent += "probe\n";
  let read = 0;
  reader.on("data", (chunk: Buffer) => {
    read += chunk.length;
  });
  for (let line = 0; line < 50; line += 1) await toReader.send("r".repeat(40_000));
  while (read < 50 * 40_001) await once(reader, "data");
  let received = "";
  stalled.setEncoding("latin1").on("data", (text: string) => {
    received += text;
  });
  while (received.length < sent.length) await once(stalled, "data");
  assert.ok(received === sent, "byte for byte");
  stalled.destroy();
  reader.destroy();
});
