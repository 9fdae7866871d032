/** Speaks to a running `holdfast serve` over both protocols, with clients that are not ours. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import WebSocket from "ws";

const [ws, tcp] = process.argv.slice(2);
const patience = AbortSignal.timeout(30_000);

async function open(path) {
  const socket = new WebSocket(`${ws}${path}`);
  await once(socket, "open", { signal: patience });
  return socket;
}

async function heard(socket) {
  const [data, isBinary] = await once(socket, "message", { signal: patience });
  return isBinary ? data : String(data);
}

const echo = await open("/echo");
for (const message of ["hello", Buffer.from([0, 255]), "x".repeat(100_000)]) {
  echo.send(message);
  assert.deepEqual(await heard(echo), message);
}
echo.close(1000);
assert.equal((await once(echo, "close", { signal: patience }))[0], 1000);

const [ann, ben] = await Promise.all([open("/chat"), open("/chat")]);
const both = Promise.all([heard(ann), heard(ben)]);
ann.send("to all");
assert.deepEqual(await both, ["to all", "to all"]);
ann.terminate();
ben.terminate();

const { hostname, port } = new URL(tcp);
const socket = connect(Number(port), hostname);
const lines = createInterface({ input: socket });
socket.write("one\ntwo\n");
const got = [];
for await (const line of lines) if (got.push(line) === 2) break;
assert.deepEqual(got, ["one", "two"]);
socket.destroy();

console.log("both protocols answer");
