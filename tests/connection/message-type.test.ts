import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { pair } from "../../src/testing/index.ts";

describe("messageType", () => {
  for (const [messageType, wrong] of [
    ["text", Uint8Array.of(1)],
    ["binary", "a"],
  ] as const) {
    it(`${messageType} ends the connection with 1003 for a message of the other type`, async () => {
      const { client, server } = pair({ server: { messageType } });
      const receiving = assert.rejects(server.receive(), { code: "PROTOCOL", closeCode: 1003, by: "peer" });
      await client.send(wrong);
      await receiving;
      assert.deepEqual([(await client.closed).code, (await client.closed).by], [1003, "peer"]);
      assert.equal((await server.closed).code, 1003);
    });

    it(`${messageType} also applies to a message that is read in pieces`, async () => {
      const { client, server } = pair({ server: { messageType, streaming: true } });
      const reading = assert.rejects(server.reader(), { closeCode: 1003 });
      await client.send(wrong);
      await reading;
      assert.equal((await client.closed).code, 1003);
    });
  }

  for (const sent of ["a", Uint8Array.of(1), ""]) {
    it(`none ends the connection with 1003 for each message, here for ${typeof sent} of ${sent.length}`, async () => {
      const { client, server } = pair({ server: { messageType: "none" } });
      const receiving = assert.rejects(server.receive(), { code: "PROTOCOL", closeCode: 1003, by: "peer" });
      await client.send(sent);
      await receiving;
      const { code, reason } = await client.closed;
      const type = typeof sent === "string" ? "text" : "binary";
      assert.deepEqual([code, reason], [1003, `a ${type} message came, and messageType is "none"`]);
    });
  }

  it("accepts both types by default", async () => {
    const { client, server } = pair();
    await client.send("a");
    await client.send(Uint8Array.of(1));
    assert.deepEqual([await server.receive(), await server.receive()], ["a", Uint8Array.of(1)]);
    await client.close();
    await server.closed;
  });
});
