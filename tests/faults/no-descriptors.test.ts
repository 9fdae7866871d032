/** A system without a free descriptor, port or address: each error has a code, and the process recovers. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { connect as dial } from "node:net";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { connect, listen } from "../../src/index.ts";
import { RawPeer } from "../kit/raw-peer.ts";
import { portIn, ServeProcess } from "../kit/serve-process.ts";
import { WIRE_PROTOCOLS } from "../kit/wire-protocols.ts";
import { EchoProcess } from "./echo-process.ts";
import { unable } from "./network.ts";

const LINUX =
  process.platform !== "linux" && "limits of a process that runs are changed by prlimit, which only Linux has";
/** The maximum share of a processor while there is no descriptor. */
const SHARE = 0.05;

/** Limits a process to the descriptors that it has, or removes the limit. */
function limitDescriptors(pid: number, to: "those it has" | "all"): void {
  const had = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
  // The kernel uses the lowest free number, which must be below the limit.
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

describe("a system that has nothing free", { timeout: 120_000 }, () => {
  it(`of descriptors, as holdfast serve accepts: reports it, serves its connections, uses no processor time, recovers (bound: ${SHARE * 100} %)`, {
    skip: LINUX,
  }, async (t) => {
    await using serving = await ServeProcess.start();
    const pid = serving.process.pid ?? 0;
    const port = portIn(serving.addresses.tcp);
    await using early = await RawPeer.to(port);
    await echoes(early, "before");
    limitDescriptors(pid, "those it has");
    // The limit may be set while the process reads its table of sockets, at its start. Clients that stay take the descriptors of
    // that reading when it is complete: none is free from then on.
    const staying: RawPeer[] = [];
    const come = (): RawPeer => {
      const peer = new RawPeer(dial({ port, host: "127.0.0.1" }));
      staying.push(peer);
      return peer;
    };
    for (let count = 0; count < 1_000 && !serving.stderr.includes("EMFILE"); count += 1) {
      come();
      await pause(50);
    }
    assert.match(serving.stderr, /EMFILE/);
    // A new client is accepted and closed at once, or waits in the backlog. It gets no connection.
    const late = Array.from({ length: 20 }, come);
    await Promise.race(late.map((peer) => Promise.race([peer.closed, peer.until(({ ended }) => ended)])));
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
    for (const { socket } of staying) socket.destroy();
    limitDescriptors(pid, "all");
    for (let count = 0; count < 20; count += 1) {
      await using after = await RawPeer.to(port);
      await echoes(after, "afterwards");
    }
  });

  it("of descriptors, as a client connects: HandshakeError with EMFILE, and the next attempt succeeds", {
    skip: LINUX,
  }, async () => {
    await using server = await EchoProcess.start();
    await using client = await EchoProcess.start();
    for (const { url, options } of WIRE_PROTOCOLS) {
      const place = await server.tell({ do: "serve", url, options: { ...options }, as: "answer" });
      const visit = { do: "visit", url: place, options: { ...options }, count: 1, to: { do: "count" } } as const;
      limitDescriptors(client.pid, "those it has");
      await assert.rejects(client.tell(visit), /HandshakeError.*EMFILE.*phase tcp/);
      limitDescriptors(client.pid, "all");
      await client.tell(visit);
    }
  });

  it("of ports, as a client connects: HandshakeError with EADDRNOTAVAIL, and open connections continue", {
    skip: unable(),
  }, async () => {
    const setup = 'ip link set lo up && echo "40000 40003" > /proc/sys/net/ipv4/ip_local_port_range && exec "$0" "$@"';
    await using child = await EchoProcess.start({ by: ["unshare", "-n", "/bin/sh", "-c", setup] });
    for (const { options, protocol } of WIRE_PROTOCOLS) {
      const place = protocol === "tcp" ? "tcp://127.0.0.1:9001" : "ws://127.0.0.1:9000";
      await child.tell({ do: "serve", url: place, options: { ...options }, as: "answer" });
      const visit = { do: "visit", url: place, options: { ...options }, to: { do: "count" } } as const;
      await child.tell({ ...visit, count: 4 });
      await assert.rejects(child.tell({ ...visit, count: 1 }), /HandshakeError.*EADDRNOTAVAIL.*phase tcp/);
    }
    await child.until(({ serving, visiting }) => serving === 8 && visiting === 8);
  });

  for (const { name, url, options } of WIRE_PROTOCOLS) {
    it(`of addresses, as a server listens: TransportError with EADDRINUSE and EADDRNOTAVAIL, on ${name}`, async () => {
      await using server = await listen(url, { ...options, open: () => undefined });
      await assert.rejects(listen(server.url, { ...options, open: () => undefined }), {
        code: "TRANSPORT",
        errno: "EADDRINUSE",
      });
      const client = await connect(server.url, options);
      client.terminate();
      // RFC 5737: an address that no machine has.
      const foreign = url.replace("127.0.0.1", "192.0.2.1");
      await assert.rejects(listen(foreign, { ...options, open: () => undefined }), {
        code: "TRANSPORT",
        errno: "EADDRNOTAVAIL",
      });
    });
  }
});
