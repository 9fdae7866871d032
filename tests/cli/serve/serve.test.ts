/** Tests of `holdfast serve` as a process: what it prints and what it serves. */

import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { get } from "node:https";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { describe, it } from "node:test";
import { connect as connectTls } from "node:tls";
import { type Connection, connect, DEFAULTS } from "../../../src/index.ts";
import { RawPeer, refused, upgraded, upgradeRequest } from "../../kit/raw-peer.ts";
import { portIn, ServeProcess } from "../../kit/serve-process.ts";

const LIMIT = { timeout: 240_000, concurrency: true };
const HAS_IPV6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === "::1"));
const chatting = ({ addresses }: ServeProcess): Promise<Connection<undefined>> => connect(`${addresses.ws}/chat`);

describe("holdfast serve", LIMIT, () => {
  it("prints one line of JSON first, with the ports that it got", async () => {
    await using serving = await ServeProcess.start();
    assert.match(serving.stdout, /^\{"ws":"ws:\/\/127\.0\.0\.1:[1-9]\d*","tcp":"tcp:\/\/127\.0\.0\.1:[1-9]\d*"\}\n$/);
    assert.notEqual(portIn(serving.addresses.ws), portIn(serving.addresses.tcp));
    assert.equal(serving.stderr, "");
  });

  it("prints its addresses for people without --json", async () => {
    await using serving = new ServeProcess(["serve", "--port", "0", "--tcp-port", "0"]);
    await serving.until((text) => /\/healthz\n/.test(text));
    const [, port] = /ws:\/\/127\.0\.0\.1:(\d+)\/echo/.exec(serving.stdout) ?? [];
    for (const address of [`ws://127.0.0.1:${port}/chat`, `http://127.0.0.1:${port}/`, "tcp://127.0.0.1:"]) {
      assert.ok(serving.stdout.includes(address), address);
    }
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/healthz`)).text(), "ok\n");
  });

  it("echoes every message on /echo, text and binary", async () => {
    await using serving = await ServeProcess.start();
    await using connection = await connect(`${serving.addresses.ws}/echo`);
    for (const message of ["hello", "", "é𝄞", "x".repeat(1_000_000)]) {
      await connection.send(message);
      assert.equal(await connection.receive(), message);
    }
    await connection.send(Uint8Array.of(0, 255, 1));
    assert.deepEqual(Buffer.from((await connection.receive()) as Uint8Array), Buffer.of(0, 255, 1));
  });

  it("sends messages on /chat to all members, the sender too, and to no other client", async () => {
    await using serving = await ServeProcess.start();
    await using ann = await chatting(serving);
    await using ben = await chatting(serving);
    await using eve = await connect(`${serving.addresses.ws}/echo`);
    await Promise.all([ann.ping(), ben.ping()]);
    await ann.send("anybody here?");
    for (const member of [ann, ben]) assert.equal(await member.receive(), "anybody here?");
    await ben.send(Uint8Array.of(7));
    for (const member of [ann, ben]) assert.deepEqual([...((await member.receive()) as Uint8Array)], [7]);
    await ben.close();
    await ann.send("still here?");
    assert.equal(await ann.receive(), "still here?");
    await eve.send("only this");
    assert.equal(await eve.receive(), "only this");
  });

  it("sends lines back over TCP", async () => {
    await using serving = await ServeProcess.start();
    await using peer = await RawPeer.to(portIn(serving.addresses.tcp));
    peer.write("one\ntwo\r\nthr");
    await peer.until(({ text }) => text.split("\n").length === 3);
    assert.match(peer.text, /^one\ntwo\r?\n$/);
    peer.write("ee\n");
    await peer.until(({ text }) => text.endsWith("three\n"));
  });

  it("has its metrics on /metrics, with --token only for those who have the token", async () => {
    await using open = await ServeProcess.start("--no-tcp");
    const response = await fetch(`${open.http}/metrics`);
    assert.equal(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert.match(await response.text(), /^holdfast_connections\{role="server",protocol="websocket",state="open"\} 0$/m);
    await using closed = await ServeProcess.start("--no-tcp", "--token", "a-token-of-tests");
    assert.equal((await fetch(`${closed.http}/metrics`)).status, 401);
    const headers = { authorization: "Bearer a-token-of-tests" };
    assert.equal((await fetch(`${closed.http}/metrics`, { headers })).status, 200);
  });

  it("says that it is well on /healthz, shows a page on /, and knows nothing else", async () => {
    await using serving = await ServeProcess.start();
    const healthy = await fetch(`${serving.http}/healthz`);
    assert.equal(healthy.status, 200);
    assert.equal(await healthy.text(), "ok\n");
    const page = await fetch(`${serving.http}/`);
    assert.equal(page.status, 200);
    assert.match(page.headers.get("content-type") ?? "", /^text\/html/);
    assert.match(await page.text(), /<title>Holdfast<\/title>/);
    assert.equal((await fetch(`${serving.http}/nothing`)).status, 404);
    assert.equal((await fetch(`${serving.http}/healthz`, { method: "POST", body: "x" })).status, 405);
    const head = await fetch(`${serving.http}/healthz`, { method: "HEAD" });
    assert.deepEqual([head.status, await head.text()], [200, ""]);
    for (const path of ["/echo", "/chat"]) {
      const { status, headers } = await fetch(`${serving.http}${path}`);
      assert.equal(status, 426);
      assert.equal(headers.get("upgrade"), "websocket");
      assert.equal(headers.get("sec-websocket-version"), "13");
    }
  });

  it("upgrades on /echo and /chat alone, and for its own origin", async () => {
    await using serving = await ServeProcess.start();
    const port = portIn(serving.addresses.ws);
    for (const path of ["/", "/healthz", "/echo/", "/other"]) {
      assert.equal((await refused(port, upgradeRequest(path))).status, 404);
    }
    for (const path of ["/echo", "/chat"]) {
      assert.equal((await refused(port, upgradeRequest(path, { Origin: "http://evil.example" }))).status, 403);
      await using peer = await upgraded(port, upgradeRequest(path, { Origin: "http://localhost" }));
      assert.ok(!peer.ended);
    }
  });

  it("takes messages up to --max-message-size, on both protocols", async () => {
    await using serving = await ServeProcess.start("--max-message-size", "2000000");
    await using whole = await connect(`${serving.addresses.ws}/echo`, {
      maxMessageSize: 2_000_000,
      maxQueuedBytes: 4e6,
    });
    const largest = "x".repeat(2_000_000);
    await whole.send(largest);
    assert.equal(await whole.receive(), largest);
    await whole.send(`${largest}x`);
    assert.equal((await whole.closed).code, 1009);
    await using lines = await RawPeer.to(portIn(serving.addresses.tcp));
    lines.write(`${largest}\n`);
    await lines.until(({ bytes }) => bytes.length === 2_000_001);
    await using small = await ServeProcess.start("--max-message-size", "10");
    await using connection = await connect(`${small.addresses.ws}/chat`);
    await connection.send("0123456789");
    assert.equal(await connection.receive(), "0123456789");
    await connection.send("0123456789x");
    assert.equal((await connection.closed).code, 1009);
  });

  it("has the library's default limit without the flag", async () => {
    await using serving = await ServeProcess.start();
    await using connection = await connect(`${serving.addresses.ws}/echo`, { maxQueuedBytes: 4e6 });
    const largest = "x".repeat(DEFAULTS.connection.maxMessageSize);
    await connection.send(largest);
    assert.equal(await connection.receive(), largest);
    await connection.send(`${largest}x`);
    assert.equal((await connection.closed).code, 1009);
  });

  it("has no TCP with --no-tcp", async () => {
    await using serving = await ServeProcess.start("--no-tcp");
    assert.match(serving.stdout, /^\{"ws":"ws:\/\/127\.0\.0\.1:[1-9]\d*"\}\n$/);
    await using connection = await connect(`${serving.addresses.ws}/echo`);
    await connection.send("hello");
    assert.equal(await connection.receive(), "hello");
  });

  it("serves wss:, https: and tls: with --tls, with the certificate whose fingerprint it prints", async () => {
    await using serving = await ServeProcess.start("--tls");
    const { ws, tcp = "", fingerprint } = serving.addresses;
    assert.ok(ws.startsWith("wss://") && tcp.startsWith("tls://"), serving.stdout);
    const socket = connectTls({ port: portIn(ws), host: "127.0.0.1", rejectUnauthorized: false });
    await once(socket, "secureConnect");
    const certificate = socket.getPeerX509Certificate();
    assert.equal(certificate?.fingerprint256, fingerprint);
    socket.destroy();
    const tls = { ca: certificate?.toString() };
    await using connection = await connect(`${ws}/echo`, { tls });
    await connection.send("hello");
    assert.equal(await connection.receive(), "hello");
    await using lines = await connect(tcp, { tls, framing: "lines" });
    await lines.send("hello");
    assert.equal(await lines.receive(), "hello");
    const health = get(`${serving.http}/healthz`, { ...tls, agent: false });
    const [response] = (await once(health, "response")) as [IncomingMessage];
    assert.equal(response.statusCode, 200);
    response.resume();
  });

  it("accepts only requests with the token of --token, in a field or in the query", async () => {
    await using serving = await ServeProcess.start("--token", "a-token-of-tests", "--no-tcp");
    const { ws } = serving.addresses;
    for (const [query, headers] of [
      ["", {}],
      ["?token=wrong", {}],
      ["?token=", {}],
      ["", { Authorization: "Bearer a-token-of-test" }],
      ["", { Authorization: "a-token-of-tests" }],
      ["?token=a-token-of-tests", { Authorization: "Bearer wrong" }],
    ] as const) {
      await assert.rejects(connect(`${ws}/echo${query}`, { headers }), { status: 401 }, query);
    }
    await using field = await connect(`${ws}/chat`, { headers: { Authorization: "bearer a-token-of-tests" } });
    await using queried = await connect(`${ws}/echo?token=a-token-of-tests`);
    for (const connection of [field, queried]) {
      await connection.send("hello");
      assert.equal(await connection.receive(), "hello");
    }
    assert.equal((await fetch(`${serving.http}/healthz`)).status, 200);
  });

  it("accepts pages of --origin alone", async () => {
    await using serving = await ServeProcess.start("--origin", "https://a.example", "--origin", "https://b.example");
    const port = portIn(serving.addresses.ws);
    for (const Origin of ["http://localhost", "https://c.example"])
      assert.equal((await refused(port, upgradeRequest("/echo", { Origin }))).status, 403);
    for (const Origin of ["https://a.example", "https://b.example"]) {
      await using _peer = await upgraded(port, upgradeRequest("/echo", { Origin }));
    }
    await using open = await ServeProcess.start("--origin", "any");
    await using _peer = await upgraded(
      portIn(open.addresses.ws),
      upgradeRequest("/echo", { Origin: "https://c.example" }),
    );
  });

  it("bounds its connections with --max-connections, and compresses with --compress", async () => {
    await using serving = await ServeProcess.start("--max-connections", "1", "--compress");
    await using connection = await connect(`${serving.addresses.ws}/echo`);
    assert.match(connection.extensions, /permessage-deflate/);
    await assert.rejects(connect(`${serving.addresses.ws}/chat`), { status: 503 });
    await using plain = await ServeProcess.start();
    await using other = await connect(`${plain.addresses.ws}/echo`);
    assert.equal(other.extensions, "");
  });

  it("writes a line with --verbose for each connection that opens, ends or is refused", async () => {
    await using serving = await ServeProcess.start("--verbose");
    const { ws, tcp } = serving.addresses;
    const connection = await connect(`${ws}/echo`);
    await connection.close(1000, "bye");
    await using lines = await RawPeer.to(portIn(tcp));
    lines.write("hello\n");
    await lines.until(({ text }) => text === "hello\n");
    lines.socket.end();
    await assert.rejects(connect(`${ws}/nothing`), { status: 404 });
    const expected = [
      /^holdfast: connection \d+ opened: \/echo from 127\.0\.0\.1:\d+$/m,
      /^holdfast: connection \d+ ended: \/echo, 1000 bye by peer.*$/m,
      /^holdfast: connection \d+ opened: tcp from 127\.0\.0\.1:\d+$/m,
      /^holdfast: connection \d+ ended: tcp, \d+ .*by peer.*$/m,
      /^holdfast: refused with 404: \/nothing from 127\.0\.0\.1:\d+, path: nothing serves \/nothing$/m,
    ];
    await serving.until((_, text) => expected.every((line) => line.test(text)));
    assert.equal(serving.stderr.trimEnd().split("\n").length, expected.length);
  });

  for (const host of ["localhost", "0.0.0.0", ...(HAS_IPV6 ? ["::1"] : [])]) {
    it(`listens on --host ${host}`, async () => {
      await using serving = await ServeProcess.start("--host", host);
      const shown = host.includes(":") ? `[${host}]` : host;
      const { ws, tcp = "" } = serving.addresses;
      assert.ok(ws.startsWith(`ws://${shown}:`), ws);
      assert.ok(tcp.startsWith(`tcp://${shown}:`), tcp);
      await using connection = await connect(`${ws}/echo`);
      await connection.send("hello");
      assert.equal(await connection.receive(), "hello");
      await using lines = await connect(tcp, { framing: "lines" });
      await lines.send("hello");
      assert.equal(await lines.receive(), "hello");
    });
  }

  it("listens on the given port", async () => {
    // A port that is free now may be another program's a moment later.
    for (let taken = 0; taken < 10; taken += 1) {
      const free = createServer();
      await once(free.listen(0, "127.0.0.1"), "listening");
      const { port } = free.address() as { port: number };
      free.close();
      await once(free, "close");
      await using serving = new ServeProcess(["serve", "--port", String(port), "--no-tcp", "--json"]);
      await Promise.race([serving.until((text) => text.includes("\n")), serving.exit]).catch(() => undefined);
      if (serving.stderr.includes("EADDRINUSE")) continue;
      assert.equal(portIn(serving.addresses.ws), port);
      return;
    }
    assert.fail("no free port was free for long enough");
  });
});
