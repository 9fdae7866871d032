/** Loops that answer what they receive: each answer is encoded when it is sent, and leaves in order whatever happens between. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { settle } from "../../src/connection/options.ts";
import { webSocketProtocol } from "../../src/connection/protocol.ts";
import { TransportConnection } from "../../src/connection/transport-connection.ts";
import { corkedWrites } from "../../src/connection/write/corked-writes.ts";
import type { ConnectionOptions } from "../../src/index.ts";
import { ManualClock, settled } from "../../src/testing/index.ts";
import { FrameReader, KEY, peerFrame } from "../kit/frames.ts";
import { runs } from "../kit/random.ts";
import { ScriptedTransport } from "./scripted-transport.ts";

/** A connection whose loop answers each message with its own text, twice, on a transport with a fake kernel. */
class Echo {
  readonly kernel = new ScriptedTransport();
  readonly connection: TransportConnection;
  /** In the order of the calls. */
  readonly sent: string[] = [];
  readonly resolved: string[] = [];
  readonly rejected: string[] = [];
  readonly #scratch = new Uint8Array(4);
  direct = 0;
  answers = 0;

  constructor(protocol: ReturnType<typeof webSocketProtocol>) {
    const options = settle({ clock: new ManualClock(), closeTimeout: 1_000 } as ConnectionOptions<never>, "websocket");
    const setup = { transport: this.kernel, protocol, options, url: "ws://kernel" };
    this.connection = new TransportConnection({ ...setup, subprotocol: "", extensions: "", data: 0 });
    this.connection.start();
    // It ends by an error when the test terminates the connection.
    this.#answer().catch(() => undefined);
  }

  async #answer(): Promise<void> {
    for await (const message of this.connection) {
      for (const part of ["a", "b"]) {
        const text = `${String(message)}${part}`;
        // The same memory each time: the caller may reuse it when the call has returned.
        this.#scratch.set(Buffer.from(text.padEnd(4)));
        this.sent.push(text.padEnd(4));
        this.answers += 1;
        const sent = this.connection.send(this.#scratch);
        if (corkedWrites.owner !== undefined) this.direct += 1;
        await sent.then(
          () => this.resolved.push(text),
          () => this.rejected.push(text),
        );
      }
    }
  }

  receive(names: readonly string[]): void {
    const frames = names.map((payload) => peerFrame({ opcode: 1, payload, key: KEY }));
    if (!this.kernel.closed) this.kernel.events?.data(Uint8Array.from(Buffer.concat(frames)));
  }

  get written(): string[] {
    const bytes = Buffer.concat(this.kernel.writes.map((write) => Buffer.from(write, "latin1")));
    return new FrameReader().push(bytes).flatMap(({ opcode, payload }) => (opcode === 2 ? [payload.toString()] : []));
  }
}

const act = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("chunk" as const), to: fc.nat(2), count: fc.integer({ min: 1, max: 5 }) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("turn", "microtask" as const), to: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("fill", "room", "text", "close" as const), to: fc.nat(2) }) },
);

describe("loops that answer, on three connections in the same turns", () => {
  it("write every answer once and in order, and each call settles with the result of its answer", async () => {
    let direct = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 20 }), async (acts) => {
        const protocol = webSocketProtocol("server");
        const echoes = [new Echo(protocol), new Echo(protocol), new Echo(protocol)];
        // The next write uses the shared write buffer only if the kernel accepted the last one at once.
        for (const echo of echoes) echo.receive(["0"]);
        await settled();
        let name = 0;
        for (const one of acts) {
          const echo = echoes[one.to] as Echo;
          if (one.do === "chunk") {
            echo.receive(
              Array.from({ length: one.count }, () => {
                name += 1;
                return `${name}`;
              }),
            );
          } else if (one.do === "fill") echo.kernel.fill();
          else if (one.do === "room") echo.kernel.drain();
          else if (one.do === "text") {
            name += 1;
            echo.sent.push(`${name}`.padEnd(4));
            if (echo.connection.trySend(Buffer.from(`${name}`.padEnd(4))) === "refused") echo.sent.pop();
          } else if (one.do === "close") void echo.connection.close();
          else if (one.do === "microtask") await undefined;
          else await settled();
        }
        await settled();
        for (const { kernel } of echoes) kernel.drain();
        await settled();
        for (const { kernel } of echoes) kernel.drain();
        await settled();
        for (const echo of echoes) {
          const { written, sent, resolved, rejected } = echo;
          const refused = rejected.map((text) => text.padEnd(4));
          // Messages sent before a close are written. Messages sent after it are refused.
          assert.deepEqual(
            written,
            sent.filter((text) => !refused.includes(text)),
          );
          assert.equal(resolved.length + rejected.length, echo.answers, "each call has settled");
          for (const text of resolved) assert.ok(written.includes(text.padEnd(4)), text);
          direct += echo.direct;
          echo.connection.terminate();
        }
        await settled();
        assert.equal(corkedWrites.owner, undefined);
      }),
      runs(400),
    );
    assert.ok(direct > 100, `${direct} answers were encoded directly`);
  });
});
