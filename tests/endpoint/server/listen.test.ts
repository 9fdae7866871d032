/** Tests of listen: the forms of address, the bound port, and clients that never send a request. */

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { Server } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { Wakeup } from "../../../src/index.ts";
import { type Connection, connect, type Instant, listen, TransportError } from "../../../src/index.ts";
import { ManualClock } from "../../../src/testing/index.ts";
import { LOCALHOST } from "../../fixtures/certificates.ts";
import { linesOn } from "../../kit/lines-on.ts";
import { portOf, RawPeer, refused, upgraded, upgradeRequest } from "../../kit/raw-peer.ts";

const LIMIT = { timeout: 240_000 };
const HAS_IPV6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === "::1"));
const echo = async (connection: Connection): Promise<void> => {
  for await (const message of connection) await connection.send(message);
};

/** The answer to one message. */
async function echoed(url: string): Promise<unknown> {
  await using connection = await connect(url, { ...linesOn(url), tls: { ca: LOCALHOST.cert } });
  await connection.send("hello");
  return await connection.receive();
}

/** Creates a folder for the sockets of `use`. */
async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
  try {
    await use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("listen", LIMIT, () => {
  const addresses: Record<string, RegExp> = {
    "ws://127.0.0.1:0": /^ws:\/\/127\.0\.0\.1:[1-9]\d*$/,
    "ws://127.0.0.1:0/echo": /^ws:\/\/127\.0\.0\.1:[1-9]\d*\/echo$/,
    "ws://localhost:0": /^ws:\/\/localhost:[1-9]\d*$/,
    "ws://:0": /^ws:\/\/127\.0\.0\.1:[1-9]\d*$/,
    "ws://:0/echo": /^ws:\/\/127\.0\.0\.1:[1-9]\d*\/echo$/,
    "tcp://127.0.0.1:0": /^tcp:\/\/127\.0\.0\.1:[1-9]\d*$/,
    "tcp://:0": /^tcp:\/\/127\.0\.0\.1:[1-9]\d*$/,
    ...(HAS_IPV6 && {
      "ws://[::1]:0/echo": /^ws:\/\/\[::1\]:[1-9]\d*\/echo$/,
      "tcp://[::1]:0": /^tcp:\/\/\[::1\]:[1-9]\d*$/,
    }),
  };
  for (const [url, shown] of Object.entries(addresses)) {
    it(`serves on ${url}, and server.url contains the actual address`, async () => {
      await using server = await listen(url, linesOn(url), echo);
      assert.match(server.url, shown);
      assert.equal(await echoed(server.url), "hello");
    });
  }

  it("accepts a URL object, and a handler without options", async () => {
    await using server = await listen(new URL("ws://127.0.0.1:0/echo"), echo);
    assert.equal(await echoed(server.url), "hello");
  });

  for (const scheme of ["ws", "wss", "tcp", "tls"]) {
    it(`serves on ${scheme}+unix, and removes the socket from the folder at its end`, async () => {
      await inFolder(async (folder) => {
        const path = join(folder, "s");
        const secure = scheme === "wss" || scheme === "tls";
        const options = { ...linesOn(scheme), ...(secure && { tls: LOCALHOST }) };
        const server = await listen(`${scheme}+unix://${path}`, options, echo);
        assert.equal(server.url, `${scheme}+unix://${path}`);
        await using connection = await connect(server.url, { ...linesOn(scheme), tls: { ca: LOCALHOST.cert } });
        await connection.send("hello");
        assert.equal(await connection.receive(), "hello");
        assert.equal(connection.secure, secure);
        await Promise.all([server.close(), connection.close()]);
        assert.ok(!existsSync(path));
      });
    });
  }

  it("on a unix socket serves the path of the request after the colon", async () => {
    await inFolder(async (folder) => {
      const path = join(folder, "s");
      const urls: string[] = [];
      const open = ({ url }: Connection): void => void urls.push(url);
      await using server = await listen(`ws+unix://${path}:/echo`, { open }, echo);
      assert.equal(server.url, `ws+unix://${path}:/echo`);
      assert.equal((await refused(path, upgradeRequest("/"))).status, 404);
      await using connection = await connect(`${server.url}?from=1`);
      await connection.ping();
      assert.deepEqual(urls, ["ws://localhost/echo?from=1"]);
    });
  });

  it("serves every path with an address without a path, and otherwise one path", async () => {
    await using every = await listen("ws://127.0.0.1:0", echo);
    for (const path of ["", "/", "/a", "/a/b?c"]) assert.equal(await echoed(`${every.url}${path}`), "hello");
    await using one = await listen("ws://127.0.0.1:0/a", echo);
    assert.equal(await echoed(`${one.url}?b`), "hello");
    for (const path of ["/", "/b", "/a/", "/a/b", "/A"]) {
      assert.equal((await refused(portOf(one), upgradeRequest(path))).status, 404);
    }
  });

  it("refuses an address with a query, which no request could match", async () => {
    await assert.rejects(listen("ws://127.0.0.1:0/a?b=c", echo), { name: "TypeError", message: /query/ });
  });

  it("on TCP refuses the options of an upgrade", async () => {
    for (const options of [
      { authorize: () => new Response("no", { status: 401 }) },
      { origin: "any" },
      { subprotocols: ["v1"] },
      { headers: { "X-A": "a" } },
    ] as const) {
      const [name] = Object.keys(options);
      const refusal = { name: "TypeError", message: new RegExp(`Cannot use ${name}`) };
      await assert.rejects(listen("tcp://127.0.0.1:0", options, echo), refusal);
    }
  });

  it("refuses an invalid address before it opens a socket", async () => {
    for (const url of ["http://127.0.0.1:0", "tcp://127.0.0.1", "", "ws://127.0.0.1:65536"]) {
      await assert.rejects(listen(url, echo), { name: "TypeError", message: /^Cannot use address ".*": / });
    }
  });

  it("rejects with the error of the system if the address cannot be bound", async () => {
    await using taken = await listen("ws://127.0.0.1:0", echo);
    const attempts = {
      EADDRINUSE: [taken.url, taken.url.replace("ws:", "tcp:")],
      EADDRNOTAVAIL: ["ws://192.0.2.1:0"],
      ENOTFOUND: ["ws://nobody.invalid:0"],
      EACCES: ["tcp+unix:///nowhere/at/all.sock"],
    };
    for (const [errno, urls] of Object.entries(attempts)) {
      for (const url of urls) {
        await assert.rejects(listen(url, echo), (error: unknown) => {
          assert.ok(error instanceof TransportError);
          // A resolver without a network returns either of the two.
          assert.equal(error.errno.replace("EAI_AGAIN", "ENOTFOUND"), errno);
          const address = url.replace(/^.*?:\/\//, "").replace(/(:0)?\/?$/, "");
          if (errno !== "ENOTFOUND") assert.equal(error.message, `Cannot listen: ${errno}: ${address}`);
          return true;
        });
      }
    }
  });

  it("answers a request without an upgrade with 426 and both fields, on every path that it serves", async () => {
    await using server = await listen("ws://127.0.0.1:0", echo);
    for (const path of ["/", "/a"]) {
      const { status, headers } = await refused(portOf(server), `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
      assert.equal(status, 426);
      assert.equal(headers["upgrade"], "websocket");
      assert.equal(headers["sec-websocket-version"], "13");
      assert.match(headers["connection"] ?? "", /close/);
    }
  });
});

/** A clock that reports when a timer is set, so that a test knows that a socket has been accepted. */
class WatchedClock extends ManualClock {
  #armed: () => void = () => undefined;

  /** Resolves when the next timer is set. */
  nextLimit(): Promise<void> {
    return new Promise((resolve) => {
      this.#armed = resolve;
    });
  }

  override wakeAt(at: Instant, wake: (now: Instant) => void): Wakeup {
    this.#armed();
    return super.wakeAt(at, wake);
  }
}

describe("openTimeout", LIMIT, () => {
  it("ends a client that sends nothing, and not before", async () => {
    const clock = new WatchedClock();
    await using server = await listen("ws://127.0.0.1:0", { clock, openTimeout: 5_000 }, echo);
    const accepted = clock.nextLimit();
    await using silent = await RawPeer.to(portOf(server));
    await accepted;
    await clock.advance(4_999);
    assert.ok(!silent.ended);
    await clock.advance(1);
    await silent.until(({ ended }) => ended);
    assert.equal(silent.text, "");
  });

  it("ends a client that sends its request one byte at a time", async () => {
    const clock = new WatchedClock();
    await using server = await listen("ws://127.0.0.1:0", { clock, openTimeout: 5_000 }, echo);
    const accepted = clock.nextLimit();
    await using slow = await RawPeer.to(portOf(server));
    await accepted;
    const request = upgradeRequest();
    for (const byte of request.slice(0, 50)) {
      slow.write(byte);
      await clock.advance(99);
    }
    assert.ok(!slow.ended);
    slow.write(request[50] as string);
    await clock.advance(50);
    await slow.until(({ ended }) => ended);
    assert.equal(slow.text, "");
  });

  it("does not end a client whose request is complete in time, however long it is silent then", async () => {
    const clock = new WatchedClock();
    const options = { clock, openTimeout: 5_000, heartbeat: { interval: Infinity }, idleTimeout: Infinity };
    await using server = await listen("ws://127.0.0.1:0", options, echo);
    const accepted = clock.nextLimit();
    await using slow = await RawPeer.to(portOf(server));
    await accepted;
    await clock.advance(4_999);
    slow.write(upgradeRequest());
    assert.equal((await slow.head()).status, 101);
    await clock.advance(60_000);
    assert.ok(!slow.ended);
    assert.equal(server.connections.size, 1);
  });

  for (const scheme of ["wss", "tls"]) {
    it(`ends a client that does not begin TLS: ${scheme}`, async () => {
      await using server = await listen(`${scheme}://127.0.0.1:0`, { tls: LOCALHOST, openTimeout: 50 }, echo);
      await using silent = await RawPeer.to(portOf(server));
      await silent.until(({ ended }) => ended);
      assert.equal(silent.text, "");
      assert.equal(server.connections.size, 0);
    });
  }

  it("of Infinity is no limit", async () => {
    await using server = await listen("ws://127.0.0.1:0", { openTimeout: Infinity }, echo);
    await using peer = await upgraded(portOf(server));
    assert.ok(!peer.ended);
  });
});

describe("backlog", LIMIT, () => {
  it("is passed to the kernel", async (t) => {
    const asked: unknown[] = [];
    t.mock.method(Server.prototype, "listen", function (this: Server, options: object) {
      asked.push(options);
      queueMicrotask(() => this.emit("error", Object.assign(new Error("enough"), { code: "EENOUGH" })));
      return this;
    });
    await assert.rejects(listen("ws://127.0.0.1:0", { backlog: 7 }, echo), { errno: "EENOUGH" });
    assert.deepEqual(asked, [{ port: 0, host: "127.0.0.1", backlog: 7 }]);
  });
});
