/** Tests of `holdfast serve --broker`: one chat over several processes, with real servers of Redis and NATS. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Connection, connect } from "../../../src/index.ts";
import { NatsServer, unable as withoutNats } from "../../broker/nats-server.ts";
import { RedisProcess, unable as withoutRedis } from "../../broker/redis-server.ts";
import { ServeProcess } from "../../kit/serve-process.ts";

const LIMIT = { timeout: 120_000 };

interface BrokerServer extends AsyncDisposable {
  readonly url: string;
  kill(): Promise<void>;
  restartEmpty(): Promise<void>;
}

const SERVERS: Readonly<Record<string, { skip: false | string; start(): Promise<BrokerServer> }>> = {
  Redis: { skip: withoutRedis(), start: () => RedisProcess.start() },
  NATS: { skip: withoutNats(), start: () => NatsServer.start() },
};

const node = (broker: BrokerServer): Promise<ServeProcess> => ServeProcess.start("--no-tcp", "--broker", broker.url);
const chatting = ({ addresses }: ServeProcess): Promise<Connection<undefined>> => connect(`${addresses.ws}/chat`);

/** Sends a text that nobody has sent before until it comes back: from then on the client is a member. */
async function joined(connection: Connection<undefined>, name: string): Promise<void> {
  await connection.send(name);
  await until(connection, (text) => text === name);
}

/** Receives until a message is the one that was looked for. Returns those before it, and it. */
async function until(connection: Connection<undefined>, found: (text: string) => boolean): Promise<string[]> {
  const seen: string[] = [];
  for (;;) {
    const text = String(await connection.receive({ timeout: 30_000 }));
    seen.push(text);
    if (found(text)) return seen;
  }
}

for (const [name, { skip, start }] of Object.entries(SERVERS)) {
  describe(`holdfast serve --broker, with ${name}`, { ...LIMIT, skip }, () => {
    it("joins the chats of two processes, and gives the last 50 messages to each that comes", async () => {
      await using broker = await start();
      await using first = await node(broker);
      await using second = await node(broker);
      await using ann = await chatting(first);
      await using ben = await chatting(second);
      await joined(ann, "ann is here");
      await until(ben, (text) => text === "ann is here");
      await joined(ben, "ben is here");
      await until(ann, (text) => text === "ben is here");
      const texts = Array.from({ length: 60 }, (_, number) => `message ${number}`);
      for (const text of texts) await ann.send(text);
      assert.deepEqual(await until(ben, (text) => text === "message 59"), texts);
      await until(ann, (text) => text === "message 59");
      await using eve = await chatting(second);
      assert.deepEqual(await until(eve, (text) => text === "message 59"), texts.slice(10));
    });

    it("shows who is in the chat of all processes, and drops the members of a process that was killed", async () => {
      await using broker = await start();
      await using first = await node(broker);
      await using second = await node(broker);
      await using viewer = await connect(`${second.addresses.ws}/chat/members`);
      const names = async (expected: readonly string[]): Promise<void> => {
        const list = JSON.stringify({ count: expected.length, members: expected });
        await until(viewer, (text) => text === list);
      };
      await using ann = await connect(`${first.addresses.ws}/chat?name=ann`);
      await names(["ann"]);
      await using ben = await connect(`${second.addresses.ws}/chat?name=ben`);
      await names(["ann", "ben"]);
      first.signal("SIGKILL");
      await ann.closed;
      await names(["ben"]);
      await ben.close();
      await names([]);
    });

    it("keeps the chat and its messages when a process is killed", async () => {
      await using broker = await start();
      await using first = await node(broker);
      await using second = await node(broker);
      await using ann = await chatting(first);
      await using ben = await chatting(second);
      await joined(ben, "ben is here");
      await joined(ann, "ann is here");
      first.signal("SIGKILL");
      await ann.closed;
      await ben.send("ann is gone");
      await until(ben, (text) => text === "ann is gone");
      await using third = await node(broker);
      await using again = await chatting(third);
      assert.deepEqual(await until(again, (text) => text === "ann is gone"), [
        "ben is here",
        "ann is here",
        "ann is gone",
      ]);
    });

    it("tells members of a gap when the broker was killed and its messages are lost", async () => {
      await using broker = await start();
      await using serving = await node(broker);
      await using ann = await chatting(serving);
      await joined(ann, "before");
      await broker.kill();
      await broker.restartEmpty();
      const seen = await until(ann, (text) => text.startsWith("-- "));
      assert.match(seen.at(-1) ?? "", /^-- (\d+ messages?|messages) may be missing here \(epoch\)$/);
      await joined(ann, "after");
    });
  });
}

describe("the flag --broker of holdfast serve", LIMIT, () => {
  it("accepts the URL of a known broker only", async () => {
    for (const url of ["localhost:6379", "kafka://127.0.0.1", "redis"]) {
      await using serving = new ServeProcess(["serve", "--broker", url]);
      assert.equal((await serving.exit).status, 2);
      assert.match(
        serving.stderr,
        /^holdfast: cannot use --broker "[^"]+": expected redis:\/\/HOST:PORT or nats:\/\/HOST:PORT\n/,
      );
    }
  });

  it("shows no password of the URL in an error", async () => {
    await using serving = new ServeProcess(["serve", "--broker", "kafka://user:s3cret@127.0.0.1"]);
    await serving.exit;
    assert.match(serving.stderr, /"kafka:\/\/\*\*\*@127\.0\.0\.1"/);
  });
});
