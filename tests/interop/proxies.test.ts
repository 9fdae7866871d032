/** Through proxies and tunnels of other projects: tinyproxy (CONNECT), microsocks (SOCKS5) and OpenSSH. */

import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectTo, createServer } from "node:net";
import { networkInterfaces, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { describe, it } from "node:test";
import {
  type Connection,
  type ConnectOptions,
  connect,
  type Dialer,
  httpProxy,
  listen,
  type Message,
  proxyFromEnvironment,
  ReconnectingConnection,
  type Server,
  socksProxy,
} from "../../src/index.ts";
import { LOCALHOST } from "../fixtures/certificates.ts";
import { MICROSOCKS, needed, SSH, SSHD, TINYPROXY } from "../kit/foreign-programs.ts";
import { failure } from "../kit/handshake-failure.ts";
import { openSockets, socketsDownTo } from "../kit/kernel-sockets.ts";
import { portOf } from "../kit/raw-peer.ts";

const LIMIT = { timeout: 240_000 };
const SCHEMES = ["ws", "wss", "tcp", "tls"] as const;
const LARGE = "x".repeat(300_000);

function served(scheme: string): Promise<Server> {
  return listen(`${scheme as "ws"}://127.0.0.1:0`, {
    ...(scheme.startsWith("t") && { framing: "lines" }),
    ...(["wss", "tls"].includes(scheme) && { tls: LOCALHOST }),
    message: (connection, message) => void connection.trySend(message),
  });
}

const to = (scheme: string, dial: Dialer): ConnectOptions<undefined> => ({
  ...(scheme.startsWith("t") && { framing: "lines" }),
  tls: { ca: LOCALHOST.cert },
  dial,
});

/** A program that listens on a port of this machine, until it is disposed. */
class Listening implements AsyncDisposable {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.#child = child;
    this.#exited = once(child, "exit");
  }

  static async start(path: string, args: (port: number) => readonly string[]): Promise<Listening> {
    const free = createServer().listen(0, "127.0.0.1");
    await once(free, "listening");
    const { port } = free.address() as { port: number };
    free.close();
    await once(free, "close");
    const started = new Listening(port, spawn(path, args(port), { stdio: "ignore" }));
    while (!(await answers(port))) {
      assert.equal(started.#child.exitCode, null, `${path} ended at its start`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return started;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // tinyproxy notices SIGTERM only with its next connection.
    this.#child.kill("SIGKILL");
    await this.#exited;
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTo(port, "127.0.0.1");
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

function folder(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "holdfast-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** Small and large messages pass in both directions, and the end of the connection reaches the server. */
async function talks(scheme: string, dial: Dialer): Promise<void> {
  const before = openSockets();
  await using server = await served(scheme);
  const connection = await connect(`${scheme}://localhost:${portOf(server)}`, to(scheme, dial));
  for (const message of ["hello", LARGE, "again"]) {
    await connection.send(message);
    assert.equal(String(await connection.receive()), message);
  }
  assert.equal(server.connections.size, 1);
  await connection.close();
  await connection.closed;
  await server.close();
  await socketsDownTo(before);
}

describe("through tinyproxy", LIMIT, () => {
  const config = (port: number, path: string, more: readonly string[] = []): readonly string[] => {
    const file = join(path, "config");
    writeFileSync(
      file,
      [`Port ${port}`, "Listen 127.0.0.1", "Timeout 30", "LogLevel Critical", ...more, ""].join("\n"),
    );
    return ["-d", "-c", file];
  };

  for (const scheme of SCHEMES) {
    it(`messages pass, and the end: ${scheme}`, async (t) => {
      const path = needed(t, TINYPROXY);
      if (path === undefined) return;
      using place = folder();
      await using proxy = await Listening.start(path, (port) => config(port, place.path));
      await talks(scheme, httpProxy(`http://127.0.0.1:${proxy.port}`));
    });
  }

  it("credentials are accepted, and wrong ones are a refusal with its page", async (t) => {
    const path = needed(t, TINYPROXY);
    if (path === undefined) return;
    using place = folder();
    await using proxy = await Listening.start(path, (port) => config(port, place.path, ["BasicAuth ann pass-word"]));
    await talks("wss", httpProxy(`http://ann:pass-word@127.0.0.1:${proxy.port}`));
    for (const login of ["", "ann:wrong@"]) {
      const { phase, status, body, headers, message } = await failure(
        connect("ws://localhost:9", { dial: httpProxy(`http://${login}127.0.0.1:${proxy.port}`) }),
      );
      assert.deepEqual([phase, status], ["proxy", login === "" ? 407 : 401]);
      assert.match(body, /^<\?xml|<!DOCTYPE/);
      assert.match(message, /the proxy answered 40[17]/);
      assert.notEqual(headers["proxy-authenticate"] ?? headers["www-authenticate"] ?? body, "");
    }
  });

  it("a filtered port and a server that is not there are refusals of the proxy", async (t) => {
    const path = needed(t, TINYPROXY);
    if (path === undefined) return;
    const before = openSockets();
    using place = folder();
    await using proxy = await Listening.start(path, (port) => config(port, place.path, ["ConnectPort 1"]));
    const dial = httpProxy(`http://127.0.0.1:${proxy.port}`);
    const filtered = await failure(connect("ws://127.0.0.1:2", { dial }));
    assert.deepEqual([filtered.phase, filtered.status], ["proxy", 403]);
    const absent = await failure(connect("ws://127.0.0.1:1", { dial }));
    assert.equal(absent.phase, "proxy");
    assert.ok((absent.status ?? 0) >= 500, String(absent.status));
    await proxy[Symbol.asyncDispose]();
    await socketsDownTo(before);
  });

  it("the environment names it, and a reconnecting client uses it again", async (t) => {
    const path = needed(t, TINYPROXY);
    if (path === undefined) return;
    using place = folder();
    await using proxy = await Listening.start(path, (port) => config(port, place.path));
    const environment = { http_proxy: `127.0.0.1:${proxy.port}` };
    // Loopback addresses never need a proxy.
    const { address } =
      Object.values(networkInterfaces())
        .flatMap((entries = []) => entries)
        .find(({ internal, family }) => !internal && family === "IPv4") ?? {};
    if (address === undefined) return t.skip("no interface of this machine has an IPv4 address");
    const echo = { message: (connection: Connection, message: Message): void => void connection.trySend(message) };
    await using server = await listen(`ws://${address}:0`, echo);
    const options = { dial: proxyFromEnvironment(environment), initialPause: 1 };
    await using client = new ReconnectingConnection(server.url, options);
    for (const message of ["1", "2"]) {
      await client.send(message);
      assert.equal(await client.receive(), message);
      if (message === "1") await client.reconnect("again");
    }
  });
});

describe("through a SOCKS proxy (microsocks)", LIMIT, () => {
  const socks = (port: number, login = ""): Dialer => socksProxy(`socks5://${login}127.0.0.1:${port}`);

  for (const scheme of SCHEMES) {
    it(`messages pass, and the end: ${scheme}`, async (t) => {
      const path = needed(t, MICROSOCKS);
      if (path === undefined) return;
      await using proxy = await Listening.start(path, (port) => ["-i", "127.0.0.1", "-p", String(port)]);
      await talks(scheme, socks(proxy.port));
    });
  }

  it("a refusal of the proxy is an error in phase proxy, and nothing stays open", async (t) => {
    const path = needed(t, MICROSOCKS);
    if (path === undefined) return;
    const before = openSockets();
    const args = ["-i", "127.0.0.1", "-u", "ann", "-P", "word"];
    await using proxy = await Listening.start(path, (port) => [...args, "-p", String(port)]);
    await talks("ws", socks(proxy.port, "ann:word@"));
    const wrong = await failure(connect("ws://localhost:9", { dial: socks(proxy.port, "ann:no@") }));
    assert.equal(wrong.phase, "proxy");
    assert.match(wrong.message, /it does not accept this user name and password/);
    const absent = await failure(connect("ws://127.0.0.1:1", { dial: socks(proxy.port, "ann:word@") }));
    assert.match(absent.message, /refused the connection \(reply 5\)/);
    await proxy[Symbol.asyncDispose]();
    await socketsDownTo(before);
  });
});

describe("through ssh -W", LIMIT, () => {
  for (const scheme of SCHEMES) {
    it(`messages pass, and the end of the connection ends ssh: ${scheme}`, async (t) => {
      const [ssh, sshd] = [needed(t, SSH), needed(t, SSHD)];
      if (ssh === undefined || sshd === undefined) return;
      // sshd has its folder without privileges only if it was created at the start of the system.
      if (userInfo().uid !== 0 && !existsSync("/run/sshd")) return t.skip("needs the folder /run/sshd, or root");
      if (userInfo().uid === 0) mkdirSync("/run/sshd", { recursive: true });
      using place = folder();
      chmodSync(place.path, 0o700);
      const file = (name: string): string => join(place.path, name);
      for (const name of ["host", "user"])
        execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", file(name)]);
      writeFileSync(
        file("config"),
        [
          ...[`HostKey ${file("host")}`, `AuthorizedKeysFile ${file("user.pub")}`, "StrictModes no", "UsePAM no"],
          ...["ListenAddress 127.0.0.1", "PidFile none", "PasswordAuthentication no", "AllowTcpForwarding yes", ""],
        ].join("\n"),
      );
      await using daemon = await Listening.start(sshd, (port) => [
        ...["-D", "-q", "-f", file("config"), "-p", String(port)],
      ]);
      const children: ChildProcess[] = [];
      const dial: Dialer = (destination) => {
        const common = ["StrictHostKeyChecking=no", `UserKnownHostsFile=${file("known")}`, "LogLevel=ERROR"];
        const child = spawn(
          ssh,
          [
            ...["-W", `127.0.0.1:${destination.port}`, "-p", String(daemon.port), "-i", file("user")],
            ...common.flatMap((option) => ["-o", option]),
            `${userInfo().username}@127.0.0.1`,
          ],
          { stdio: ["pipe", "pipe", "inherit"] },
        );
        children.push(child);
        const stream = Duplex.from({ readable: child.stdout, writable: child.stdin });
        stream.once("close", () => child.kill());
        return stream;
      };
      await talks(scheme, dial);
      for (const child of children) if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      assert.equal(children.length, 1);
    });
  }
});
