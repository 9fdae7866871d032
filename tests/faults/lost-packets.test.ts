/** Packets between two machines are lost: which limit detects it on which side, and that no limit does if they pass again in time. */

import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { ChildProgram } from "../kit/child-process.ts";
import { WIRE_PROTOCOLS, type WireProtocol } from "../kit/wire-protocols.ts";
import { type Facts, Machine, type Order, type Part } from "./machine.ts";
import { Network, type Side, unable } from "./network.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

// `Infinity` in JSON.
const NEVER = null;

/** No limit except those that a test adds. */
const PATIENT = { heartbeat: { interval: NEVER }, idleTimeout: NEVER, writeTimeout: NEVER, messageTimeout: NEVER };

// Long enough on a machine that is busy with other tests: a peer there must not be taken for dead.
const HEARTBEAT = { interval: 1_000, timeout: 2_000 };

interface Limits {
  readonly server?: object;
  readonly client?: object;
}

interface Deeds {
  readonly server?: Order["does"];
  readonly client?: Order["does"];
}

const skip = unable();

describe("packets that are lost", { skip, timeout: 180_000 }, () => {
  let network: Network;
  let machines: Record<Side, Machine>;

  before(async () => {
    network = await Network.build();
    machines = { server: await Machine.start(network, "server"), client: await Machine.start(network, "client") };
  });

  after(async () => {
    for (const machine of Object.values(machines ?? {})) await machine[Symbol.asyncDispose]();
    await network?.[Symbol.asyncDispose]();
  });

  afterEach(() => network.heal());

  /** An open connection between the machines: the ends of both sides. */
  async function joined(
    { protocol, options }: WireProtocol,
    limits: Limits,
    does: Deeds = {},
  ): Promise<Record<Side, Part>> {
    const url = `${protocol === "tcp" ? "tcp" : "ws"}://${network.address("server")}`;
    const server = machines.server.do({
      ...{ kind: "listen", url: `${url}:0`, does: does.server ?? "nothing" },
      options: { ...options, ...PATIENT, ...limits.server },
    });
    const client = machines.client.do({
      ...{ kind: "connect", url: (await server.until("listening")).url, does: does.client ?? "nothing" },
      options: { ...options, ...PATIENT, ...limits.client },
    });
    await Promise.all([client.until("open"), server.until("open")]);
    return { server, client };
  }

  /** One connection of each protocol. */
  const allJoined = (limits: (wire: WireProtocol) => Limits, does?: Deeds): Promise<Record<Side, Part>[]> =>
    Promise.all(WIRE_PROTOCOLS.map((wire) => joined(wire, limits(wire), does)));

  function beating({ protocol }: WireProtocol, timeout: number = HEARTBEAT.timeout): object {
    return { heartbeat: { ...HEARTBEAT, timeout, ...(protocol === "tcp" && { message: "?" }) } };
  }

  /** By the connection's own report, the limit did not expire early, and the error has the elapsed time. */
  function assertTimedOut(facts: Facts, limit: string, bound: number): void {
    assert.deepEqual([facts["code"], facts["limit"], facts["bound"]], ["TIMEOUT", limit, bound]);
    const lasted = facts["after"] as number;
    assert.ok(lasted >= bound, `${lasted} ms`);
  }

  for (const [what, lost] of [
    ["both ways", ["server", "client"]],
    ["to the server alone", ["server"]],
    ["to the client alone", ["client"]],
  ] as const) {
    it(`S3-1 S3-18 ${what}: both sides detect it by their heartbeat (bound: its interval and timeout)`, async () => {
      const ends = await allJoined((wire) => ({ server: beating(wire), client: beating(wire) }));
      await network.lose(...lost);
      for (const facts of await endsOf(ends)) {
        if (facts["code"] === "TIMEOUT") assertTimedOut(facts, "heartbeat.timeout", HEARTBEAT.timeout);
        // A side that still receives packets may get the other side's Close first.
        else assert.equal(lost.length, 1, JSON.stringify(facts));
      }
    });
  }

  it("S3-20 with data in flight: the write's progress is bounded (bound: writeTimeout)", async () => {
    const ends = await allJoined(() => ({ server: { writeTimeout: 1_000 } }), { server: "flood" });
    await network.lose("client");
    for (const { server } of ends) assertTimedOut(await server.until("closed"), "writeTimeout", 1_000);
  });

  it("and pass again in time have no effect: nothing is lost, and neither side gives up", async () => {
    const limits = (wire: WireProtocol): Limits => ({
      server: beating(wire, 60_000),
      client: beating(wire, 60_000),
    });
    const ends = await allJoined(limits, { server: "echo", client: "count" });
    for (const { client } of ends) await client.until("counted", ({ number }) => number >= 10);
    await network.lose("server", "client");
    const stood = await Promise.all(ends.map(({ client }) => standstill(client)));
    await network.heal();
    for (const [index, { server, client }] of ends.entries()) {
      await client.until("counted", ({ number }) => number >= (stood[index] ?? 0) + 100);
      assert.deepEqual([client.latest("closed"), server.latest("closed")], [undefined, undefined]);
    }
  });

  for (const [what, fault] of [
    ["the cable is pulled", () => network.pull("client")],
    ["the router says unreachable, and TCP goes on trying", () => network.refuse("server", "client")],
  ] as const) {
    it(`because ${what}: both sides detect it by their heartbeat`, async () => {
      const ends = await allJoined((wire) => ({ server: beating(wire), client: beating(wire) }));
      await fault();
      for (const facts of await endsOf(ends)) assertTimedOut(facts, "heartbeat.timeout", HEARTBEAT.timeout);
    });
  }

  it("S3-19 end by keepalive after its delay and ten probes one second apart: ETIMEDOUT (bound: 11 s)", async () => {
    const limits = { keepAlive: { delay: 1_000 } };
    const ends = await allJoined(() => ({ server: limits, client: limits }));
    await network.lose("server", "client");
    for (const { code, errno } of await endsOf(ends)) {
      assert.deepEqual([code, errno], ["TRANSPORT", "ETIMEDOUT"]);
    }
  });

  it("before a connection is open: openTimeout, in phase tcp (bound: openTimeout)", async () => {
    await network.lose("server");
    for (const scheme of ["ws", "wss", "tcp", "tls"]) {
      const url = `${scheme}://${network.address("server")}:9`;
      const limits = { openTimeout: 500, ...(scheme.startsWith("t") && { framing: "lines" }) };
      const failed = machines.client.do({ kind: "connect", url, options: limits, does: "nothing" });
      const facts = await failed.until("failed");
      assertTimedOut(facts, "openTimeout", 500);
      assert.equal(facts["operation"], "connect:tcp");
    }
  });

  it("are answered with unreachable before a connection is open: EHOSTUNREACH, in phase tcp, at once", async () => {
    await network.refuse("server");
    for (const { protocol, options } of WIRE_PROTOCOLS) {
      const url = `${protocol === "tcp" ? "tcp" : "ws"}://${network.address("server")}:9`;
      const limits = { ...options, openTimeout: 60_000 };
      const failed = machines.client.do({ kind: "connect", url, options: limits, does: "nothing" });
      const { code, phase, message } = await failed.until("failed");
      assert.deepEqual([code, phase], ["HANDSHAKE", "tcp"]);
      assert.match(`${message}`, /EHOSTUNREACH/);
    }
  });

  it("are visible in the kernel: the doctor reports half-open connections, and a connect without an answer", async () => {
    const [websocket] = WIRE_PROTOCOLS as [WireProtocol];
    await joined(websocket, {}, { server: "flood" });
    await network.lose("client", "server");
    const waiting = machines.client.do({
      ...{ kind: "connect", url: `ws://${network.address("server")}:9`, does: "nothing" },
      options: { openTimeout: 60_000 },
    });
    // It reports what has lasted for its bound, and does not wait for it.
    const found = async ({ side, pid }: (typeof machines)["client"], kind: string): Promise<void> => {
      while (!(await diagnosed(network, side, pid)).includes(kind));
    };
    await Promise.all([found(machines.server, "half-open"), found(machines.client, "unanswered")]);
    assert.equal(waiting.latest("failed"), undefined);
  });
});

/** How each of these connections ended, on both sides. */
const endsOf = (ends: readonly Record<Side, Part>[]): Promise<Facts[]> =>
  Promise.all(ends.flatMap(({ server, client }) => [server.until("closed"), client.until("closed")]));

/** The packet counter after it has not changed for longer than any round trip. */
async function standstill(client: Part): Promise<number> {
  for (let last = -1; ; ) {
    const { number } = client.latest("counted") ?? { number: 0 };
    if (number === last) return number;
    last = number;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}

/** The findings of `holdfast doctor` for a process, on its own machine. */
async function diagnosed(network: Network, side: Side, pid: number): Promise<string[]> {
  const args = ["doctor", "--pid", `${pid}`, "--bound", "3000", "--json"];
  const { stdout } = await ChildProgram.run(MAIN, args, { by: network.on(side) });
  return JSON.parse(stdout).findings.map(({ kind }: { readonly kind: string }) => kind);
}
