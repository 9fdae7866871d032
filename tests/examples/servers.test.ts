/** The examples that are servers do what they promise, to clients of other projects: ws, Python, Node's own fetch and sockets. */

import assert from "node:assert/strict";
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { found, needed, PYTHON, wanting } from "../kit/foreign-programs.ts";
import { ExampleServer, inCheckout, inPackage, type Place, RUNTIMES } from "./places.ts";
import { WsClient } from "./ws-client.ts";

const ENDED = { status: 0, stderr: "" };

const PLACES = [
  { where: "in the checkout", given: inCheckout, skip: false },
  { where: "in the packed package", given: inPackage, skip: false },
  ...RUNTIMES.map(({ program, place }) => ({
    where: `on ${program.name}`,
    given: place,
    skip: found(program) === undefined && wanting(program),
  })),
];

for (const { where, given, skip } of PLACES) {
  describe(`examples that are servers, ${where}`, { timeout: 120_000, skip }, () => {
    let place: Place;
    before(async () => {
      place = await given();
    });
    after(() => place[Symbol.asyncDispose]());

    it("chat: rooms, presence and history", async () => {
      await using server = await ExampleServer.start(place, "chat");
      const room = server.url.replace(/\/rooms.*/, "/rooms/");
      await using ann = await WsClient.open(`${room}tea?name=Ann`);
      assert.deepEqual(await ann.json(), { event: "welcome", members: ["Ann"], history: [] });
      ann.send("hello");
      assert.deepEqual(await ann.json(), { event: "said", name: "Ann", text: "hello" });
      await using ben = await WsClient.open(`${room}tea?name=Ben`);
      const history = [{ name: "Ann", text: "hello" }];
      assert.deepEqual(await ben.json(), { event: "welcome", members: ["Ann", "Ben"], history });
      assert.deepEqual(await ann.json(), { event: "joined", name: "Ben" });
      await using cal = await WsClient.open(`${room}coffee?name=Cal`);
      assert.deepEqual(await cal.json(), { event: "welcome", members: ["Cal"], history: [] });
      ben.socket.terminate();
      assert.deepEqual(await ann.json(), { event: "left", name: "Ben" });
      for (let number = 0; number < 60; number += 1) ann.send(String(number));
      for (let number = 0; number < 60; number += 1) await ann.json();
      await using dan = await WsClient.open(`${room}tea?name=Dan`);
      const welcome = (await dan.json()) as { history: { text: string }[] };
      assert.deepEqual([welcome.history.length, welcome.history[0]?.text], [50, "10"]);
      assert.equal(await WsClient.refused(`${room}tea`), 400);
      assert.equal(await WsClient.refused(room.replace("/rooms/", "/other")), 404);
      assert.deepEqual(await server.stop(), ENDED);
      assert.equal((await ann.closed).code, 1001);
    });

    it("prices: a client that does not read for a while gets new prices, not all of them", async () => {
      await using server = await ExampleServer.start(place, "prices");
      await using slow = await WsClient.open(server.url);
      await using fast = await WsClient.open(server.url);
      const price = async (client: WsClient): Promise<{ name: string; number: number }> =>
        (await client.json()) as { name: string; number: number };
      const names = new Set<string>();
      while (names.size < 4) names.add((await price(slow)).name);
      slow.socket.pause();
      const { name, number: paused } = await price(fast);
      let last = paused;
      let skipped = 0;
      // Milliseconds for which this process read nothing, for example because other processes had the processor.
      let late = 0;
      while (last < paused + 400) {
        const since = performance.now();
        const next = await price(fast);
        const gap = performance.now() - since;
        if (gap > 50) late += gap;
        if (next.name !== name) continue;
        skipped += next.number - last - (next.number === last ? 0 : 1);
        last = next.number;
      }
      // A price of each name is made every 5 ms.
      assert.ok(
        skipped <= late / 5,
        `a client that reads gets each price: ${skipped} skipped, did not read for ${late} ms`,
      );
      slow.socket.resume();
      let largest = 0;
      for (let before = 0, now = 0; now < last; before = now) {
        const next = await price(slow);
        if (next.name !== name) continue;
        now = next.number;
        if (before > 0) largest = Math.max(largest, now - before);
      }
      assert.ok(largest > 100, `the largest step is ${largest}`);
      fast.send("a message");
      assert.equal((await fast.closed).code, 1003);
      assert.deepEqual(await server.stop(), ENDED);
    });

    it("rpc: calls run side by side, and errors have their codes", async () => {
      await using server = await ExampleServer.start(place, "rpc");
      await using client = await WsClient.open(server.url);
      const call = (id: unknown, method: string, params?: unknown): void =>
        client.send(JSON.stringify({ jsonrpc: "2.0", ...(id !== undefined && { id }), method, params }));
      call(1, "sleep", [200]);
      call(2, "add", [1, 2]);
      assert.deepEqual(await client.json(), { jsonrpc: "2.0", id: 2, result: 3 });
      assert.deepEqual(await client.json(), { jsonrpc: "2.0", id: 1, result: "awake" });
      call(undefined, "add", [1, 2]);
      call(undefined, "constructor");
      call("a", "constructor");
      const error = async (): Promise<unknown> => {
        const { id, error } = (await client.json()) as { id: unknown; error: { code: number } };
        return [id, error.code];
      };
      assert.deepEqual(await error(), ["a", -32601]);
      call(null, "add", ["1"]);
      assert.deepEqual(await error(), [null, -32602]);
      client.send("{");
      assert.deepEqual(await error(), [null, -32700]);
      client.send("[]");
      assert.deepEqual(await error(), [null, -32600]);
      // Calls that run when the server closes are answered.
      call(3, "sleep", [200]);
      call(4, "add", []);
      assert.deepEqual(await client.json(), { jsonrpc: "2.0", id: 4, result: 0 });
      const stopped = server.stop();
      assert.deepEqual(await client.json(), { jsonrpc: "2.0", id: 3, result: "awake" });
      assert.deepEqual(await stopped, ENDED);
    });

    it("login: attempts, commands and last lines, with a client in Python", async (t) => {
      const python = needed(t, PYTHON);
      if (python === undefined) return;
      await using server = await ExampleServer.start(place, "login");
      const typed = (...lines: string[]): Promise<string[]> => new PythonClient(python, server.port, ...lines).lines();
      const wrong = "530 not logged in; expected: login NAME PASSWORD";
      assert.deepEqual(await typed("login ann secret", "who", "what", "quit"), [
        ...["220 hello", "230 welcome, ann", "200 ann", "500 expected: who or quit", "221 bye"],
      ]);
      const attempts = ["login ann wrong", "login eve secret", "who"];
      assert.deepEqual(await typed(...attempts), ["220 hello", wrong, wrong, wrong, "421 too many attempts"]);
      assert.deepEqual(await typed("x".repeat(600)), ["220 hello", "500 line too long"]);
      const silent = new PythonClient(python, server.port);
      await silent.until("220 hello\r\n");
      assert.deepEqual(await server.stop(), ENDED);
      assert.deepEqual(await silent.lines(), ["220 hello", "421 the server is closing"]);
    });

    it("login: the deadline covers all attempts, with a client in Python", async (t) => {
      const python = needed(t, PYTHON);
      if (python === undefined) return;
      await using server = await ExampleServer.start(place, "login", { LOGIN_TIME: "300" });
      assert.deepEqual(await new PythonClient(python, server.port).lines(), ["220 hello", "421 too slow"]);
      assert.deepEqual(await server.stop(), ENDED);
    });

    it("proxy: bytes in both directions, backpressure, and the ends", async (t) => {
      const targets: Socket[] = [];
      const target = createServer({ allowHalfOpen: true }, (socket) =>
        targets.push(socket.on("error", () => undefined)),
      );
      target.listen(0, "127.0.0.1");
      await once(target, "listening");
      t.after(() => target.close());
      const accepted = async (): Promise<Socket> => {
        while (targets.length === 0) await once(target, "connection");
        return targets.shift() as Socket;
      };
      const { port } = target.address() as { port: number };
      await using server = await ExampleServer.start(place, "proxy", { TARGET: `tcp://127.0.0.1:${port}` });

      // The target sends its FIN first, and still receives. The browser's Close is its FIN.
      const first = await WsClient.open(server.url);
      const one = await accepted();
      one.end("answer");
      assert.equal(String(await first.next()), "answer");
      assert.equal(await first.next(), "end");
      first.send(Buffer.from("more"));
      first.socket.close();
      assert.equal(await text(one), "more");
      assert.equal((await first.closed).code, 1005);

      // A browser that is lost is a reset at the target.
      const second = await WsClient.open(server.url);
      const two = await accepted();
      second.send(Buffer.from("half"));
      await once(two, "data");
      second.socket.terminate();
      const [failure] = await once(two, "error");
      assert.equal(failure.code, "ECONNRESET");

      // A reset of the target is 1014.
      const third = await WsClient.open(server.url);
      const three = await accepted();
      three.write("half");
      assert.equal(String(await third.next()), "half");
      three.resetAndDestroy();
      assert.deepEqual(await third.closed, { code: 1014, reason: "the connection to the target failed" });

      await checkBackpressure(await WsClient.open(server.url), await accepted());

      const closed = once(target, "close");
      target.close();
      await closed;
      const last = await WsClient.open(server.url);
      assert.deepEqual(await last.closed, { code: 1014, reason: "the target cannot be reached" });
      assert.deepEqual(await server.stop(), ENDED);
    });

    it("express: sessions for both, and ws beside", async () => {
      await using server = await ExampleServer.start(place, "express");
      assert.equal(await WsClient.refused(server.url), 401);
      const response = await fetch(`http://127.0.0.1:${server.port}/login`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ name: "Ann" }),
      });
      assert.equal(await response.text(), "hello, Ann\n");
      const Cookie = response.headers.getSetCookie()[0]?.split(";")[0] ?? "";
      await using ann = await WsClient.open(server.url, { Cookie });
      ann.send("hi");
      assert.equal(await ann.next(), "Ann: hi");
      await using other = await WsClient.open(server.url.replace("/live", "/other"));
      other.send("hi");
      assert.equal(await other.next(), "other: hi");
      assert.deepEqual(await server.stop(), ENDED);
      assert.deepEqual([(await ann.closed).code, (await other.closed).code], [1001, 1001]);
    });
  });
}

const PYTHON_CLIENT = `
import socket, sys
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
connection.sendall("".join(line + "\\r\\n" for line in sys.argv[2:]).encode())
while data := connection.recv(4096):
    sys.stdout.buffer.write(data)
    sys.stdout.flush()
`;

/** A client in Python that sends lines, and then reads until the server ends the connection. */
class PythonClient {
  readonly #process: ChildProcessByStdio<null, Readable, null>;
  readonly #ended: Promise<unknown[]>;
  #output = "";

  constructor(python: string, port: number, ...lines: readonly string[]) {
    const args = ["-B", "-c", PYTHON_CLIENT, String(port), ...lines];
    this.#process = spawn(python, args, { stdio: ["ignore", "pipe", "inherit"] });
    this.#ended = once(this.#process, "close");
    this.#process.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.#output += text;
    });
  }

  async until(output: string): Promise<void> {
    while (!this.#output.includes(output)) await once(this.#process.stdout, "data");
  }

  /** The lines of the server, when it has ended the connection. */
  async lines(): Promise<string[]> {
    const [status] = await this.#ended;
    assert.equal(status, 0);
    assert.match(this.#output, /\r\n$/);
    return this.#output.split("\r\n").slice(0, -1);
  }
}

/** Checks that a side that does not read stops the other one, through the proxy, in each direction, and that nothing is lost. */
async function checkBackpressure(browser: WsClient, target: Socket): Promise<void> {
  // More than the kernel's buffers of both connections hold.
  const block = Buffer.alloc(512 * 1024);
  const blocks = 160;

  browser.socket.pause();
  target.pause();
  for (let sent = 0; sent < blocks; sent += 1) {
    target.write(block);
    browser.send(block);
  }
  await stalled(() => target.writableLength);
  await stalled(() => browser.socket.bufferedAmount);
  assert.ok(target.writableLength > 0);
  assert.ok(browser.socket.bufferedAmount > 0);

  let received = 0;
  target.on("data", (bytes: Buffer) => {
    received += bytes.length;
  });
  target.resume();
  browser.socket.resume();
  for (let bytes = 0; bytes < blocks * block.length; ) bytes += (await browser.next()).length;
  target.end();
  while ((await browser.next()) !== "end");
  browser.socket.close();
  await once(target, "end");
  assert.equal(received, blocks * block.length);
}

/** Resolves when a number has not changed for a while. */
async function stalled(read: () => number): Promise<void> {
  for (let before = -1, now = read(); now !== before; now = read()) {
    before = now;
    await sleep(300);
  }
}
