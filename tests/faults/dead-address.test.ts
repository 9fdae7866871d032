/** A name with several addresses of which one is dead: the others are tried in time, and it is looked up anew each time. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SPEECHES, type Speech } from "../requirements/speech.js";
import { unable } from "./bad-link.js";
import { Linked, PATIENT } from "./linked.js";
import type { Part } from "./machine.js";

const NAME = "many.test";

// On the link, and nobody's: the machine at the other end throws away what is not for it, and says nothing.
const DEAD_4 = "10.78.0.99";
const DEAD_6 = "fd78::99";

/** Node turns to the next address after 250 ms. What TCP itself would do takes two minutes. */
const OPEN_TIMEOUT = 3_000;

const known = (...addresses: readonly string[]): string[] => addresses.map((address) => `${address} ${NAME}`);

describe("a name with a dead address", { skip: unable(), timeout: 60_000 }, () => {
  for (const [what, addresses, family] of [
    ["IPv6, where IPv4 lives", [DEAD_6, "10.78.0.1"], 4],
    ["IPv4, where IPv6 lives", ["fd78::1", DEAD_4], 6],
    ["the first of two, both IPv4", [DEAD_4, "10.78.0.1"], 4],
    ["the first of two, both IPv6", [DEAD_6, "fd78::1"], 6],
  ] as const) {
    it(`${what}: is connected to all the same (bound: ${OPEN_TIMEOUT} ms)`, async () => {
      await using linked = await Linked.start(1, known(...addresses));
      await Promise.all(SPEECHES.map((speech) => opened(linked, speech, family)));
    });
  }

  it(`tried second, when the first is 400 ms away: that one is not given up meanwhile (bound: ${OPEN_TIMEOUT} ms)`, async () => {
    await using linked = await Linked.start(1, known("fd78::1", DEAD_4));
    await linked.link.set({ delay: 200 });
    await Promise.all(SPEECHES.map((speech) => opened(linked, speech, 6)));
  });

  it("whose service nobody has at one address: the refusal there is no end", async () => {
    await using linked = await Linked.start(1, known("fd78::1", "10.78.0.1"));
    await Promise.all(SPEECHES.map((speech) => opened(linked, speech, 4)));
  });

  it("and no other: the error is of TCP, and the time is what was given for it (bound: openTimeout)", async () => {
    await using linked = await Linked.start(1, known(DEAD_6, DEAD_4));
    for (const speech of SPEECHES) {
      const { code, operation, limit } = await dialled(linked, speech, 9, 1_000).until("failed");
      assert.deepEqual([code, operation, limit], ["TIMEOUT", "connect:tcp", "openTimeout"]);
    }
  });

  it("is looked up anew at each attempt to come back: the server may have moved", async () => {
    await using linked = await Linked.start(1, known(DEAD_6));
    for (const speech of SPEECHES) {
      linked.link.hosts("client", known(DEAD_6));
      const port = await portOf(linked, speech, 4);
      const client = linked.client.do({
        ...{ kind: "return", url: urlOf(speech, port), does: "nothing" },
        options: { ...speech.options, openTimeout: 300, initialPause: 50, maxPause: 100 },
      });
      await client.until("state", ({ states }) => states.filter(({ phase }) => phase === "tcp").length > 1);
      linked.link.hosts("client", known("10.78.0.1"));
      await client.until("state", ({ name }) => name === "open");
      linked.link.hosts("client", known("fd78::1"));
      await linked.link.kill("client");
      // Nobody listens there.
      await client.until("state", ({ states }) => states.at(-1)?.error?.["code"] === "HANDSHAKE");
      linked.link.hosts("client", known("fd78::1", "10.78.0.1"));
      await client.until("state", ({ name }) => name === "open");
    }
  });
});

/** Connects to the server, which listens at its address of this family alone. */
async function opened(linked: Linked, speech: Speech, family: 4 | 6): Promise<void> {
  await dialled(linked, speech, await portOf(linked, speech, family)).until("open");
}

/** The port at which the server listens, at its address of this family alone. */
async function portOf({ server, link }: Linked, speech: Speech, family: 4 | 6): Promise<string> {
  const address = link.address("server", family);
  const url = urlOf(speech, "0").replace(NAME, family === 4 ? address : `[${address}]`);
  const part = server.do({ kind: "listen", url, does: "nothing", options: { ...PATIENT, ...speech.options } });
  return new URL((await part.until("listening")).url).port;
}

const urlOf = ({ protocol }: Speech, port: number | string): string =>
  `${protocol === "tcp" ? "tcp" : "ws"}://${NAME}:${port}`;

function dialled({ client }: Linked, speech: Speech, port: number | string, openTimeout: number = OPEN_TIMEOUT): Part {
  const options = { ...PATIENT, ...speech.options, openTimeout };
  return client.do({ kind: "connect", url: urlOf(speech, port), does: "nothing", options });
}
