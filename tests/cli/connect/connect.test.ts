/** `holdfast connect` as a process: how it ends, what it prints of a hostile peer, TCP, recordings, and wrong use. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, connect, createServer as createTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { selfSigned } from "../../../src/cli/serve/certificate.ts";
import { listen } from "../../../src/index.ts";
import { ChildProgram } from "../../kit/child-process.ts";
import { deferred } from "../../kit/deferred.ts";
import { rawServer } from "../../kit/raw-peer.ts";
import { ConnectProcess, echoServer, eventsIn, MAIN, serverOf } from "./connect-process.ts";

const LIMIT = { timeout: 240_000, concurrency: 4 };

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

describe("the end of holdfast connect", LIMIT, () => {
  const codes = { 1000: 0, 1001: 0, 1008: 1, 1011: 1, 4000: 1 };
  for (const [code, expected] of Object.entries(codes)) {
    it(`has status ${expected} if the peer closes with ${code}`, async () => {
      await using server = await serverOf((connection) => void connection.close(Number(code), "why"));
      const { status, stderr } = await ConnectProcess.to(server, ["--wait", "Infinity"]);
      assert.equal(status, expected);
      assert.match(stderr, new RegExp(`^closed by the peer with ${code} "why"$`, "m"));
    });
  }

  it("is silent with --quiet, unless it has failed", async () => {
    for (const [code, said] of [
      [1000, ""],
      [1011, 'closed by the peer with 1011 "why"\n'],
    ] as const) {
      await using server = await serverOf((connection) => void connection.close(code, "why"));
      const { stdout, stderr } = await ConnectProcess.to(server, ["--wait", "Infinity", "--quiet"]);
      assert.deepEqual([stdout, stderr], ["", said]);
    }
  });

  it("has status 1 if the connection is lost, and says why", async () => {
    await using server = await serverOf((connection) => connection.terminate());
    const { status, stderr } = await ConnectProcess.to(server, ["--wait", "Infinity"]);
    assert.equal(status, 1);
    assert.match(stderr, /^lost without a Close \(1006\): .*ECONNRESET/m);
  });

  it("has status 3 if nobody answers, and 4 with the body of the answer if the server refuses", async () => {
    const gone = await echoServer();
    await gone.close();
    const absent = await ConnectProcess.to(gone, ["--json"]);
    assert.equal(absent.status, 3);
    assert.match(absent.stderr, /^holdfast: Cannot connect: .*ECONNREFUSED[^\n]*\n$/);
    assert.deepEqual(
      eventsIn(absent.stdout).map(({ type }) => type),
      ["connecting", "failed"],
    );
    await using server = await echoServer({ authorize: () => new Response("no\u001b[31m token\n", { status: 401 }) });
    const refused = await ConnectProcess.to(server, []);
    assert.equal(refused.status, 4);
    assert.match(refused.stderr, /^holdfast: [^\n]*401[^\n]*; the answer says "no\\x1b\[31m token"\n$/);
  });

  it("has status 5 after --max-time, and for fewer answers than expected", async () => {
    await using server = await echoServer();
    const late = await ConnectProcess.to(server, ["--wait", "Infinity", "--max-time", "50ms"]);
    assert.equal(late.status, 5);
    const fewer = await ConnectProcess.to(server, ["--exec", "a", "--answers", "2", "--wait", "50ms"]);
    assert.deepEqual([fewer.status, fewer.stdout], [5, "a\n"]);
    assert.match(fewer.stderr, /received 1 of 2 messages/);
    await using slow = await rawServer(() => undefined);
    const opening = await ConnectProcess.to(`ws://127.0.0.1:${slow.port}`, ["--max-time", "50ms"]);
    assert.equal(opening.status, 5);
  });

  for (const [signal, expected] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    it(`is a Close after ${signal}, with status ${expected}`, async () => {
      const closed = deferred<number>();
      await using server = await serverOf(async (connection) => closed.resolve((await connection.closed).code));
      await using program = new ConnectProcess(server.url, ["--close", "4001:bye"]);
      await program.until((_, stderr) => stderr.includes("connected"));
      program.signal(signal);
      assert.equal((await program.exit).status, expected);
      assert.equal(await closed.promise, 4001);
    });
  }

  it("comes at once on a signal while it waits to connect again", async () => {
    const server = await echoServer();
    await server.close();
    await using program = new ConnectProcess(server.url, ["--reconnect"]);
    await program.until((_, stderr) => stderr.includes("unreachable: "));
    program.signal("SIGTERM");
    assert.equal((await program.exit).status, 143);
  });

  it("comes after --attempts, and at once for a cause that is final", async () => {
    const gone = await echoServer();
    await gone.close();
    const tried = await ConnectProcess.to(gone, ["--reconnect", "--attempts", "2"]);
    assert.equal(tried.status, 3);
    assert.equal(tried.stderr.match(/attempt 2 in/g)?.length, 1);
    await using server = await serverOf((connection) => void connection.close(1008, "never"));
    const final = await ConnectProcess.to(server, ["--reconnect", "--wait", "Infinity"]);
    assert.equal(final.status, 1);
    assert.doesNotMatch(final.stderr, /attempt/);
    assert.match(final.stderr, /^holdfast: not connecting again: .*1008/m);
  });

  it("comes when the reader of its output has ended", async () => {
    await using server = await serverOf(async (connection) => {
      for (;;) await connection.send("more");
    });
    await using program = new ConnectProcess(server.url, ["--wait", "Infinity"]);
    await program.until((stdout) => stdout.includes("more"));
    program.process.stdout?.destroy();
    assert.equal((await program.exit).status, 0);
  });
});

describe("a hostile peer of holdfast connect", LIMIT, () => {
  it("cannot control the terminal by a message, a reason or a subprotocol", async () => {
    const attack = "\u001b]0;owned\u0007\u001b[2J\u009b31m\r\u202e";
    await using server = await serverOf(async (connection) => {
      await connection.send(attack);
      await connection.close(4000, attack);
    });
    for (const flags of [[], ["--pretty"], ["--json"], ["--time", "--verbose"]]) {
      const { stdout, stderr } = await ConnectProcess.to(server, ["--wait", "Infinity", ...flags]);
      assert.doesNotMatch(stdout + stderr, /[^\P{Cc}\n]|[\u202e\u2028]/u, flags.join(" "));
    }
  });

  it("cannot send more than --max-message-size", async () => {
    await using server = await serverOf((connection) => connection.send("x".repeat(1_001)));
    const { status, stdout, stderr } = await ConnectProcess.to(server, [
      "--max-message-size",
      "1000",
      "--wait",
      "Infinity",
    ]);
    assert.deepEqual([status, stdout], [1, ""]);
    assert.match(stderr, /closed by this side with 1009/);
  });
});

describe("the request of holdfast connect", LIMIT, () => {
  it("has the header fields, the subprotocols, the origin and the user that were given", async () => {
    const requests: Readonly<Record<string, string>>[] = [];
    await using server = await serverOf((connection) => void connection.close(), {
      origin: "any",
      subprotocols: ["chat"],
      authorize: ({ headers }) => void requests.push(headers),
    });
    const flags = [
      "-H",
      "X-One: 1",
      "-H",
      "X-Two:2: b",
      "-s",
      "news",
      "-s",
      "chat",
      "--origin",
      "https://a.example",
      "--auth",
      "a:b",
    ];
    const { stderr } = await ConnectProcess.to(server, [
      ...flags,
      "--no-compression",
      "--wait",
      "Infinity",
      "--verbose",
    ]);
    const [headers = {}] = requests;
    assert.equal(headers["x-one"], "1");
    assert.equal(headers["x-two"], "2: b");
    assert.equal(headers["sec-websocket-protocol"], "news, chat");
    assert.equal(headers["origin"], "https://a.example");
    assert.equal(headers["authorization"], "Basic YTpi");
    assert.equal(headers["sec-websocket-extensions"], undefined);
    assert.match(stderr, /^> x-one: 1$/m);
    assert.match(stderr, /^< sec-websocket-protocol: chat$/m);
    assert.match(stderr, /^connected to ws:[^ ]*, subprotocol chat \(/m);
  });

  it("trusts the certificates of --ca, and any with --insecure", async (t) => {
    const tls = selfSigned("127.0.0.1");
    await using server = await echoServer({ tls }, "wss://127.0.0.1:0");
    const ca = join(folderOf(t), "ca.pem");
    writeFileSync(ca, tls.cert);
    const flags = ["-x", "hi", "-n", "1"];
    const [none, trusted, any] = await Promise.all([
      ConnectProcess.to(server, flags),
      ConnectProcess.to(server, [...flags, "--ca", ca]),
      ConnectProcess.to(server, [...flags, "--insecure", "--write-out", "%{tls}"]),
    ]);
    assert.deepEqual([none.status, trusted.stdout], [3, "hi\n"]);
    assert.match(any.stdout, /^hi\n(?!0\.000$)\d+\.\d{3}$/);
  });

  it("goes through an HTTP proxy", async () => {
    await using server = await echoServer();
    const asked: string[] = [];
    const proxy = createServer().on("connect", (request, socket) => {
      asked.push(request.url ?? "");
      const onward = connect(Number(request.url?.split(":")[1]), "127.0.0.1", () => {
        socket.write("HTTP/1.1 200 OK\r\n\r\n");
        socket.pipe(onward).pipe(socket);
      });
    });
    await once(proxy.listen(0, "127.0.0.1"), "listening");
    const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const { stdout } = await ConnectProcess.to(server, [
      "-x",
      "hi",
      "-n",
      "1",
      "--proxy",
      url,
      "--write-out",
      "%{proxy}",
    ]);
    proxy.close();
    assert.match(stdout, /^hi\n(?!0\.000$)\d+\.\d{3}$/);
    assert.deepEqual(asked, [new URL(server.url).host]);
  });

  it("goes through a SOCKS5 proxy, which gets the name and the credentials", async () => {
    await using server = await echoServer();
    const { port } = new URL(server.url);
    const asked: string[] = [];
    const answers = ["\u0005\u0002", "\u0001\u0000"];
    const proxy = createTcp((socket) => {
      socket.on("data", function answer(chunk: Buffer) {
        asked.push(chunk.toString("latin1"));
        const next = answers.shift();
        if (next !== undefined) return void socket.write(next, "latin1");
        socket.off("data", answer);
        const onward = connect(Number(port), "127.0.0.1", () => {
          socket.write("\u0005\u0000\u0000\u0001\u0000\u0000\u0000\u0000\u0000\u0000", "latin1");
          socket.pipe(onward).pipe(socket);
        });
      });
    });
    await once(proxy.listen(0, "127.0.0.1"), "listening");
    const at = `socks5://ann:word@127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const { stdout } = await ConnectProcess.to({ url: `ws://app.localhost:${port}` }, [
      "-x",
      "hi",
      "-n",
      "1",
      "--proxy",
      at,
    ]);
    proxy.close();
    assert.equal(stdout, "hi\n");
    assert.deepEqual(asked.slice(0, 2), ["\u0005\u0002\u0000\u0002", "\u0001\u0003ann\u0004word"]);
    assert.match(asked[2] ?? "", /app\.localhost/);
  });

  it("goes to a unix socket", async (t) => {
    const path = join(folderOf(t), "s");
    await using _server = await echoServer({}, `ws+unix://${path}`);
    const { stdout } = await ConnectProcess.to(`ws+unix://${path}:/`, ["-x", "hi", "-n", "1"]);
    assert.equal(stdout, "hi\n");
  });
});

describe("TCP of holdfast connect", LIMIT, () => {
  for (const [name, framing] of [
    ["lines", "lines"],
    ["crlf", "lines"],
    ["raw", "raw"],
    ["length32", { lengthPrefix: 4 }],
    ["varint", { lengthPrefix: "varint" }],
    ["fixed:5", { fixed: 5 }],
    ["delimiter:\\0", { delimiter: "\0" }],
  ] as const) {
    it(`has the framing ${name}`, async () => {
      await using server = await echoServer({ framing }, "tcp://127.0.0.1:0");
      const { status, stdout } = await ConnectProcess.to(server, ["--framing", name, "--answers", "1"], "hello\n");
      assert.deepEqual([status, stdout], [0, "hello\n"]);
    });
  }

  it("prints bytes that are no text as digits, and as they are with --raw", async () => {
    await using server = await listen("tcp://127.0.0.1:0", async (connection) => {
      await connection.send(Uint8Array.of(0xff, 0xfe));
      await connection.receive().catch(() => undefined);
    });
    const flags = ["--framing", "raw", "-n", "1", "--wait", "Infinity"];
    assert.equal((await ConnectProcess.to(server, flags)).stdout, "fffe\n");
    const json = await ConnectProcess.to(server, [...flags, "--json"]);
    assert.equal(eventsIn(json.stdout).find(({ type }) => type === "message")?.["base64"], "//4=");
  });

  it("ends with status 0 at the FIN of the peer", async () => {
    await using server = await listen("tcp://127.0.0.1:0", { framing: "lines" }, async (connection) => {
      await connection.send("220 ready");
    });
    const { status, stdout, stderr } = await ConnectProcess.to(server, ["--wait", "Infinity"]);
    assert.deepEqual([status, stdout], [0, "220 ready\n"]);
    assert.match(stderr, /^closed by the peer$/m);
  });
});

describe("a recording of holdfast connect", LIMIT, () => {
  it("is replayed with the same messages and pauses, and can be recorded again", async (t) => {
    const folder = folderOf(t);
    const [first, second] = [join(folder, "1.jsonl"), join(folder, "2.jsonl")];
    await using server = await echoServer();
    const made = await ConnectProcess.to(server, [
      "-x",
      "a",
      "-x",
      "b",
      "--every",
      "120ms",
      "-n",
      "2",
      "--record",
      first,
    ]);
    assert.deepEqual([made.status, made.stdout], [0, "a\nb\n"]);
    const played = await ConnectProcess.to(server, ["--replay", first, "-n", "2", "--record", second]);
    assert.deepEqual([played.status, played.stdout], [0, "a\nb\n"]);
    const sent = eventsIn(readFileSync(second, "utf8")).filter(({ direction }) => direction === "out");
    assert.deepEqual(
      sent.map(({ text }) => text),
      ["a", "b"],
    );
    assert.ok((sent[1]?.at ?? 0) - (sent[0]?.at ?? 0) >= 119);
    const types = new Set(eventsIn(readFileSync(first, "utf8")).map(({ type }) => type));
    assert.deepEqual([...types], ["connecting", "handshake", "open", "message", "close"]);
  });
});

describe("wrong use of holdfast connect", LIMIT, () => {
  const wrong: Record<string, readonly [readonly string[], RegExp]> = {
    "no address": [[], /URL is missing/],
    "an address that is none": [["http://127.0.0.1:1/"], /expected ws:, wss:, tcp: or tls:/],
    "a header that is none": [["ws://a", "-H", "a b: c"], /a b/],
    "a record that cannot be written": [["ws://a", "--record", "/nowhere/x"], /--record "\/nowhere\/x": ENOENT/],
  };
  for (const [what, [args, said]] of Object.entries(wrong)) {
    it(`is one line, with status 2: ${what}`, async () => {
      const { status, stdout, stderr } = await ChildProgram.run(MAIN, ["connect", ...args], { stderr: "kept" });
      assert.match(stderr, /^holdfast: [^\n]+\n$/);
      assert.match(stderr, said);
      assert.deepEqual([status, stdout], [2, ""]);
    });
  }

  it("of a line of stdin ends it, after the messages before it", async () => {
    await using server = await echoServer();
    const { status, stdout, stderr } = await ConnectProcess.to(server, ["--send", "hex"], "ca\nno\n");
    assert.deepEqual([status, stdout], [2, "ca\n"]);
    assert.match(stderr, /^holdfast: cannot send "no": expected hex$/m);
  });
});
