/** The output of ss: what is understood of it, and that nothing in it can do harm. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { withAges } from "../../../src/cli/doctor/aged-sockets.ts";
import { addressKey, ssRows } from "../../../src/cli/doctor/tcp-info.ts";
import type { KernelReport, KernelSocket } from "../../../src/kernel/index.ts";

// Printed by iproute2 6.1 on Linux 6.18.
const SENDER = `ESTAB 0      3791494 127.0.0.1:50166 127.0.0.1:45865 timer:(persist,004ms,1) ino:15326551 sk:1160 cgroup:/ <->
\t ts sack bbr wscale:10,10 rto:208 backoff:2 rtt:5.194/10.291 mss:47616 pmtu:65535 rcvmss:536 advmss:65483 cwnd:15 bytes_sent:142848 bytes_retrans:14875 bytes_acked:127974 segs_out:9 segs_in:4 data_segs_out:5 bbr:(bw:1265535640bps,mrtt:0.047,pacing_gain:2.88672,cwnd_gain:2.88672) send 1100100116bps lastsnd:1504 lastrcv:1512 lastack:1256 pacing_rate 159266224424bps delivery_rate 37627160bps delivered:6 busy:1512ms rwnd_limited:1512ms(100.0%) retrans:0/1 dsack_dups:1 reordering:6 rcv_space:65495 rcv_ssthresh:65495 notsent:3791494 minrtt:0.047
ESTAB  127973 0      127.0.0.1:45865 127.0.0.1:50166 ino:15326552 sk:115f cgroup:/ <->
\t ts sack bbr wscale:10,10 rto:200 rtt:0.026/0.013 ato:80 mss:32768 bytes_received:127973 segs_out:3 segs_in:9 data_segs_in:5 lastsnd:1524 lastrcv:1524 lastack:1516 retrans:2/40 data_segs_out:400 minrtt:0.026 snd_wnd:65536
LISTEN 0      511    127.0.0.1:45865   0.0.0.0:*     ino:15326550 sk:1161 cgroup:/ <->
\t bbr cwnd:10
`;

describe("the output of ss", () => {
  it("has the addresses, the inode and the facts of each socket", () => {
    const [sender, receiver, listening] = ssRows(SENDER);
    assert.deepEqual(sender, {
      ...{ key: addressKey("127.0.0.1", 50_166, "127.0.0.1", 45_865), state: "ESTAB", localPort: 50_166 },
      inode: 15_326_551,
      info: {
        ...{ lastSend: 1_504, lastReceive: 1_512, lastAck: 1_256, rtt: 5.194, minRtt: 0.047, rto: 208, backoff: 2 },
        ...{ sentSegments: 5, resentSegments: 0, sentBytes: 142_848, resentBytes: 14_875, receivedBytes: 0 },
        sendWindow: 0,
      },
    });
    assert.equal(receiver?.info?.sendWindow, 65_536);
    assert.equal(receiver?.info?.resentSegments, 40);
    assert.deepEqual([listening?.key, listening?.info], [addressKey("127.0.0.1", 45_865, "0.0.0.0", 0), undefined]);
  });

  it("is understood in one line for each socket, too", () => {
    assert.deepEqual(ssRows(SENDER.replaceAll("\n\t", " ")), ssRows(SENDER));
  });

  it("says nothing of the window where this version of ss has no word for it", () => {
    assert.equal(ssRows(SENDER.replace(" snd_wnd:65536", ""))[0]?.info?.sendWindow, undefined);
  });

  it("has addresses in all forms", () => {
    const form = (local: string): string | undefined => ssRows(`ESTAB 0 0 ${local} 10.0.0.2:9 ino:1`)[0]?.key;
    assert.equal(form("[::ffff:10.0.0.1]:80"), "::ffff:10.0.0.1|80|10.0.0.2|9");
    assert.equal(form("[fe80::1]%eth0:80"), "fe80::1|80|10.0.0.2|9");
    assert.equal(form("127.0.0.53%lo:53"), "127.0.0.53|53|10.0.0.2|9");
    assert.equal(form("*:80"), "::|80|10.0.0.2|9");
  });

  it("cannot be forged by the name of a control group", () => {
    const forged = SENDER.replace("cgroup:/ ", "cgroup:/a ino:7 lastsnd:999999999 rtt:9000/1 ");
    assert.deepEqual(ssRows(forged), ssRows(SENDER));
  });

  it("may be anything: what is not understood is left out", () => {
    const long = `ESTAB 0 0 1.1.1.1:1 2.2.2.2:2 ${"x".repeat(10_000)}`;
    for (const text of ["", "\n\n", "\0", "ESTAB", "ESTAB 0 0 a:b c:d", "ESTAB 0 0 1.1.1.1:99999999 *:*", long]) {
      assert.deepEqual(ssRows(text), [], JSON.stringify(text).slice(0, 50));
    }
    const [row] = ssRows(
      "ESTAB 0 0 1.1.1.1:1 2.2.2.2:2 ino:-1 lastsnd:NaN lastrcv:1e999 rtt:-/: retrans:/ rto:Infinity :x x:",
    );
    assert.ok(row?.info);
    assert.equal(row.inode, 0);
    const { sendWindow, rtt, minRtt, rto, ...counts } = row.info;
    assert.deepEqual([sendWindow, rtt, minRtt, rto], [undefined, undefined, undefined, undefined]);
    assert.deepEqual(new Set(Object.values(counts)), new Set([0]));
  });
});

describe("the ages of sockets", () => {
  const SOCKET: KernelSocket = {
    ...{ state: "ESTABLISHED", localAddress: "10.0.0.1", localPort: 80, remoteAddress: "10.0.0.2", remotePort: 9 },
    ...{ sendQueue: 0, receiveQueue: 0, timer: "none", retransmits: 0, probes: 0, inode: 1, pids: [] },
    ...{ stateFor: 100, sendStalledFor: 0, receiveStalledFor: 0 },
  };

  /** The durations of such a socket with these facts: of its state, its send queue and its receive queue. */
  function ages(socket: Partial<KernelSocket>, facts: string): number[] {
    const report: KernelReport = {
      ...{ supported: true, sockets: [{ ...SOCKET, ...socket }], processes: [], unreadable: [] },
    };
    const rows = ssRows(`ESTAB 0 0 10.0.0.1:80 10.0.0.2:9 ino:1 segs_in:1 ${facts}`);
    return withAges(report, rows).sockets.flatMap((one) => [one.stateFor, one.sendStalledFor, one.receiveStalledFor]);
  }

  it("say how long bytes are unread, but not if the queue moves", () => {
    assert.deepEqual(ages({ receiveQueue: 5, receiveStalledFor: 100 }, "lastrcv:9000"), [100, 0, 9_000]);
    assert.deepEqual(ages({ receiveQueue: 5, receiveStalledFor: 0 }, "lastrcv:9000"), [100, 0, 0]);
  });

  it("say how long a peer is in CLOSE_WAIT, at least", () => {
    assert.deepEqual(ages({ state: "CLOSE_WAIT" }, "lastack:9000 lastrcv:20000"), [9_000, 0, 0]);
  });

  it("say how long a window is closed, although the peer answers the probes", () => {
    const closed = { sendQueue: 5, sendStalledFor: 100, timer: "zero-window" } as const;
    assert.deepEqual(ages(closed, "lastsnd:9000 lastack:20"), [100, 9_000, 0]);
  });

  it("do not take data that was sent just now after an idle hour for data without an answer", () => {
    const sent = { sendQueue: 5, sendStalledFor: 100, timer: "retransmission" } as const;
    assert.deepEqual(ages(sent, "lastsnd:100 lastack:3600000 rto:220"), [100, 100, 0]);
    assert.deepEqual(ages({ ...sent, retransmits: 2 }, "lastsnd:100 lastack:9000 rto:4000 backoff:2"), [100, 3_000, 0]);
  });

  it("say how long a connect has no answer, by the number of its retransmissions", () => {
    assert.deepEqual(ages({ state: "SYN_SENT", retransmits: 6, sendQueue: 1 }, ""), [6_000, 0, 0]);
  });

  it("say how long a connection waits to be accepted", () => {
    const listening: KernelSocket = { ...SOCKET, state: "LISTEN", receiveQueue: 2, receiveStalledFor: 100 };
    const report: KernelReport = { supported: true, sockets: [listening], processes: [], unreadable: [] };
    const rows = ssRows(
      "ESTAB 0 0 10.0.0.1:80 10.0.0.3:9 segs_in:1 lastack:7000\nESTAB 0 0 10.0.0.1:80 10.0.0.4:9 ino:3 segs_in:1 lastack:9000\n",
    );
    assert.deepEqual(withAges(report, rows).sockets[0]?.receiveStalledFor, 7_000);
  });

  it("are unknown without ss, with the reason", () => {
    const report: KernelReport = { supported: true, sockets: [SOCKET], processes: [], unreadable: [] };
    const { sockets, noAges } = withAges(report, "ss is not installed");
    assert.deepEqual([sockets[0]?.tcp, sockets[0]?.stateFor, noAges], [undefined, 100, "ss is not installed"]);
  });
});
