/** No peer can add a series: whatever it sends, the set of series is the same afterwards. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Group, listen, metrics } from "../../src/index.ts";
import { VIOLATIONS, wireOf } from "../hostile/violations.ts";
import { KEY, peerFrame } from "../kit/frames.ts";
import { SOCKETS_SKIP } from "../kit/kernel-sockets.ts";
import { portOf, RawPeer, upgradeRequest } from "../kit/raw-peer.ts";

/** The series of the text, without values. */
function seriesOf(text: string): string[] {
  return text.split("\n").flatMap((line) => (/^(#|$)/.test(line) ? [] : [line.slice(0, line.lastIndexOf(" "))]));
}

/** Sends `bytes`, and ends when the server has closed or has taken them. */
async function attack(port: number, ...parts: readonly (string | Uint8Array)[]): Promise<void> {
  await using peer = await RawPeer.to(port);
  for (const part of parts) peer.socket.write(part);
  peer.socket.end();
  while (!peer.ended && !peer.gone) await new Promise(setImmediate);
}

const REQUESTS: readonly string[] = [
  "\u0000\u0001\u0002",
  'GET /"} 1\nholdfast_forged_total 5\n HTTP/1.1\r\n\r\n',
  upgradeRequest("/", { "Sec-WebSocket-Version": '8",forged="1' }),
  upgradeRequest('/{role="forged"}'),
  upgradeRequest("/", { Origin: "https://forged.example" }),
  upgradeRequest("/", { Upgrade: "forged" }),
  upgradeRequest("/", {}, { method: "FORGED" }),
  upgradeRequest("/", { "Sec-WebSocket-Protocol": "forged" }),
  upgradeRequest("/", { "X-Large": "x".repeat(20_000) }),
];

describe("the series", () => {
  it("are the same after every violation, invalid request, close code and reason of a peer", async () => {
    const options = { message: () => undefined, onError: () => undefined, openTimeout: 5_000, closeTimeout: 200 };
    const room = new Group();
    await using server = await listen("ws://127.0.0.1:0", {
      ...options,
      compression: true,
      open: (connection) => {
        room.join(connection);
        room.send("to all");
      },
    });
    await using lines = await listen("tcp://127.0.0.1:0", { ...options, framing: "lines", maxMessageSize: 100 });
    const texts = (): string[] =>
      [metrics(server), metrics(lines), metrics(process)].map((measured) => measured.text());
    // Those of sockets exist from the first reading on.
    while (!SOCKETS_SKIP && !texts().every((text) => text.includes("holdfast_tcp_sockets")))
      await new Promise(setImmediate);
    const before = texts().map(seriesOf);
    const port = portOf(server);
    for (const request of REQUESTS) await attack(port, request);
    for (const { frames } of VIOLATIONS.values()) await attack(port, upgradeRequest("/"), wireOf(frames, true));
    for (const code of [1_000, 1_001, 1_011, 1_014, 3_000, 3_999, 4_000, 4_999]) {
      const payload = Buffer.concat([Buffer.of(code >> 8, code & 255), Buffer.from('"}\nforged{a="b"} 1\n')]);
      await attack(port, upgradeRequest("/"), peerFrame({ opcode: 8, payload, key: KEY }));
    }
    for (const bytes of ["\u00ff\u00fe\n", "x".repeat(1_000), "no end of the line", "\n"])
      await attack(portOf(lines), bytes);
    assert.deepEqual(texts().map(seriesOf), before);
    const snapshot = metrics(server).snapshot();
    assert.ok(snapshot.value("holdfast_connections_closed_total", { cause: "protocol" }) >= 20);
    assert.ok(snapshot.value("holdfast_handshakes_refused_total") >= 5);
    assert.doesNotMatch(texts().join(""), /forged/);
  });
});
