/** Random bytes, in random pieces, to both roles and in every framing: a connection continues or ends with a typed error. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Connection, type ConnectionOptions, connect, type Framing, isConnectionError } from "../../src/index.ts";
import { settled, wired } from "../../src/testing/index.ts";
import { FrameReader, KEY, peerFrame } from "../kit/frames.ts";
import { openSockets } from "../kit/kernel-sockets.ts";
import { rawServer, switchingTo, upgradeRequest } from "../kit/raw-peer.ts";
import { AttackedServer, SCALE } from "./attacked-server.ts";
import { Attacker } from "./attacker.ts";

const LIMIT = { timeout: 240_000 };

const FRAMINGS: readonly Framing[] = [
  "raw",
  "lines",
  { delimiter: "ab" },
  { delimiter: "\0\0", text: true },
  { lengthPrefix: 1 },
  { lengthPrefix: 2, endian: "little", text: true },
  { lengthPrefix: 4 },
  { lengthPrefix: 8, endian: "little" },
  { lengthPrefix: "varint", text: true },
  { fixed: 3 },
  {
    encode: (data) => Buffer.from(data as string),
    decode: ([size = 0, ...rest]) => (rest.length < size ? undefined : { message: "x", size: size + 1 }),
  },
];

/** Limits that random bytes reach. */
const SMALL: ConnectionOptions = { maxMessageSize: 300, maxFragments: 5, maxInboxMessages: 4, maxInboxBytes: 500 };

/** Bytes with a meaning in one of the protocols, more often than at random. */
const noise = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 20 }),
      fc.constantFrom<readonly number[]>(
        [0],
        [0xff],
        [0x0a],
        [0x0d, 0x0a],
        [0x61, 0x62],
        [0, 0, 0, 1],
        [0xe2, 0x82],
        [0x7f],
        [0x81, 0x80],
        [0x88, 0x02],
      ),
    ),
    { maxLength: 12 },
  )
  .map((parts) => Buffer.concat(parts.map((part) => Buffer.from(part))));

/** Frames most of which are valid. */
const frames = (masked: boolean): fc.Arbitrary<Buffer> =>
  fc
    .array(
      fc.record(
        {
          opcode: fc.oneof(
            { weight: 9, arbitrary: fc.constantFrom(0, 1, 2, 9, 10, 8) },
            { weight: 1, arbitrary: fc.nat(15) },
          ),
          payload: fc.oneof(fc.string({ unit: "grapheme" }), fc.uint8Array({ maxLength: 200 })),
          fin: fc.oneof({ weight: 3, arbitrary: fc.constant(true) }, fc.boolean()),
          rsv: fc.oneof({ weight: 30, arbitrary: fc.constant(0) }, fc.nat(7)),
          right: fc.oneof({ weight: 30, arbitrary: fc.constant(true) }, fc.boolean()),
          form: fc.constantFrom<2 | 8>(2, 8),
          announced: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        },
        { requiredKeys: ["opcode", "payload", "fin", "rsv", "right"] },
      ),
      { maxLength: 8 },
    )
    .map((list) =>
      Buffer.concat(
        list.map(({ right, form, announced, ...frame }, index) =>
          peerFrame({
            ...frame,
            ...(masked === right && { key: KEY }),
            ...(form !== undefined && index % 4 === 3 && { form }),
            ...(announced !== undefined && index % 5 === 4 && { announced, form: 8 }),
          }),
        ),
      ),
    );

/** The bytes with a few of them changed, inserted or removed. */
const mutated = (bytes: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> =>
  fc.tuple(bytes, fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.nat(2)), { maxLength: 4 })).map(([whole, changes]) =>
    changes.reduce((changed, [at, byte, how]) => {
      const index = at % (changed.length + 1);
      return Buffer.concat(
        [changed.subarray(0, index), how === 2 ? [] : [byte], changed.subarray(index + (how === 0 ? 0 : 1))].map(
          (part) => Buffer.from(part),
        ),
      );
    }, whole),
  );

const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 });

function* pieces(bytes: Buffer, sizes: readonly number[]): Generator<Buffer> {
  let at = 0;
  for (let count = 0; at < bytes.length; count += 1) {
    const size = sizes[count % sizes.length]!;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

/** The possible results of a connection, and their errors. */
async function ends(connection: Connection): Promise<void> {
  const { wasClean, cause, code } = await connection.closed;
  // A clean end with a code other than a normal one has a cause, too.
  assert.equal(cause === undefined, wasClean && [1000, 1001, 1005].includes(code));
  assert.ok(cause === undefined || isConnectionError(cause), String(cause));
  assert.ok(code >= 1000 && code <= 4999, String(code));
  await assert.rejects(connection.send("xyz"), isConnectionError);
}

/** Receives now and then, and returns how the connection ended. */
async function reads(connection: Connection): Promise<void> {
  try {
    for await (const message of connection) {
      assert.ok(typeof message === "string" || message.constructor === Uint8Array);
      if (message.length === 0)
        await connection.send("answer").catch((error: unknown) => assert.ok(isConnectionError(error)));
    }
  } catch (error) {
    assert.ok(isConnectionError(error), String(error));
  }
}

describe("random bytes", LIMIT, () => {
  const protocols = fc.oneof(
    fc.constantFrom("client", "server").chain((role) => {
      const masked = role === "server";
      const sent = fc.oneof(noise, frames(masked), mutated(frames(masked)));
      return fc.record({ role: fc.constant(role), framing: fc.constant(undefined), sent });
    }),
    fc.record({ role: fc.constantFrom("client", "server"), framing: fc.constantFrom(...FRAMINGS), sent: noise }),
  );
  const scripts = fc.record({
    protocol: protocols,
    sizes: cuts,
    streaming: fc.boolean(),
    reading: fc.boolean(),
    goes: fc.constantFrom("fin", "reset", "stays"),
  });

  it("in memory, of every framing and to both roles", async () => {
    await fc.assert(
      fc.asyncProperty(scripts, async ({ protocol: { role, framing, sent }, sizes, streaming, reading, goes }) => {
        const { connection, peer, clock } = wired({
          role: role as "client" | "server",
          kind: framing === undefined ? "websocket" : "tcp",
          ...(framing !== undefined && { framing }),
          connection: { ...SMALL, streaming, onError: (error) => assert.fail(String(error)) },
        });
        const reader = reading ? reads(connection) : Promise.resolve();
        for (const piece of pieces(sent, sizes)) peer.write(piece);
        await settled();
        if (goes === "fin") peer.end();
        else if (goes === "reset") peer.reset();
        // Longer than every time limit but one: a peer that is silent for so long is dead.
        await clock.advance(600_000);
        if (framing === undefined) assert.equal(connection.state, "CLOSED");
        connection.terminate();
        await Promise.all([ends(connection), reader]);
        if (framing !== undefined) return;
        // Nothing is sent after a Close frame.
        const answered = new FrameReader().push(peer.received);
        const close = answered.findIndex(({ opcode }) => opcode === 8);
        assert.ok(close === -1 || close === answered.length - 1);
        assert.ok(answered.every(({ masked }) => masked === (role === "client")));
      }),
      { numRuns: 400 * SCALE },
    );
  });

  it("over sockets, to a server after its upgrade", async () => {
    await using attacked = await AttackedServer.start({ url: "ws://127.0.0.1:0", does: "echo", options: { ...SMALL } });
    const sent = fc.oneof(noise, frames(true), mutated(frames(true)));
    await fc.assert(
      fc.asyncProperty(sent, cuts, fc.boolean(), async (bytes, sizes, orderly) => {
        await using attacker = await Attacker.on(attacked.port);
        for (const piece of pieces(bytes, sizes)) await attacker.flood(piece, 1);
        if (!orderly) attacker.socket.resetAndDestroy();
        else attacker.socket.end();
        await attacker.until(() => attacker.ended);
      }),
      { numRuns: 150 * SCALE, includeErrorInReport: true },
    );
    for (const { error, code } of await attacked.ended()) {
      assert.ok(["", "ClosedError", "LimitError", "ProtocolError", "TransportError"].includes(error), error);
      assert.ok(code >= 1000 && code <= 4999);
    }
  });

  it("over sockets, to a server that waits for a request", async () => {
    await using attacked = await AttackedServer.start({
      url: "ws://127.0.0.1:0",
      does: "echo",
      options: { ...SMALL, openTimeout: 2_000 },
    });
    const request = fc.constantFrom(
      upgradeRequest(),
      upgradeRequest("/path?query", { Origin: "http://localhost", "Sec-WebSocket-Protocol": "a, b" }),
      upgradeRequest("http://localhost/", { "Sec-WebSocket-Extensions": 'a; b="c", d', "X-Name": "value" }),
    );
    const sent = fc
      .tuple(mutated(request.map((text) => Buffer.from(text))), frames(true))
      .map((parts) => Buffer.concat(parts));
    await fc.assert(
      fc.asyncProperty(sent, cuts, async (bytes, sizes) => {
        await using attacker = await Attacker.to(attacked.port);
        for (const piece of pieces(bytes, sizes)) await attacker.flood(piece, 1);
        attacker.socket.end();
        await attacker.until(() => attacker.ended);
        const answer = attacker.bytes.toString("latin1");
        // A request that ends inside its head was cut by the network, or aborted, and gets no answer.
        if (answer === "" && !bytes.includes("\r\n\r\n")) return;
        assert.match(answer, /^HTTP\/1\.1 (101|4\d\d) /);
      }),
      { numRuns: 150 * SCALE, includeErrorInReport: true },
    );
    await attacked.until(({ connections }) => connections === 0);
  });

  it("over sockets, to a client that waits for an answer", async () => {
    const sockets = openSockets();
    let answer: (request: string) => Iterable<Buffer> = () => [];
    {
      await using server = await rawServer(async (peer) => {
        await peer.until(({ text }) => text.endsWith("\r\n\r\n"));
        for (const piece of answer(peer.text)) peer.write(piece);
        peer.socket.end();
      });
      const changes = mutated(fc.constant(Buffer.from("\0".repeat(100))));
      await fc.assert(
        fc.asyncProperty(changes, fc.oneof(frames(false), noise), cuts, async (pattern, behind, sizes) => {
          // Where the pattern is not zero, the answer is changed.
          answer = (request) => {
            const head = Buffer.from(switchingTo(request));
            for (const [index, byte] of pattern.entries()) if (byte !== 0) head[index % head.length] = byte;
            return pieces(Buffer.concat([head, behind]), sizes);
          };
          try {
            const connection = await connect(`ws://127.0.0.1:${server.port}`, { ...SMALL, openTimeout: 2_000 });
            await Promise.all([ends(connection as Connection), reads(connection as Connection)]);
          } catch (error) {
            assert.ok(isConnectionError(error), String(error));
          }
        }),
        { numRuns: 100 * SCALE },
      );
    }
    assert.equal(openSockets(), sockets);
  });
});
