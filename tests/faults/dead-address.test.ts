/** A name with several addresses of which one does not answer: the others are tried in time, and each attempt resolves the name again. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { WIRE_PROTOCOLS, type WireProtocol } from "../kit/wire-protocols.ts";
import { unable } from "./bad-link.ts";
import { LinkedMachines, PATIENT } from "./linked-machines.ts";
import type { Part } from "./machine.ts";

const NAME = "many.test";

// In the subnet of the link, and unused: the other machine drops packets to it without an answer.
const DEAD_4 = "10.78.0.99";
const DEAD_6 = "fd78::99";

/** Node tries the next address after 250 ms. TCP alone would need two minutes. */
const OPEN_TIMEOUT = 3_000;

const known = (...addresses: readonly string[]): string[] => addresses.map((address) => `${address} ${NAME}`);

describe("a name with a dead address", { skip: unable(), timeout: 60_000 }, () => {
  for (const [what, addresses, family] of [
    ["IPv6, where IPv4 lives", [DEAD_6, "10.78.0.1"], 4],
    ["IPv4, where IPv6 lives", ["fd78::1", DEAD_4], 6],
    ["the first of two, both IPv4", [DEAD_4, "10.78.0.1"], 4],
    ["the first of two, both IPv6", [DEAD_6, "fd78::1"], 6],
  ] as const) {
    it(`${what}: the connection opens (bound: ${OPEN_TIMEOUT} ms)`, async () => {
      await using linked = await LinkedMachines.start(1, known(...addresses));
      await Promise.all(WIRE_PROTOCOLS.map((wire) => opened(linked, wire, family)));
    });
  }

  it(`tried second, when the first is 400 ms away: the first attempt is not given up (bound: ${OPEN_TIMEOUT} ms)`, async () => {
    await using linked = await LinkedMachines.start(1, known("fd78::1", DEAD_4));
    await linked.link.set({ delay: 200 });
    await Promise.all(WIRE_PROTOCOLS.map((wire) => opened(linked, wire, 6)));
  });

  it("whose other address refuses: the refusal does not end the attempt", async () => {
    await using linked = await LinkedMachines.start(1, known("fd78::1", "10.78.0.1"));
    await Promise.all(WIRE_PROTOCOLS.map((wire) => opened(linked, wire, 4)));
  });

  it("and no other address: the error has phase tcp and the time limit (bound: openTimeout)", async () => {
    await using linked = await LinkedMachines.start(1, known(DEAD_6, DEAD_4));
    for (const wire of WIRE_PROTOCOLS) {
      const { code, operation, limit } = await dialled(linked, wire, 9, 1_000).until("failed");
      assert.deepEqual([code, operation, limit], ["TIMEOUT", "connect:tcp", "openTimeout"]);
    }
  });

  it("is resolved again at each attempt to reconnect: the server may have moved", async () => {
    await using linked = await LinkedMachines.start(1, known(DEAD_6));
    for (const wire of WIRE_PROTOCOLS) {
      linked.link.hosts("client", known(DEAD_6));
      const port = await portOf(linked, wire, 4);
      const client = linked.client.do({
        ...{ kind: "return", url: urlOf(wire, port), does: "nothing" },
        options: { ...wire.options, openTimeout: 300, initialPause: 50, maxPause: 100 },
      });
      await client.until("state", ({ states }) => states.filter(({ phase }) => phase === "tcp").length > 1);
      linked.link.hosts("client", known("10.78.0.1"));
      await client.until("state", ({ name }) => name === "open");
      linked.link.hosts("client", known("fd78::1"));
      await linked.link.kill("client");
      // No process listens on this port.
      await client.until("state", ({ states }) => states.at(-1)?.error?.["code"] === "HANDSHAKE");
      linked.link.hosts("client", known("fd78::1", "10.78.0.1"));
      await client.until("state", ({ name }) => name === "open");
    }
  });
});

/** Connects to the server, which listens on the address of this family only. */
async function opened(linked: LinkedMachines, wire: WireProtocol, family: 4 | 6): Promise<void> {
  await dialled(linked, wire, await portOf(linked, wire, family)).until("open");
}

/** The port on which the server listens, on the address of this family only. */
async function portOf({ server, link }: LinkedMachines, wire: WireProtocol, family: 4 | 6): Promise<string> {
  const address = link.address("server", family);
  const url = urlOf(wire, "0").replace(NAME, family === 4 ? address : `[${address}]`);
  const part = server.do({ kind: "listen", url, does: "nothing", options: { ...PATIENT, ...wire.options } });
  return new URL((await part.until("listening")).url).port;
}

const urlOf = ({ protocol }: WireProtocol, port: number | string): string =>
  `${protocol === "tcp" ? "tcp" : "ws"}://${NAME}:${port}`;

function dialled(
  { client }: LinkedMachines,
  wire: WireProtocol,
  port: number | string,
  openTimeout: number = OPEN_TIMEOUT,
): Part {
  const options = { ...PATIENT, ...wire.options, openTimeout };
  return client.do({ kind: "connect", url: urlOf(wire, port), does: "nothing", options });
}
