import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { pair } from "../../src/testing/index.js";

describe("messageType", () => {
  for (const [messageType, wrong] of [
    ["text", Uint8Array.of(1)],
    ["binary", "a"],
  ] as const) {
    it(`of ${messageType} ends the connection with 1003 for the other type`, async () => {
      const { client, server } = pair({ server: { messageType } });
      const receiving = assert.rejects(server.receive(), { code: "PROTOCOL", closeCode: 1003, by: "peer" });
      await client.send(wrong);
      await receiving;
      assert.deepEqual([(await client.closed).code, (await client.closed).by], [1003, "peer"]);
      assert.equal((await server.closed).code, 1003);
    });

    it(`of ${messageType} holds for a message that is read in pieces`, async () => {
      const { client, server } = pair({ server: { messageType, streaming: true } });
      const reading = assert.rejects(server.reader(), { closeCode: 1003 });
      await client.send(wrong);
      await reading;
      assert.equal((await client.closed).code, 1003);
    });
  }

  it("lets both types in by default", async () => {
    const { client, server } = pair();
    await client.send("a");
    await client.send(Uint8Array.of(1));
    assert.deepEqual([await server.receive(), await server.receive()], ["a", Uint8Array.of(1)]);
    await client.close();
    await server.closed;
  });
});
