/** S5-12: an open connection, and a limit that would end it, keep the process alive; `unref()` and `ref: false` opt out. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { ChildProgram } from "../kit/child-process.ts";

const PROGRAM = fileURLToPath(new URL("alive-program.js", import.meta.url));

/** Node's exit status for a program that awaits something that cannot happen any more. */
const UNSETTLED = 13;

interface End {
  readonly status: number | null;
  readonly said: string;
}

async function run(scene: string, port: number, transport: string): Promise<End> {
  const env = transport === "socket" ? { HOLDFAST_TRANSPORT: "socket" } : {};
  const { status, stdout } = await ChildProgram.run(PROGRAM, [scene, `tcp://127.0.0.1:${port}`], { env });
  return { status, said: stdout };
}

for (const transport of ["fast", "socket"]) {
  describe(`S5-12 on the ${transport} transport`, { concurrency: true }, () => {
    const peers = new Set<Socket>();
    const servers = {
      /** Sends one line and its FIN, and continues to read. */
      ends: createServer({ allowHalfOpen: true }, (socket) => void socket.end("hello\n")),
      /** Sends more than the other side reads. */
      floods: createServer((socket) => void socket.write("x\n".repeat(50_000))),
      silent: createServer(),
    };
    const portOf = (name: keyof typeof servers): number => (servers[name].address() as AddressInfo).port;

    before(async () => {
      for (const server of Object.values(servers)) {
        server.on("connection", (socket) => {
          peers.add(socket);
          socket.on("error", () => undefined).on("close", () => peers.delete(socket));
        });
        server.listen(0, "127.0.0.1");
        await once(server, "listening");
      }
    });
    after(() => {
      for (const server of Object.values(servers)) server.close();
      for (const peer of peers) peer.destroy();
    });

    const waits: readonly [scene: string, peer: keyof typeof servers, says: string][] = [
      ["half open", "ends", "1000"],
      ["holding a message", "ends", "1000"],
      ["paused", "floods", "pauseTimeout"],
      ["paused server", "silent", "pauseTimeout"],
      ["a handler that never returns", "silent", '{"clean":0,"cut":0}'],
    ];
    for (const [scene, peer, says] of waits) {
      it(`S5-12 a program lives until its wait is over: ${scene}`, async () => {
        assert.deepEqual(await run(scene, portOf(peer), transport), { status: 0, said: `begins\nends: ${says}\n` });
      });
    }

    const leaves: readonly [scene: string, peer: keyof typeof servers][] = [
      ["unref of a connection", "silent"],
      ["unref of a paused connection", "floods"],
      ["the option of a connection", "silent"],
      ["unref of a server", "silent"],
      ["the option of a server", "silent"],
    ];
    for (const [scene, peer] of leaves) {
      it(`S5-12 a program need not live for it: ${scene}`, async () => {
        assert.deepEqual(await run(scene, portOf(peer), transport), { status: UNSETTLED, said: "begins\n" });
      });
    }
  });
}
