/** What the doctor calls wrong, of sockets made for the purpose. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { AgedReport, AgedSocket } from "../../../src/cli/doctor/aged-sockets.ts";
import { diagnose, type FindingKind } from "../../../src/cli/doctor/diagnosis.ts";
import type { TcpInfo } from "../../../src/cli/doctor/tcp-info.ts";
import type { KernelProcess } from "../../../src/kernel/index.ts";

const WELL: AgedSocket = {
  ...{
    state: "ESTABLISHED",
    localAddress: "127.0.0.1",
    localPort: 9_000,
    remoteAddress: "127.0.0.1",
    remotePort: 50_000,
  },
  ...{ sendQueue: 0, receiveQueue: 0, timer: "none", retransmits: 0, probes: 0 },
  ...{ stateFor: 60_000, sendStalledFor: 0, receiveStalledFor: 0, pids: [1] },
  ...{ inode: 1, tcp: undefined },
};

function report(...sockets: Partial<AgedSocket>[]): AgedReport {
  const all = sockets.map((socket) => ({ ...WELL, ...socket }));
  return { supported: true, sockets: all, processes: [], unreadable: [], noAges: undefined };
}

/** The facts of a socket that has sent 100 segments, with these changes. */
function tcp(changes: Partial<TcpInfo>): Pick<AgedSocket, "tcp"> {
  const well: TcpInfo = {
    ...{ lastSend: 10, lastReceive: 10, lastAck: 10, rtt: 20, minRtt: 10, rto: 220, backoff: 0, sendWindow: 65_536 },
    ...{ sentSegments: 100, resentSegments: 0, sentBytes: 100_000, resentBytes: 0, receivedBytes: 10 },
  };
  return { tcp: { ...well, ...changes } };
}

/** Three retransmissions in a row, and what a link has that loses packets. */
const LOST: Partial<AgedSocket> = { timer: "retransmission", retransmits: 3, sendQueue: 660 };
const RESENT: Partial<TcpInfo> = { sentSegments: 232, resentSegments: 64 };

const illnesses = (given: AgedReport): FindingKind[] => diagnose(given, 5_000).findings.map(({ kind }) => kind);

describe("the doctor's diagnosis", () => {
  const sick: readonly [FindingKind, Partial<AgedSocket>][] = [
    ["close-wait", { state: "CLOSE_WAIT", stateFor: 5_000 }],
    ["close-wait", { state: "CLOSE_WAIT", stateFor: 9_000, receiveQueue: 1, receiveStalledFor: 9_000 }],
    ["half-open", { timer: "retransmission", retransmits: 3, sendQueue: 10 }],
    ["half-open", { timer: "retransmission", retransmits: 1, sendQueue: 10, sendStalledFor: 5_000 }],
    ["half-open", { state: "FIN_WAIT1", timer: "retransmission", retransmits: 6, sendQueue: 1, sendStalledFor: 9_000 }],
    ["half-open", { timer: "keepalive", probes: 2 }],
    ["half-open", { timer: "zero-window", sendQueue: 10, sendStalledFor: 5_000, probes: 2 }],
    ["zero-window", { timer: "zero-window", sendQueue: 10, sendStalledFor: 5_000, probes: 1 }],
    ["send-queue", { sendQueue: 10, sendStalledFor: 5_000 }],
    ["lossy", tcp({ sentSegments: 200, resentSegments: 10 })],
    ["lossy", { ...LOST, ...tcp({ ...RESENT, lastReceive: 1_100, lastAck: 4_999 }) }],
    ["lossy", { ...LOST, ...tcp({ ...RESENT, lastReceive: 4_999, lastAck: 1_100 }) }],
    ["half-open", { ...LOST, ...tcp({ ...RESENT, lastReceive: 5_000, lastAck: 5_000 }) }],
    ["half-open", { ...LOST, ...tcp({ lastReceive: 1_100, lastAck: 1_100 }) }],
    ["far", tcp({ rtt: 500 })],
    ["receive-queue", { receiveQueue: 10, receiveStalledFor: 5_000 }],
    ["accept-queue", { state: "LISTEN", receiveQueue: 1, receiveStalledFor: 5_000 }],
    ["unanswered", { state: "SYN_SENT", stateFor: 5_000, timer: "retransmission", sendQueue: 1, retransmits: 4 }],
  ];
  for (const [illness, socket] of sick) {
    it(`finds ${illness} in ${JSON.stringify(socket)}`, () => {
      assert.deepEqual(illnesses(report(socket)), [illness]);
    });
  }

  const well: readonly Partial<AgedSocket>[] = [
    {},
    { state: "CLOSE_WAIT", stateFor: 4_999 },
    { timer: "retransmission", retransmits: 2, sendQueue: 10, sendStalledFor: 4_999 },
    { timer: "keepalive", probes: 1 },
    { sendQueue: 1_000_000, sendStalledFor: 4_999 },
    { timer: "zero-window", sendQueue: 10, sendStalledFor: 4_999 },
    tcp({ sentSegments: 201, resentSegments: 10 }),
    tcp({ sentSegments: 20, resentSegments: 9 }),
    tcp({ rtt: 499.9 }),
    tcp({ rtt: undefined }),
    { state: "TIME_WAIT", ...tcp({ rtt: 600 }) },
    { receiveQueue: 1_000_000, receiveStalledFor: 4_999 },
    {
      state: "SYN_SENT",
      stateFor: 4_999,
      timer: "retransmission",
      sendQueue: 1,
      sendStalledFor: 6_000,
      retransmits: 3,
    },
    { state: "LISTEN", stateFor: 1e9 },
    { state: "TIME_WAIT", timer: "time-wait", stateFor: 30_000 },
    { state: "FIN_WAIT2", timer: "time-wait", stateFor: 30_000 },
  ];
  for (const socket of well) {
    it(`finds nothing wrong with ${JSON.stringify(socket)}`, () => {
      assert.deepEqual(illnesses(report(socket)), []);
    });
  }

  it("reports equal sockets once, with their number", () => {
    const { findings, states } = diagnose(report(WELL, ...sick.map(([, socket]) => socket)), 5_000);
    assert.equal(
      findings.reduce((count, { sockets }) => count + sockets.length, 0),
      sick.length,
    );
    assert.match(findings.find(({ kind }) => kind === "close-wait")?.text ?? "", /^2 sockets in CLOSE_WAIT for 5 s/);
    assert.deepEqual(states, { ESTABLISHED: 14, CLOSE_WAIT: 2, FIN_WAIT1: 1, LISTEN: 1, SYN_SENT: 1 });
  });

  it("finds a process that is short of descriptors", () => {
    const process: KernelProcess = { pid: 7, command: "x", descriptors: 90, descriptorLimit: 100 };
    const of = (changes: Partial<KernelProcess>): FindingKind[] =>
      illnesses({ ...report(), processes: [{ ...process, ...changes }] });
    assert.deepEqual(of({}), ["descriptors"]);
    assert.deepEqual(of({ descriptors: 89 }), []);
    assert.deepEqual(of({ descriptorLimit: Infinity }), []);
    assert.deepEqual(of({ descriptorLimit: undefined }), []);
  });
});
