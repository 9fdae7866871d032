/** S3: a server without free descriptors serves its connections, reports it, does not spin, and recovers. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { ChildProgram } from "../kit/child-process.ts";
import { LOOP_TURNS_SKIP } from "../kit/loop-turns.ts";
import type { RawPeer } from "../kit/raw-peer.ts";
import { WIRE_PROTOCOLS, type WireProtocol } from "../kit/wire-protocols.ts";
import type { Answer, Order } from "./short-of-descriptors.ts";

const PROGRAM = fileURLToPath(new URL("./short-of-descriptors.js", import.meta.url));

// The module loader opens more files at once than a server with so few descriptors has sockets.
const LIMIT = 160;

const skip = process.platform === "win32" && "Windows has no limit that could be lowered";

/** The program with its limit. */
class Short implements AsyncDisposable {
  readonly port: number;
  readonly #child: ChildProgram;

  private constructor(child: ChildProgram, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async start(url: string): Promise<Short> {
    const by = ["/bin/sh", "-c", `ulimit -n ${LIMIT}; exec "$0" "$@"`];
    const child = new ChildProgram(PROGRAM, [url], { by, channel: true });
    const { port = 0 } = await child.message<Answer>();
    return new Short(child, port);
  }

  tell(order: Order): Promise<Answer> {
    return this.#child.ask<Answer>(order);
  }

  /** Resolves with the exit code of a program that ends by itself. */
  async exit(): Promise<unknown> {
    return (await this.#child.exit).status;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#child[Symbol.asyncDispose]();
  }
}

async function echoes(wire: WireProtocol, peer: RawPeer, text: string): Promise<void> {
  peer.write(wire.message(text));
  await peer.until(({ bytes }) => wire.messages(bytes).includes(text));
}

/** Connects, and resolves when the server has ended the connection. */
async function dropped({ greeting }: WireProtocol, port: number): Promise<void> {
  const socket = connect({ port, host: "127.0.0.1" });
  // Refused or reset: there is no server any more, or it did not read the request.
  socket.on("error", () => undefined).resume();
  socket.write(greeting);
  await new Promise((resolve) => socket.once("close", resolve));
}

/** Clients that connect one after the other until they are stopped. */
function crowd(wire: WireProtocol, port: number): { stop(): Promise<void> } {
  let stopped = false;
  const knock = async (): Promise<void> => {
    while (!stopped) {
      await dropped(wire, port);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const knocking = [knock(), knock(), knock()];
  return {
    stop: async () => {
      stopped = true;
      await Promise.all(knocking);
    },
  };
}

// Each test measures the processor time of its own process.
const options = { skip, concurrency: true };

const EMFILE = "TransportError: Cannot accept: EMFILE";

describe("a server without a free descriptor", options, () => {
  for (const wire of WIRE_PROTOCOLS) {
    it(`S3-8 continues, reports it, and recovers, on ${wire.name}`, async () => {
      await using server = await Short.start(wire.url);
      await using early = await wire.open(server.port);
      await echoes(wire, early, "before");
      assert.deepEqual((await server.tell("exhaust")).errors, []);

      // libuv accepts and closes new connections, so that clients do not wait in vain.
      await dropped(wire, server.port);
      await echoes(wire, early, "meanwhile");
      const { errors } = await server.tell("measure");
      assert.deepEqual([...new Set(errors)], [EMFILE]);

      await server.tell("release");
      await using late = await wire.open(server.port);
      await echoes(wire, late, "afterwards");
      await echoes(wire, early, "all the time");
      assert.deepEqual((await server.tell("measure")).errors, [], "it is over");
    });

    it(`S3-9 keeps the descriptor from which libuv's can be restored until it is needed, on ${wire.name}`, async () => {
      await using server = await Short.start(wire.url);
      assert.notEqual((await server.tell("exhaust")).taken, 0);
      // The guard checks several times meanwhile, and restores libuv's descriptor each time.
      assert.notDeepEqual((await server.tell("measure")).errors, []);
      assert.equal((await server.tell("exhaust")).taken, 0);
    });

    for (const stolen of [false, true]) {
      const how = stolen ? ", even if another thread has taken libuv's reserve" : "";
      it(`S3-9 does not spin${how}, and its accept loop ends on close, on ${wire.name}`, {
        skip: LOOP_TURNS_SKIP,
      }, async () => {
        await using server = await Short.start(wire.url);
        await using early = await wire.open(server.port);
        await echoes(wire, early, "before");
        await server.tell("exhaust");
        const clients = crowd(wire, server.port);
        if (stolen) await server.tell("steal");
        await server.tell("measure");
        // Beginning with 5 ms, the pauses have doubled up to a second.
        const { busyness, errors } = await server.tell("measure");
        const { spent, turns, cpu } = busyness!;
        // Five percent of two seconds are 100 ms, and a turn that closes a connection takes a few tenths of a millisecond. Turns are
        // counted, because their number does not depend on the load of the machine. A busy loop makes thousands of them.
        assert.ok(turns < 1_000, `the loop turned ${turns} times in ${spent} ms, ${cpu} of them on the processor`);
        assert.deepEqual([...new Set(errors)], [EMFILE]);
        assert.ok(errors.length <= spent / 1_000 + 1, `${errors.length} reports in ${spent} ms`);
        await echoes(wire, early, "meanwhile");
        await server.tell("close");
        assert.equal(await server.exit(), 0);
        await clients.stop();
      });
    }
  }
});
