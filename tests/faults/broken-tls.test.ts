/** TLS peers (OpenSSL) that end badly: without close_notify, inside a record, inside a handshake; and renegotiation. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { describe, it, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { type Connection, connect, type HandshakeError, listen, type ProtocolError } from "../../src/index.ts";
import { chaosProxy } from "../../src/testing/index.ts";
import { LOCALHOST } from "../fixtures/certificates.ts";
import { needed, OPENSSL } from "../kit/foreign-programs.ts";
import { peerFrame } from "../kit/frames.ts";
import { openSockets } from "../kit/kernel-sockets.ts";
import { portOf, switchingTo } from "../kit/raw-peer.ts";

const [CERT, KEY] = ["cert", "key"].map((part) =>
  fileURLToPath(new URL(`../../../tests/fixtures/localhost.${part}.pem`, import.meta.url)),
) as [string, string];
const TRUST = { tls: { ca: LOCALHOST.cert } };
const LINES = { ...TRUST, framing: "lines", lingerTimeout: 100 } as const;

/** `openssl s_server` or `s_client`: its stdin is sent to the peer, and received data is printed. */
class Openssl implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #said = "";
  #changed: () => void = () => undefined;

  constructor(path: string, args: readonly string[]) {
    this.#child = spawn(path, args, { stdio: "pipe" });
    this.#exited = once(this.#child, "exit").then(() => this.#changed());
    // A write fails after the process was killed.
    this.#child.stdin?.on("error", () => undefined);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        this.#said += chunk.toString("latin1");
        this.#changed();
      });
    }
  }

  /** `openssl s_server` on a free port, which it prints. */
  static async listening(
    t: TestContext,
    ...flags: readonly string[]
  ): Promise<(Openssl & { port: number }) | undefined> {
    const path = needed(t, OPENSSL);
    if (path === undefined) return undefined;
    const server = new Openssl(path, ["s_server", "-accept", "127.0.0.1:0", "-cert", CERT, "-key", KEY, ...flags]);
    const [, port] = await server.until(/ACCEPT 127\.0\.0\.1:(\d+)/);
    return Object.assign(server, { port: Number(port) });
  }

  write(bytes: Uint8Array | string): void {
    this.#child.stdin?.write(bytes);
  }

  /** The output, as soon as it matches `pattern`. */
  async until(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.#said);
      if (match !== null) return match;
      if (this.#child.exitCode !== null) throw new Error(`openssl has ended: ${this.#said}`);
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  /** Kills the process: its kernel sends a FIN, and TLS sends no alert. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.#exited;
  }
}

/** A WebSocket that OpenSSL accepts, with a prepared response. */
async function upgradedBy(server: Openssl, url: string): Promise<Connection<undefined>> {
  const opening = connect(url, TRUST);
  const [request] = await server.until(/GET [\s\S]*\r\n\r\n/);
  server.write(switchingTo(request));
  return await opening;
}

describe("a peer over TLS", { timeout: 60_000 }, () => {
  it("that ends without close_notify aborts a WebSocket: 1006", async (t) => {
    await using server = await Openssl.listening(t);
    if (server === undefined) return;
    await using connection = await upgradedBy(server, `wss://127.0.0.1:${server.port}`);
    server.write(peerFrame({ opcode: 1, payload: "the last" }));
    assert.equal(await connection.receive(), "the last");
    server.kill();
    const { code, by, wasClean } = await connection.closed;
    assert.deepEqual([code, by, wasClean], [1006, "peer", false]);
  });

  it("that ends without close_notify inside a line or a frame: the partial message is not delivered", async (t) => {
    await using lines = await Openssl.listening(t);
    await using frames = await Openssl.listening(t);
    if (lines === undefined || frames === undefined) return;
    await using one = await connect(`tls://127.0.0.1:${lines.port}`, LINES);
    await using other = await upgradedBy(frames, `wss://127.0.0.1:${frames.port}`);
    lines.write("whole\nand half");
    frames.write(Buffer.concat([peerFrame({ opcode: 1, payload: "whole" }), Buffer.of(0x81, 9), Buffer.from("and")]));
    for (const [server, connection] of [
      [lines, one],
      [frames, other],
    ] as const) {
      assert.equal(await connection.receive(), "whole");
      // The part is visible in the receiving state, and nothing follows.
      await assert.rejects(
        (async () => {
          for (;;) await connection.receive({ timeout: 20 });
        })(),
        { code: "TIMEOUT" },
      );
      server.kill();
      const { wasClean, cause } = await connection.closed;
      assert.deepEqual([wasClean, (cause as ProtocolError).clause], [false, "unexpected-eof"]);
      await assert.rejects(connection.receive(), { code: "PROTOCOL" });
    }
  });

  it("that is cut inside a record: the content of the record is not delivered", async (t) => {
    await using server = await Openssl.listening(t);
    if (server === undefined) return;
    await using proxy = await chaosProxy({ to: `127.0.0.1:${server.port}` });
    await using connection = await connect(`tls://127.0.0.1:${proxy.port}`, LINES);
    server.write("whole\n");
    assert.equal(await connection.receive(), "whole");
    await proxy.set({ truncateAfter: proxy.counts.bytesToClient + 20_000, direction: "to-client" });
    server.write(`${"x".repeat(50_000)}\n`);
    const { wasClean, cause } = await connection.closed;
    assert.equal(wasClean, false);
    assert.equal((cause as ProtocolError).clause, "unexpected-eof");
  });

  it("that is cut inside the TLS handshake opens no connection", async (t) => {
    await using server = await Openssl.listening(t);
    if (server === undefined) return;
    const before = openSockets();
    {
      await using proxy = await chaosProxy({ to: `127.0.0.1:${server.port}` });
      await proxy.set({ truncateAfter: 100, direction: "to-client" });
      for (const scheme of ["wss", "tls"]) {
        await assert.rejects(
          connect(`${scheme}://127.0.0.1:${proxy.port}`, TRUST),
          ({ code, phase }: HandshakeError) => code === "HANDSHAKE" && phase === "tls",
        );
      }
    }
    while (openSockets() > before) await new Promise(setImmediate);
  });

  it("that sends close_notify between two lines ends cleanly", async (t) => {
    await using server = await Openssl.listening(t);
    if (server === undefined) return;
    await using connection = await connect(`tls://127.0.0.1:${server.port}`, LINES);
    server.write("whole\n");
    assert.equal(await connection.receive(), "whole");
    server.write("Q\n");
    await assert.rejects(connection.receive(), { code: "CLOSED", closeCode: 1000 });
    await connection.close();
    const { wasClean, by } = await connection.closed;
    assert.deepEqual([wasClean, by], [true, "peer"]);
  });

  it("that renegotiates as a server of TLS 1.2 may do so, and nothing is lost", async (t) => {
    await using server = await Openssl.listening(t, "-tls1_2");
    if (server === undefined) return;
    await using connection = await connect(`tls://127.0.0.1:${server.port}`, LINES);
    for (const line of ["before", "behind"]) {
      server.write(`${line}\n`);
      assert.equal(await connection.receive(), line);
      server.write("r\n");
      await server.until(/SSL_do_handshake -> 1/);
    }
  });

  for (const scheme of ["tls", "wss"]) {
    it(`that renegotiates as a client of ${scheme} is refused, because each renegotiation costs the server more than the client`, async (t) => {
      const path = needed(t, OPENSSL);
      if (path === undefined) return;
      const errors: unknown[] = [];
      const options = { tls: LOCALHOST, onError: (error: unknown) => errors.push(error) };
      await using server = await listen(`${scheme}://127.0.0.1:0`, options, async (connection) => {
        for await (const line of connection) await connection.send(line);
      });
      const at = `127.0.0.1:${portOf(server)}`;
      await using asking = new Openssl(path, ["s_client", "-connect", at, "-tls1_2", "-CAfile", CERT]);
      await asking.until(/Verify return code/);
      asking.write("R\n");
      await asking.until(/RENEGOTIATING[\s\S]*no renegotiation/);
      await using other = await connect(server.url, TRUST);
      await other.send("and me?");
      assert.equal(Buffer.from((await other.receive()) as string).toString(), "and me?");
      assert.deepEqual(errors, []);
    });
  }
});
