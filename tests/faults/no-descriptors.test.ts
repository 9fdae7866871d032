/** Systems that have nothing left to give: no descriptor, no port, no address. Each error has a name, and it passes. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { connect as dial } from "node:net";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { connect, listen } from "../../src/index.js";
import { portIn, Serving } from "../cli/serving.js";
import { RawPeer } from "../raw-peers.js";
import { SPEECHES } from "../requirements/speech.js";
import { unable } from "./network.js";
import { Party } from "./party.js";

const LINUX =
  process.platform !== "linux" && "limits of a process that runs are changed by prlimit, which only Linux has";
/** Of a processor, while there is no descriptor. */
const SHARE = 0.05;

/** Lets a process have no descriptor beyond those that it has, or as many as before. */
function limitDescriptors(pid: number, to: "those it has" | "all"): void {
  const had = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
  // A new one is the lowest that is free, and has to be below the limit.
  let lowest = 0;
  while (had.has(lowest)) lowest += 1;
  execFileSync("prlimit", ["--pid", `${pid}`, `--nofile=${to === "all" ? hardOf(pid) : lowest}:`]);
}

function hardOf(pid: number): string {
  return /^Max open files +\d+ +(\d+)/m.exec(readFileSync(`/proc/${pid}/limits`, "utf8"))?.[1] ?? "1024";
}

/** Milliseconds of processor time that a process has used. The kernel counts in USER_HZ, which is 100 everywhere. */
function processorTime(pid: number): number {
  const [, rest = ""] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ");
  const fields = rest.split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

async function echoes(peer: RawPeer, text: string): Promise<void> {
  peer.write(`${text}\n`);
  await peer.until(({ text: heard }) => heard.endsWith(`${text}\n`));
}

describe("a system that has nothing left", { timeout: 120_000 }, () => {
  it(`of descriptors, as holdfast serve accepts: says so, serves those it has, takes no processor, recovers (bound: ${SHARE * 100} %)`, {
    skip: LINUX,
  }, async (t) => {
    await using serving = await Serving.start();
    const pid = serving.process.pid ?? 0;
    const port = portIn(serving.addresses.tcp);
    await using early = await RawPeer.to(port);
    await echoes(early, "before");
    limitDescriptors(pid, "those it has");
    // Who comes now is accepted and dropped at once, or waits with the kernel: he is not let in.
    const waiting = Array.from({ length: 20 }, () => new RawPeer(dial({ port, host: "127.0.0.1" })));
    await Promise.race(waiting.map((peer) => Promise.race([peer.closed, peer.until(({ ended }) => ended)])));
    await pause(1_500);
    const [since, used] = [performance.now(), processorTime(pid)];
    for (let knock = 0; knock < 20; knock += 1) {
      dial({ port, host: "127.0.0.1" })
        .on("error", () => undefined)
        .end()
        .resume();
      await pause(100);
    }
    await echoes(early, "meanwhile");
    const share = (processorTime(pid) - used) / (performance.now() - since);
    t.diagnostic(`${(share * 100).toFixed(1)} % of a processor`);
    assert.ok(share < SHARE, `${share}`);
    assert.match(serving.stderr, /EMFILE/);
    for (const { socket } of waiting) socket.destroy();
    limitDescriptors(pid, "all");
    for (let come = 0; come < 20; come += 1) {
      await using late = await RawPeer.to(port);
      await echoes(late, "afterwards");
    }
  });

  it("of descriptors, as a client connects: HandshakeError with EMFILE, and the next one can", {
    skip: LINUX,
  }, async () => {
    await using server = await Party.start();
    await using client = await Party.start();
    for (const { url, options } of SPEECHES) {
      const place = await server.tell({ do: "serve", url, options: { ...options }, as: "answer" });
      const visit = { do: "visit", url: place, options: { ...options }, count: 1, to: { do: "count" } } as const;
      limitDescriptors(client.pid, "those it has");
      await assert.rejects(client.tell(visit), /HandshakeError.*EMFILE.*phase tcp/);
      limitDescriptors(client.pid, "all");
      await client.tell(visit);
    }
  });

  it("of ports, as a client connects: HandshakeError with EADDRNOTAVAIL, and those who have one keep it", {
    skip: unable(),
  }, async () => {
    const setup = 'ip link set lo up && echo "40000 40003" > /proc/sys/net/ipv4/ip_local_port_range && exec "$0" "$@"';
    await using party = await Party.start({ by: ["unshare", "-n", "/bin/sh", "-c", setup] });
    for (const { options, protocol } of SPEECHES) {
      const place = protocol === "tcp" ? "tcp://127.0.0.1:9001" : "ws://127.0.0.1:9000";
      await party.tell({ do: "serve", url: place, options: { ...options }, as: "answer" });
      const visit = { do: "visit", url: place, options: { ...options }, to: { do: "count" } } as const;
      await party.tell({ ...visit, count: 4 });
      await assert.rejects(party.tell({ ...visit, count: 1 }), /HandshakeError.*EADDRNOTAVAIL.*phase tcp/);
    }
    await party.until(({ serving, visiting }) => serving === 8 && visiting === 8);
  });

  for (const { name, url, options } of SPEECHES) {
    it(`of addresses, as a server listens: TransportError with EADDRINUSE and EADDRNOTAVAIL, on ${name}`, async () => {
      await using server = await listen(url, options);
      await assert.rejects(listen(server.url, options), { code: "TRANSPORT", errno: "EADDRINUSE" });
      const client = await connect(server.url, options);
      client.terminate();
      // RFC 5737: nobody has it.
      const foreign = url.replace("127.0.0.1", "192.0.2.1");
      await assert.rejects(listen(foreign, options), { code: "TRANSPORT", errno: "EADDRNOTAVAIL" });
    });
  }
});
