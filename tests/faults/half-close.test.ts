/** Peers that shut down their sending side and continue to read: they receive the whole answer, and then our FIN. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { text } from "node:stream/consumers";
import { describe, it } from "node:test";
import { type CloseInfo, listen } from "../../src/index.ts";
import { needed, PYTHON } from "../kit/foreign-programs.ts";
import { SOCKETS_SKIP, untilSockets } from "../kit/kernel-sockets.ts";
import { portOf } from "../kit/raw-peer.ts";

/** A peer that shares no code with the library: it sends a request, shuts down its side, and reads to the end. */
const PEER = `
import hashlib, socket, sys
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
peer.sendall(b"all of it\\n")
peer.shutdown(socket.SHUT_WR)
read, digest = 0, hashlib.sha256()
while True:
    chunk = peer.recv(65536)
    if not chunk: break
    read += len(chunk)
    digest.update(chunk)
print(read, digest.hexdigest())
`;

// Many times the kernel's buffers, so that most of it is sent long after the FIN was received.
const LINES = Array.from({ length: 400 }, (_, line) => `${line} ${"x".repeat(100_000)}`);
const WHOLE = LINES.map((line) => `${line}\n`).join("");

describe("half-closed", { skip: SOCKETS_SKIP, timeout: 60_000 }, () => {
  it("a peer gets the whole answer, then our FIN, and leaves no CLOSE_WAIT (bound: the handler's end)", async (t) => {
    const python = needed(t, PYTHON);
    if (python === undefined) return;
    const ends: CloseInfo[] = [];
    let seen = false;
    // No time limit may take effect.
    const limits = { allowHalfOpen: true, lingerTimeout: Infinity, idleTimeout: Infinity };
    await using server = await listen("tcp://127.0.0.1:0", { framing: "lines", ...limits }, async (connection) => {
      for await (const request of connection) assert.equal(request, "all of it");
      seen = connection.peerEndedFor !== undefined;
      for (const line of LINES) await connection.send(line);
      void connection.closed.then((info) => ends.push(info));
    });
    const peer = spawn(python, ["-c", PEER, String(portOf(server))], { stdio: ["ignore", "pipe", "inherit"] });
    const told = (await text(peer.stdout)).trim();
    assert.equal(told, `${WHOLE.length} ${createHash("sha256").update(WHOLE).digest("hex")}`);
    assert.ok(seen, "the connection knew of the FIN when it began to answer");
    await untilSockets(portOf(server), (sockets) => sockets.every(({ state }) => state !== "CLOSE_WAIT"));
    while (ends.length === 0) await new Promise(setImmediate);
    assert.deepEqual([ends[0]?.wasClean, ends[0]?.by], [true, "peer"]);
  });

  it("an application that never ends does not keep the connection (bound: lingerTimeout)", async (t) => {
    const python = needed(t, PYTHON);
    if (python === undefined) return;
    let ended: Promise<CloseInfo> | undefined;
    await using server = await listen("tcp://127.0.0.1:0", { framing: "lines", lingerTimeout: 50 }, (connection) => {
      ended = connection.closed;
      return new Promise(() => undefined);
    });
    const peer = spawn(python, ["-c", PEER, String(portOf(server))], { stdio: ["ignore", "pipe", "inherit"] });
    assert.match(await text(peer.stdout), /^0 /, "it reads our FIN, and nothing before it");
    assert.ok((await ended) !== undefined);
    await untilSockets(portOf(server), (sockets) => sockets.every(({ state }) => state !== "CLOSE_WAIT"));
  });
});
