/** Tests of `holdfast serve` as a process: what it prints and what it serves. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { describe, it } from "node:test";
import { type Connection, connect, DEFAULTS } from "../../src/index.js";
import { RawPeer, refused, upgraded, upgradeRequest } from "../raw-peers.js";
import { portIn, Serving } from "./serving.js";

const LIMIT = { timeout: 240_000, concurrency: true };
const HAS_IPV6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === "::1"));
const chatting = ({ addresses }: Serving): Promise<Connection<undefined>> => connect(`${addresses.ws}/chat`);

describe("holdfast serve", LIMIT, () => {
  it("prints one line of JSON first, with the ports that it got", async () => {
    await using serving = await Serving.start();
    assert.match(serving.stdout, /^\{"ws":"ws:\/\/127\.0\.0\.1:[1-9]\d*","tcp":"tcp:\/\/127\.0\.0\.1:[1-9]\d*"\}\n$/);
    assert.notEqual(portIn(serving.addresses.ws), portIn(serving.addresses.tcp));
    assert.equal(serving.stderr, "");
  });

  it("prints its addresses for people when no JSON is asked for", async () => {
    await using serving = new Serving(["serve", "--port", "0", "--tcp-port", "0"]);
    await serving.until((text) => /\/healthz\n/.test(text));
    const [, port] = /ws:\/\/127\.0\.0\.1:(\d+)\/echo/.exec(serving.stdout) ?? [];
    for (const address of [`ws://127.0.0.1:${port}/chat`, `http://127.0.0.1:${port}/`, "tcp://127.0.0.1:"]) {
      assert.ok(serving.stdout.includes(address), address);
    }
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/healthz`)).text(), "ok\n");
  });

  it("sends back on /echo whatever comes, text and binary", async () => {
    await using serving = await Serving.start();
    await using connection = await connect(`${serving.addresses.ws}/echo`);
    for (const message of ["hello", "", "é𝄞", "x".repeat(1_000_000)]) {
      await connection.send(message);
      assert.equal(await connection.receive(), message);
    }
    await connection.send(Uint8Array.of(0, 255, 1));
    assert.deepEqual(Buffer.from((await connection.receive()) as Uint8Array), Buffer.of(0, 255, 1));
  });

  it("sends what comes on /chat to all members, the sender too, and to nobody else", async () => {
    await using serving = await Serving.start();
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
    await using serving = await Serving.start();
    await using peer = await RawPeer.to(portIn(serving.addresses.tcp));
    peer.write("one\ntwo\r\nthr");
    await peer.until(({ text }) => text.split("\n").length === 3);
    assert.match(peer.text, /^one\ntwo\r?\n$/);
    peer.write("ee\n");
    await peer.until(({ text }) => text.endsWith("three\n"));
  });

  it("says that it is well on /healthz, shows a page on /, and knows nothing else", async () => {
    await using serving = await Serving.start();
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
    await using serving = await Serving.start();
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
    await using serving = await Serving.start("--max-message-size", "2000000");
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
    await using small = await Serving.start("--max-message-size", "10");
    await using connection = await connect(`${small.addresses.ws}/chat`);
    await connection.send("0123456789");
    assert.equal(await connection.receive(), "0123456789");
    await connection.send("0123456789x");
    assert.equal((await connection.closed).code, 1009);
  });

  it("takes as much as the library does when no size is given", async () => {
    await using serving = await Serving.start();
    await using connection = await connect(`${serving.addresses.ws}/echo`, { maxQueuedBytes: 4e6 });
    const largest = "x".repeat(DEFAULTS.maxMessageSize);
    await connection.send(largest);
    assert.equal(await connection.receive(), largest);
    await connection.send(`${largest}x`);
    assert.equal((await connection.closed).code, 1009);
  });

  it("has no TCP with --no-tcp", async () => {
    await using serving = await Serving.start("--no-tcp");
    assert.match(serving.stdout, /^\{"ws":"ws:\/\/127\.0\.0\.1:[1-9]\d*"\}\n$/);
    await using connection = await connect(`${serving.addresses.ws}/echo`);
    await connection.send("hello");
    assert.equal(await connection.receive(), "hello");
  });

  for (const host of ["localhost", "0.0.0.0", ...(HAS_IPV6 ? ["::1"] : [])]) {
    it(`listens on --host ${host}`, async () => {
      await using serving = await Serving.start("--host", host);
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

  it("listens on the port that it is given", async () => {
    // A port that is free now may be another program's a moment later.
    for (let taken = 0; taken < 10; taken += 1) {
      const free = createServer();
      await once(free.listen(0, "127.0.0.1"), "listening");
      const { port } = free.address() as { port: number };
      free.close();
      await once(free, "close");
      await using serving = new Serving(["serve", "--port", String(port), "--no-tcp", "--json"]);
      await Promise.race([serving.until((text) => text.includes("\n")), serving.ended]).catch(() => undefined);
      if (serving.stderr.includes("EADDRINUSE")) continue;
      assert.equal(portIn(serving.addresses.ws), port);
      return;
    }
    assert.fail("no free port was free for long enough");
  });
});
