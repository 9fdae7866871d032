/** `holdfast doctor --attach` on programs that leak: what it says, and that it leaves nothing behind. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer as createHttp } from "node:http";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { fileURLToPath } from "node:url";
import { WebSocket } from "ws";
import { DOCTOR_LINE } from "../../../src/cli/doctor/flags.ts";
import { KernelSockets } from "../../../src/kernel/index.ts";
import { ChildProgram, type Exit } from "../../kit/child-process.ts";
import { needsPackages } from "../../kit/foreign-programs.ts";
import { SOCKETS_SKIP, untilSockets } from "../../kit/kernel-sockets.ts";
import { ServeProcess } from "../../kit/serve-process.ts";

const PROGRAM = fileURLToPath(new URL("./leaking-programs.js", import.meta.url));

// Without ss the doctor watches for the bound, so it finds what has just begun too.
const WITHOUT_SS = { PATH: "/nowhere" };
const BOUND = ["--bound", "500"];

async function doctor(...flags: readonly string[]): Promise<Exit> {
  await using examining = new ServeProcess(["doctor", ...flags, ...BOUND], [], WITHOUT_SS);
  return await examining.exit;
}

// TLS without a certificate, for both sides.
const PSK: ConnectionOptions = {
  ...{ ciphers: "PSK", minVersion: "TLSv1.2", maxVersion: "TLSv1.2", checkServerIdentity: () => undefined },
  pskCallback: () => ({ psk: Buffer.alloc(16, 1), identity: "x" }),
};

/** A program that leaks. Its inspector gets a free port, not the usual one: other tests run beside this one. */
class Leaking extends ChildProgram {
  port = 0;

  static async start(
    kind: string,
    argument = "",
    node: readonly string[] = ["--inspect-port=0"],
    env: NodeJS.ProcessEnv = {},
  ): Promise<Leaking> {
    const leaking = new Leaking(PROGRAM, [kind, argument], { node, env, stderr: "kept" });
    leaking.port = Number(await leaking.line());
    return leaking;
  }

  get pid(): number {
    return this.process.pid ?? 0;
  }

  /** The number of listening sockets of the process. */
  async listening(): Promise<number> {
    const report = await new KernelSockets({ pid: this.pid }).read();
    return report.supported ? report.sockets.filter(({ state }) => state === "LISTEN").length : 0;
  }

  /** Clients that write, and then end. */
  async leave(count: number, text: string): Promise<Disposable> {
    const clients = Array.from({ length: count }, () =>
      connect({ port: this.port, host: "127.0.0.1", allowHalfOpen: true }),
    );
    for (const client of clients) client.on("error", () => undefined).end(text);
    await this.untilClosed(count);
    return {
      [Symbol.dispose]: () => {
        for (const client of clients) client.destroy();
      },
    };
  }

  async untilClosed(count: number): Promise<void> {
    // By their ports: the kernel may repeat a row while the table changes.
    const closed = (sockets: readonly { readonly state: string; readonly peerPort: number }[]): boolean =>
      new Set(sockets.filter(({ state }) => state === "CLOSE_WAIT").map(({ peerPort }) => peerPort)).size === count;
    await untilSockets(this.port, closed);
  }

  /** Fails unless the program serves and has no inspector. */
  async assertUnharmed(): Promise<void> {
    assert.equal(await this.listening(), 1, "only its own server listens");
    const client = connect(this.port, "127.0.0.1").on("error", () => undefined);
    client.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    const [bytes] = (await once(client, "data")) as [Buffer];
    assert.match(bytes.toString(), /hello|HTTP\/1\.1 (200|426)/);
    client.destroy();
  }
}

const inside = (stdout: string): string[] => stdout.split("\n").filter((line) => line.startsWith("inside: "));

describe("holdfast doctor --attach", { skip: SOCKETS_SKIP, timeout: 240_000, concurrency: 4 }, () => {
  it("explains sockets with allowHalfOpen that are never ended", async () => {
    await using program = await Leaking.start("net");
    using _ = await program.leave(3, "x");
    const { status, stdout, stderr } = await doctor("--attach", `${program.pid}`);
    assert.deepEqual([status, stderr], [1, ""]);
    assert.deepEqual(inside(stdout), [
      "inside: 3 sockets in CLOSE_WAIT: net.Sockets that were not ended: end() was not called after the peer's FIN, as allowHalfOpen requires",
    ]);
    assert.match(
      stdout,
      /^ {4}descriptor \d+: Socket, not paused, 0 bytes read and not taken, allowHalfOpen, listeners: end 1$/m,
    );
    await program.assertUnharmed();
  });

  it("explains WebSockets of ws that are paused and forgotten", async () => {
    await using program = await Leaking.start("ws");
    const clients = [0, 1].map(() => new WebSocket(`ws://127.0.0.1:${program.port}`));
    for (const client of clients) client.on("error", () => undefined);
    await Promise.all(clients.map((client) => once(client, "message")));
    for (const client of clients) {
      client.send("too much");
      // No more than the kernels hold, so that the FIN arrives.
      client.send("x".repeat(120_000), () => client.terminate());
    }
    await program.untilClosed(2);
    const { status, stdout } = await doctor("--attach", `${program.pid}`);
    assert.equal(status, 1);
    assert.deepEqual(inside(stdout), [
      "inside: 2 sockets in CLOSE_WAIT: ws WebSockets that were paused and never resumed; ws does not see a FIN behind unread bytes",
    ]);
    assert.match(stdout, /descriptor \d+: ws, readyState OPEN, paused, [1-9]\d* bytes read and not taken/);
    await program.assertUnharmed();
  });

  it("explains requests to an http server that are neither read nor answered", async () => {
    await using program = await Leaking.start("http-server");
    using _ = await program.leave(
      1,
      `POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 900000\r\n\r\n${"x".repeat(120_000)}`,
    );
    const { stdout } = await doctor("--attach", `${program.pid}`);
    assert.deepEqual(inside(stdout), [
      "inside: 1 socket in CLOSE_WAIT: a request to an http server whose body was never read to its end; http does not see a FIN behind unread bytes",
    ]);
    await program.assertUnharmed();
  });

  it("explains requests of an http client whose response is never read", async () => {
    // More than a response and its socket buffer, and no more than the kernel holds beyond that, so that the FIN arrives.
    const body = "x".repeat(150_000);
    const server = createHttp((_, response) => response.setHeader("connection", "close").end(body));
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    await using program = await Leaking.start("http-agent", `http://127.0.0.1:${port}`);
    const report = async (): Promise<number> => {
      const read = await new KernelSockets({ pid: program.pid }).read();
      return read.supported ? read.sockets.filter(({ state }) => state === "CLOSE_WAIT").length : 0;
    };
    while ((await report()) < 3) await new Promise((resolve) => setTimeout(resolve, 20));
    const { stdout } = await doctor("--attach", `${program.pid}`);
    assert.deepEqual(inside(stdout), [
      "inside: 3 sockets in CLOSE_WAIT: requests of an http client whose response was never read to its end; http does not see a FIN behind unread bytes",
    ]);
    await program.assertUnharmed();
    server.close();
  });

  it("explains responses of fetch whose body is never read", async () => {
    const body = "x".repeat(300_000);
    const server = createHttp((_, response) => void response.end(body));
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    await using program = await Leaking.start("fetch", `http://127.0.0.1:${port}`);
    await untilSockets(port, ([socket]) => (socket?.unacknowledged ?? 0) > 0);
    const { stdout } = await doctor("--attach", `${program.pid}`);
    assert.deepEqual(inside(stdout), [
      "inside: 1 socket with unread bytes: a connection of fetch whose response was never read to its end",
    ]);
    server.closeAllConnections();
    server.close();
  });

  it("explains sockets that nothing reads", async () => {
    await using program = await Leaking.start("unread");
    using _ = await program.leave(1, "x");
    const { stdout } = await doctor("--attach", `${program.pid}`);
    assert.deepEqual(inside(stdout), [
      "inside: 1 socket in CLOSE_WAIT: a net.Socket that nothing reads, because there is no listener for data; Node does not see a FIN behind unread bytes",
    ]);
  });

  it("explains sockets of a TLS server, with --heap", async () => {
    await using program = await Leaking.start("tls");
    const options = { port: program.port, ...PSK, allowHalfOpen: true };
    const client = connectTls(options, () => client.end("x"));
    client.on("error", () => undefined);
    await program.untilClosed(1);
    const withoutHeap = await doctor("--attach", `${program.pid}`);
    assert.deepEqual(inside(withoutHeap.stdout), [
      "inside: 1 socket in CLOSE_WAIT: a TLS socket of a server; --heap says more",
    ]);
    const { stdout } = await doctor("--attach", `${program.pid}`, "--heap");
    client.destroy();
    assert.deepEqual(inside(stdout), [
      "inside: 1 socket in CLOSE_WAIT: a TLS socket that was not ended: end() was not called after the peer's FIN, as allowHalfOpen requires",
    ]);
  });

  it("explains clients of Socket.IO", async (t) => {
    if (!needsPackages(t, ["socket.io"])) return;
    await using program = await Leaking.start("socket.io");
    const client = new WebSocket(`ws://127.0.0.1:${program.port}/socket.io/?EIO=4&transport=websocket`);
    client.on("error", () => undefined);
    await once(client, "message");
    client.send("40");
    // The answer to "40": the server has paused by then.
    await once(client, "message");
    client.send("x".repeat(120_000), () => client.terminate());
    await program.untilClosed(1);
    const { stdout } = await doctor("--attach", `${program.pid}`);
    assert.deepEqual(inside(stdout), [
      "inside: 1 socket in CLOSE_WAIT: a Socket.IO client that was paused and never resumed; Socket.IO does not see a FIN behind unread bytes",
    ]);
  });

  it("explains connections of Holdfast, which have no net.Socket", async () => {
    await using program = await Leaking.start("holdfast");
    const client = connect(program.port, "127.0.0.1").on("error", () => undefined);
    // As many bytes as the kernels hold, and the application does not take.
    client.write("a line\n".repeat(2_000_000));
    await untilSockets(program.port, ([socket]) => (socket?.unread ?? 0) > 10_000);
    const { stdout } = await doctor("--attach", `${program.pid}`);
    client.destroy();
    assert.deepEqual(inside(stdout), [
      "inside: 1 socket with unread bytes: a connection of Holdfast whose messages the application does not take",
    ]);
    await program.assertUnharmed();
  });

  it("records which code opens sockets", async () => {
    const server = createServer((socket) => socket.end());
    await once(server.listen(0, "127.0.0.1"), "listening");
    await using program = await Leaking.start("opener", String((server.address() as AddressInfo).port));
    const { stdout } = await doctor("--attach", `${program.pid}`, "--for", "500ms");
    server.close();
    assert.match(stdout, /^opened: [1-9]\d* by this process, at\n {4}\S*openAgain .*\(.*leaking-programs\.\S+\)\n/m);
    await program.assertUnharmed();
  });

  it("closes the inspector when a signal ends the command", async () => {
    await using program = await Leaking.start("net");
    await using examining = new ServeProcess(
      ["doctor", "--attach", `${program.pid}`, "--for", "60s", "--json", ...BOUND],
      [],
      WITHOUT_SS,
    );
    let ended: Exit | undefined;
    void examining.exit.then((exit) => (ended = exit));
    while ((await program.listening()) < 2) {
      assert.equal(ended, undefined, "the command waits for the signal");
      await pause(20);
    }
    examining.signal("SIGINT");
    const { status, stdout, stderr } = await examining.exit;
    assert.deepEqual([status, stdout], [1, ""]);
    assert.equal(stderr, `holdfast: stopped by SIGINT; the inspector of process ${program.pid} is as it was before\n`);
    await program.assertUnharmed();
  });

  const INSPECT = "--inspect=127.0.0.1:0";
  for (const [from, node, env] of [
    ["a flag", [INSPECT], {}],
    ["NODE_OPTIONS", [], { NODE_OPTIONS: INSPECT }],
  ] as const) {
    it(`leaves an inspector open that ${from} has opened before`, async () => {
      await using program = await Leaking.start("net", "", node, env);
      using _ = await program.leave(1, "x");
      const { stdout } = await doctor("--attach", `${program.pid}`, "--for", "300ms", "--json");
      const { inside } = JSON.parse(stdout) as {
        readonly inside: { readonly explanations: object[]; readonly opened: object[] };
      };
      assert.deepEqual([inside.explanations.length, inside.opened], [1, []]);
      assert.equal(await program.listening(), 2);
    });
  }

  it("writes a snapshot without secrets, which only this user may read", async () => {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
    const file = join(folder, "doctor.json");
    await using program = await Leaking.start("net", "--password=secret");
    using _ = await program.leave(1, "x");
    const { status, stderr } = await doctor("--attach", `${program.pid}`, "--snapshot", file);
    assert.deepEqual([status, stderr], [1, ""]);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const text = readFileSync(file, "utf8");
    rmSync(folder, { recursive: true });
    assert.doesNotMatch(text, /secret|leaking-programs/);
    const snapshot = JSON.parse(text);
    assert.deepEqual([snapshot.format, snapshot.version, snapshot.ok], ["holdfast-doctor-snapshot", 1, false]);
    assert.equal(snapshot.versions.node, process.version);
    assert.match(snapshot.sysctls["net.core.somaxconn"], /^\d+$/);
    assert.match(snapshot.processes[0].limits["open files"].soft, /^(\d+|unlimited)$/);
    assert.equal(snapshot.processes[0].program, "node");
    const [finding] = snapshot.findings;
    assert.equal(snapshot.sockets[finding.sockets[0]].state, "CLOSE_WAIT");
    assert.equal(snapshot.inside.explanations[0].kind, "close-wait");
  });
});

// Most of them wait for an inspector that does not come.
describe("holdfast doctor --attach refuses", { skip: SOCKETS_SKIP, timeout: 240_000, concurrency: true }, () => {
  it("a program other than node, which lives on", async () => {
    await using sleeping = new ChildProgram("600", [], { runtime: ["sleep"] });
    const { pid } = sleeping.process;
    const { status, stdout, stderr } = await doctor("--attach", `${pid}`);
    assert.deepEqual([status, stdout], [2, ""]);
    assert.match(stderr, /cannot attach to process \d+: its program is (sleep|coreutils), expected node/);
    assert.equal(sleeping.process.exitCode, null);
  });

  // Without this flag of Node 22.14, each Node process handles the signal.
  if (process.allowedNodeEnvironmentFlags.has("--disable-sigusr1")) {
    it("a process that SIGUSR1 would end, also if the port of its inspector is taken", async () => {
      const other = createServer();
      await once(other.listen(0, "127.0.0.1"), "listening");
      const { port } = other.address() as AddressInfo;
      await using program = await Leaking.start("net", "", ["--disable-sigusr1", `--inspect-port=${port}`]);
      const { status, stderr } = await doctor("--attach", `${program.pid}`);
      other.close();
      assert.equal(status, 2);
      assert.match(stderr, /does not handle SIGUSR1 \(--disable-sigusr1\), so that the signal would end it/);
      await program.assertUnharmed();
    });
  }

  it("a process whose inspector finds its port taken, which a flag or NODE_OPTIONS names", async () => {
    const other = createServer((socket) => socket.end("no inspector"));
    await once(other.listen(0, "127.0.0.1"), "listening");
    const { port } = other.address() as AddressInfo;
    const option = `--inspect-port=${port}`;
    await using byFlag = await Leaking.start("net", "", [option]);
    await using byOptions = await Leaking.start("net", "", [], { NODE_OPTIONS: option });
    for (const program of [byFlag, byOptions]) {
      const { status, stderr } = await doctor("--attach", `${program.pid}`);
      assert.equal(status, 2);
      assert.match(stderr, new RegExp(`port ${port}, which its inspector needs, is taken by process ${process.pid}`));
      await program.assertUnharmed();
    }
    other.close();
  });

  it("a server that answers without an end in place of an inspector", async () => {
    await using program = await Leaking.start("hostile", '{"webSocketDebuggerUrl":');
    const { status, stderr } = await doctor("--attach", `${program.pid}`);
    assert.equal(status, 2);
    assert.match(stderr, /has opened no inspector within 10 s: its program handles SIGUSR1 itself/);
  });

  for (const answer of ['{"method":"event"}', '{"id":1,"result":{"result":{"objectId":5}}}']) {
    it(`a server that looks like an inspector and answers ${answer}`, async () => {
      await using program = await Leaking.start("impostor", answer);
      const { status, stdout, stderr } = await doctor("--attach", `${program.pid}`);
      assert.deepEqual([status, stdout], [1, ""]);
      assert.match(
        stderr,
        /^holdfast: cannot close the inspector of process \d+: it still listens on 127.0.0.1 port \d+/,
      );
    });
  }
});

describe("the flags of holdfast doctor --attach", () => {
  const wrong: Record<string, readonly [readonly string[], RegExp]> = {
    "another subject": [["--attach", "1", "--pid", "1"], /cannot use --pid with --attach/],
    "a recording without it": [["--for", "1s"], /cannot use --for without --attach/],
    "a search without it": [["--pid", "1", "--heap"], /cannot use --heap without --attach/],
    "a recording that is too long": [["--attach", "1", "--for", "1h"], /cannot use --for "1h"/],
    "reports without an end": [["--attach", "1", "--watch"], /cannot use --attach with --watch/],
    "a snapshot beside JSON": [["--json", "--snapshot=-"], /cannot use --json with --snapshot=-/],
  };
  for (const [what, [flags, said]] of Object.entries(wrong)) {
    it(`are refused: ${what}`, () => {
      assert.throws(() => DOCTOR_LINE.parse(flags), said);
    });
  }
});
