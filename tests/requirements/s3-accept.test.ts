/** S3: a server that runs out of descriptors serves those it has, says so, does not spin, and recovers. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { UNTURNED } from "../loop-turns.js";
import type { RawPeer } from "../raw-peers.js";
import type { Answer, Order } from "./short-of-descriptors.js";
import { SPEECHES, type Speech } from "./speech.js";

const PROGRAM = fileURLToPath(new URL("./short-of-descriptors.js", import.meta.url));

// The loader of modules opens more files at once than a server with so few descriptors would have sockets.
const LIMIT = 160;

const skip = process.platform === "win32" && "Windows has no limit that could be lowered";

/** The program under its limit. */
class Short implements AsyncDisposable {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown[]>;

  private constructor(child: ChildProcess, exited: Promise<unknown[]>, port: number) {
    this.#child = child;
    this.#exited = exited;
    this.port = port;
  }

  static async start(url: string): Promise<Short> {
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const child = spawn("/bin/sh", ["-c", `ulimit -n ${LIMIT}; exec "$0" "$@"`, process.execPath, PROGRAM, url], {
      env,
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    const exited = once(child, "exit");
    const [{ port = 0 }] = (await once(child, "message")) as [Answer];
    return new Short(child, exited, port);
  }

  async tell(order: Order): Promise<Answer> {
    const answered = once(this.#child, "message");
    this.#child.send(order);
    const [answer] = (await answered) as [Answer];
    return answer;
  }

  /** Resolves with the exit code of a program that ends by itself. */
  async exit(): Promise<unknown> {
    const [code] = await this.#exited;
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exited;
  }
}

async function echoes(speech: Speech, peer: RawPeer, text: string): Promise<void> {
  peer.write(speech.message(text));
  await peer.until(({ bytes }) => speech.messages(bytes).includes(text));
}

/** Connects, and resolves when the server has ended it. */
async function dropped({ greeting }: Speech, port: number): Promise<void> {
  const socket = connect({ port, host: "127.0.0.1" });
  // Refused or reset: there is no server any more, or it did not read what was said.
  socket.on("error", () => undefined).resume();
  socket.write(greeting);
  await new Promise((resolve) => socket.once("close", resolve));
}

/** Clients that connect one after the other, until they are told to stop. */
function crowd(speech: Speech, port: number): { stop(): Promise<void> } {
  let stopped = false;
  const knock = async (): Promise<void> => {
    while (!stopped) {
      await dropped(speech, port);
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

// Each measures the processor time of a process of its own.
const options = { skip, concurrency: true };

const EMFILE = "TransportError: Cannot accept: EMFILE";

describe("a server without a free descriptor", options, () => {
  for (const speech of SPEECHES) {
    it(`S3-8 goes on, says so, and recovers, on ${speech.name}`, async () => {
      await using server = await Short.start(speech.url);
      await using early = await speech.open(server.port);
      await echoes(speech, early, "before");
      assert.deepEqual((await server.tell("exhaust")).errors, []);

      // libuv accepts and drops whoever comes now, so that he does not wait for nothing.
      await dropped(speech, server.port);
      await echoes(speech, early, "meanwhile");
      const { errors } = await server.tell("measure");
      assert.deepEqual([...new Set(errors)], [EMFILE]);

      await server.tell("release");
      await using late = await speech.open(server.port);
      await echoes(speech, late, "afterwards");
      await echoes(speech, early, "all the time");
      assert.deepEqual((await server.tell("measure")).errors, [], "it is over");
    });

    it(`S3-9 keeps the descriptor out of which libuv's can be made anew until it is needed, on ${speech.name}`, async () => {
      await using server = await Short.start(speech.url);
      assert.notEqual((await server.tell("exhaust")).taken, 0);
      // It looks several times meanwhile, and each time makes sure that libuv has its own.
      assert.notDeepEqual((await server.tell("measure")).errors, []);
      assert.equal((await server.tell("exhaust")).taken, 0);
    });

    for (const stolen of [false, true]) {
      const how = stolen ? ", even if another thread has taken libuv's reserve" : "";
      it(`S3-9 does not spin${how}, and its accept loop ends on close, on ${speech.name}`, {
        skip: UNTURNED,
      }, async () => {
        await using server = await Short.start(speech.url);
        await using early = await speech.open(server.port);
        await echoes(speech, early, "before");
        await server.tell("exhaust");
        const clients = crowd(speech, server.port);
        if (stolen) await server.tell("steal");
        await server.tell("measure");
        // Beginning with 5 ms, the pauses have doubled until they are a second long.
        const { busyness, errors } = await server.tell("measure");
        const { spent, turns, cpu } = busyness!;
        // Five percent of two seconds are 100 ms, and a turn with somebody to drop takes a few tenths of one. Counted are the
        // turns, which are no more on a machine with much else to do. What spins makes thousands even there.
        assert.ok(turns < 1_000, `the loop turned ${turns} times in ${spent} ms, ${cpu} of them on the processor`);
        assert.deepEqual([...new Set(errors)], [EMFILE]);
        assert.ok(errors.length <= spent / 1_000 + 1, `${errors.length} reports in ${spent} ms`);
        await echoes(speech, early, "meanwhile");
        await server.tell("close");
        assert.equal(await server.exit(), 0);
        await clients.stop();
      });
    }
  }
});
