/** The exchanges of every peer with this library, written once: a new peer adds one line for each of its roles. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { found, type Program, wanting } from "../kit/foreign-programs.ts";
import { closings } from "./closings.ts";
import { ForeignPeer, type Open } from "./foreign-peer.ts";
import { type Join, toOurServer, toTheirServer } from "./session.ts";

export type Role = "client" | "server";

/** The abilities of a peer. Tests of others are left out. */
export interface Abilities {
  /** Sends a message in fragments. */
  readonly fragments: boolean;
  /** Sends a Ping and reports its Pong. */
  readonly pings: boolean;
  /** Reports a received Ping. */
  readonly hearsPings: boolean;
  /** Writes invalid frames. */
  readonly raw: boolean;
  /** Ends without a Close. */
  readonly drop: boolean;
  /** Closes without a code. */
  readonly codeless: boolean;
  /** Keeps a byte order mark at the start of a text. */
  readonly marks: boolean;
  /** Sends compressed messages. */
  readonly deflates: boolean;
  /** Accepts every parameter of permessage-deflate. */
  readonly terms: boolean;
  /** The code that it reports for an end without a Close. */
  readonly lost: number;
}

export interface Peer {
  readonly name: string;
  /** The program that it needs. */
  readonly needs: Program;
  readonly open: (path: string) => Open;
  readonly can: Abilities;
}

// For all tests of a suite together, on a busy machine.
const LIMIT = { timeout: 180_000 };
// Each form of a frame's length, with its minimum and maximum.
const SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, 2 ** 20];
const MARKED = "\ufeffmark";
const WORDS = ["", "é𝄞", "\0", MARKED, "\uffff\ufffd", "e\u0301 ≠ é", "\u{10ffff}", "κόσμε", "\ud7ff\ue000"];
const COUNT = 200;
const SPLIT = Buffer.from("one é𝄞 two");

/** All tests of `peer` in `role`. */
export function exchanges(peer: Peer, role: Role): void {
  meeting(peer, role, "", (join, version) => {
    it("opens with nothing agreed on, and says its version", async (t) => {
      // By default, clients offer compression, and servers decline it.
      await using pair = await join();
      const { subprotocol, extensions } = pair.opened;
      assert.deepEqual([subprotocol, extensions, pair.ours.extensions], ["", "", ""]);
      t.diagnostic(`version of ${peer.name}: ${version()}`);
    });
    messages(join, peer.can);
    fragmented(join, peer.can);
    pings(join, peer.can);
    handshakes(join, role);
    closings(join, role, peer.can);
  });
}

/** The suite of `peer` in `role`. It is skipped where the peer's program is missing. */
export function meeting(peer: Peer, role: Role, how: string, tests: (join: Join, version: () => string) => void): void {
  const path = found(peer.needs);
  const skip = path === undefined && wanting(peer.needs);
  describe(`${peer.name} as ${role}${how}`, { ...LIMIT, skip }, () => {
    let foreign: ForeignPeer;
    before(async () => {
      foreign = await ForeignPeer.start(peer.open(path ?? ""));
    });
    after(() => foreign[Symbol.asyncDispose]());
    const join = (role === "client" ? toOurServer : toTheirServer)(() => foreign);
    tests(join, () => foreign.version);
  });
}

function messages(join: Join, can: Abilities): void {
  for (const size of SIZES) {
    it(`exchanges texts and bytes of ${size} bytes`, async () => {
      await using pair = await join();
      const { ours, theirs } = pair;
      const text = "é".repeat(Math.floor(size / 2)) + "x".repeat(size % 2);
      const bytes = Buffer.alloc(size, "00fffe7f80010203", "hex");
      for (const message of [text, bytes]) {
        theirs.send(message);
        assertSame(await ours.receive(), message);
        await ours.send(message);
        assertSame(await theirs.message(), message);
      }
    });
  }

  it("exchanges every kind of character", async () => {
    await using pair = await join();
    for (const word of WORDS) {
      pair.theirs.send(word);
      assert.equal(await pair.ours.receive(), word);
      await pair.ours.send(word);
      const heard = await pair.theirs.message();
      assert.equal(heard, word === MARKED && !can.marks ? "mark" : word);
    }
  });

  it(`keeps the order of ${COUNT} messages, both ways at once`, async () => {
    await using pair = await join();
    const { ours, theirs } = pair;
    const expected = Array.from({ length: COUNT }, (_, index) => (index % 2 === 0 ? `${index}` : Buffer.from([index])));
    for (const message of expected) theirs.send(message);
    for (const message of expected) ours.trySend(message);
    for (const message of expected) assertSame(await ours.receive(), message);
    for (const message of expected) assertSame(await theirs.message(), message);
  });
}

export function fragmented(join: Join, can: Abilities): void {
  it("puts our fragments together, with pings between them, wherever a character is cut", async () => {
    await using pair = await join();
    const { ours, theirs } = pair;
    for (const type of ["text", "binary"] as const) {
      const writer = ours.writer(type);
      for (const octet of SPLIT) {
        await writer.write(Buffer.of(octet));
        if (octet > 127) await ours.ping();
      }
      await writer.end();
      assertSame(await theirs.message(), type === "text" ? SPLIT.toString() : SPLIT);
    }
  });

  if (can.fragments) {
    it("sends fragments", async () => {
      await using pair = await join();
      const { ours, theirs } = pair;
      const parts = ["one ", "é𝄞", "", " two"].map((part) => Buffer.from(part));
      theirs.fragments("text", ...parts);
      assert.equal(await ours.receive(), SPLIT.toString());
      theirs.fragments("binary", ...Array.from(SPLIT, (octet) => Buffer.of(octet)));
      assertSame(await ours.receive(), SPLIT);
    });
  }
}

export function pings(join: Join, can: Abilities): void {
  it("answers our pings", async () => {
    await using pair = await join();
    const { ours, theirs } = pair;
    for (let round = 0; round < 3; round += 1) assert.ok((await ours.ping()) >= 0);
    if (can.hearsPings) for (let round = 0; round < 3; round += 1) await theirs.ping();
  });

  if (can.pings) {
    it("has its own pings answered, with what they hold", async () => {
      await using pair = await join();
      for (const size of [0, 1, 125]) {
        const payload = Buffer.alloc(size, "ping");
        pair.theirs.sendPing(payload);
        assertSame(await pair.theirs.pong(), payload);
      }
    });
  }
}

function handshakes(join: Join, role: Role): void {
  const greeting = "said with the handshake";
  it("gets or gives a message in the segment of the handshake", async () => {
    await using pair = await join({ greeting });
    assert.equal(await (role === "client" ? pair.theirs.message() : pair.ours.receive()), greeting);
  });

  if (role === "client") {
    it("is refused", async () => {
      const authorize = (): Response => new Response("no", { status: 401 });
      await assert.rejects(join({ ours: { authorize } }), /the peer was told the end/);
    });
  }

  it("agrees on a subprotocol, the favourite of whoever is the server", async () => {
    const [server, client] = [{ subprotocols: ["b", "a"] }, { subprotocols: ["x", "a", "b"] }];
    const [ours, theirs] = role === "client" ? [server, client] : [client, server];
    await using pair = await join({ ours, theirs });
    assert.deepEqual([pair.ours.protocol, pair.opened.subprotocol], ["b", "b"]);
  });
}

/** Compares texts and bytes without printing large ones. */
export function assertSame(actual: unknown, expected: string | Uint8Array): void {
  if (typeof expected === "string" || typeof actual === "string") {
    // The difference of a megabyte would not be readable.
    if (actual !== expected) assert.equal(shown(actual), shown(expected));
    return;
  }
  assert.ok(actual instanceof Uint8Array);
  assert.ok(Buffer.from(actual).equals(expected), `${shown(actual)} is not ${shown(expected)}`);
}

function shown(data: unknown): string {
  const bytes = Buffer.from(data as string);
  return `${typeof data}: ${bytes.subarray(0, 40).toString("hex")} (${bytes.length} bytes)`;
}
