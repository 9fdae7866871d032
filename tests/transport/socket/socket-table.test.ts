/** The kernel's table of sockets: fixtures of both byte orders and families, addresses against those of URLs, and the table of this machine. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { endianness } from "node:os";
import { describe, it } from "node:test";
import fc from "fast-check";
import { socketKinds, socketRows } from "../../../src/transport/socket/socket-table.ts";
import { SOCKETS_SKIP } from "../../kit/kernel-sockets.ts";
import { settledMemory } from "../../kit/memory.ts";

const HEAD =
  "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     \n";
const BUSY =
  "   2: 0100007F:9C0E 0A00000A:9DC5 01 00000400:0000000B 01:0000001E 00000003  1000        2 63643 1 00000000b33bcb19 20 4 0 11 -1                     \n";
const LISTENING =
  "4711: 00000000:07E8 00000000:0000 0A 00000000:00000005 00:00000000 00000000     0        0 563 1 00000000a436bebb 100 0 0 10 0                       \n";
const WAITING =
  "   7: 0100007F:2328 0100007F:9DC5 06 00000000:00000000 03:00001770 00000000     0        0 0 3 0000000000000000                                      \n";

describe("the table of sockets", () => {
  it("has for each socket its state, queues, timer, and number", () => {
    assert.deepEqual(socketRows(HEAD + BUSY, true), [
      {
        ...{ state: "ESTABLISHED", localHost: "127.0.0.1", localPort: 0x9c0e, remoteHost: "10.0.0.10" },
        ...{ remotePort: 0x9dc5, sendQueue: 1_024, receiveQueue: 11, timer: "retransmission", expiresIn: 300 },
        ...{ retransmits: 3, probes: 2, inode: 63_643 },
      },
    ]);
  });

  it("has a row for each line, however wide its number", () => {
    const rows = socketRows(HEAD + BUSY + LISTENING + WAITING, true);
    assert.deepEqual(
      rows.map(({ state, timer, receiveQueue, expiresIn, inode }) => [state, timer, receiveQueue, expiresIn, inode]),
      [
        ["ESTABLISHED", "retransmission", 11, 300, 63_643],
        ["LISTEN", "none", 5, 0, 563],
        ["TIME_WAIT", "time-wait", 0, 60_000, 0],
      ],
    );
  });

  it("is written in the order of the machine's bytes", () => {
    const big = BUSY.replace("0100007F", "7F000001").replace("0A00000A", "0A00000A");
    assert.equal(socketRows(HEAD + big, false)[0]?.localHost, "127.0.0.1");
  });

  it("can be counted row by row, with the states, ports and numbers of whole rows", () => {
    const texts = [HEAD, "", HEAD + BUSY + LISTENING + WAITING, `${HEAD}a line that is no row\n${BUSY.trimEnd()}`];
    for (const text of texts) {
      const rows = socketRows(text, true).map(({ state, localPort, inode }) => ({ state, localPort, inode }));
      assert.deepEqual([...socketKinds(text)], rows);
    }
    assert.equal([...socketKinds(texts[2] ?? "")].length, 3);
  });

  it("returns only the wanted rows", () => {
    const text = HEAD + BUSY + LISTENING + WAITING;
    assert.deepEqual(
      socketRows(text, true, (local, remote) => local === 0x2328 && remote === 0x9dc5).map(({ state }) => state),
      ["TIME_WAIT"],
    );
    assert.deepEqual(
      socketRows(text, true, () => false),
      [],
    );
  });

  it("does not keep the text of the table in memory", async () => {
    const heap = (): Promise<number> =>
      settledMemory(() => process.memoryUsage().heapUsed + process.memoryUsage().external);
    const tableOf = (lines: number): string => Buffer.from(HEAD + BUSY.repeat(lines), "latin1").toString("latin1");
    socketRows(tableOf(1_000), true, () => true);
    const before = await heap();
    const [row] = socketRows(tableOf(20_000), true, () => true);
    const kept = (await heap()) - before;
    assert.equal(row?.state, "ESTABLISHED");
    assert.ok(kept < 1_000_000, `${kept} bytes, of a text of ${20_000 * BUSY.length}`);
  });

  it("knows every state by its number, and that of a handshake by both", () => {
    const states = Array.from({ length: 12 }, (_, at) => (at + 1).toString(16).toUpperCase().padStart(2, "0")).map(
      (hex) => socketRows(HEAD + BUSY.replace(" 01 ", ` ${hex} `), true)[0]?.state,
    );
    assert.deepEqual(states, [
      ...["ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT"],
      ...["LAST_ACK", "LISTEN", "CLOSING", "SYN_RECV"],
    ]);
  });

  it("returns no row for an unknown state", () => {
    for (const line of ["", "x", "   0: 0100007F:9C0E", BUSY.replace(" 01 ", " 7F "), BUSY.slice(0, 40)]) {
      assert.deepEqual(socketRows(HEAD + line, true), [], line);
    }
  });

  it("has addresses of version 6 as inet_ntop writes them", () => {
    const of = (hex: string): string | undefined =>
      socketRows(`${HEAD}   0: ${hex}:0050 ${hex}:0000 01 0:0 00:00000000 0 0 0 7\n`, false)[0]?.localHost;
    assert.equal(of("00000000000000000000000000000000"), "::");
    assert.equal(of("00000000000000000000000000000001"), "::1");
    assert.equal(of("00000000000000000000FFFF7F000001"), "::ffff:127.0.0.1");
    assert.equal(of("20010DB8000000000001000000000001"), "2001:db8::1:0:0:1");
    assert.equal(of("FE80000000000000021122FFFE334455"), "fe80::211:22ff:fe33:4455");
    assert.equal(of("20010DB8000000010001000100010001"), "2001:db8:0:1:1:1:1:1");
    assert.equal(of("00010000000000000000000000000000"), "1::");
  });

  it("has addresses of version 6 as URLs write them", () => {
    const group = fc.oneof(fc.constant(0), fc.constant(1), fc.integer({ min: 0, max: 0xffff }));
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        // Those have dots here, and none there.
        fc.pre(groups.slice(0, 6).join() !== "0,0,0,0,0,65535");
        const hex = groups.map((value) => value.toString(16).padStart(4, "0")).join("");
        const line = `   0: ${hex}:0050 ${hex}:0000 01 0:0 00:00000000 0 0 0 7\n`;
        const written = groups.map((value) => value.toString(16)).join(":");
        const { hostname } = new URL(`http://[${written}]/`);
        assert.equal(`[${socketRows(HEAD + line, false)[0]?.localHost}]`, hostname);
      }),
    );
  });

  for (const host of ["127.0.0.1", "::1"]) {
    it(`of this machine has a socket on ${host} under the names that Node gives it`, {
      skip: SOCKETS_SKIP,
    }, async (t) => {
      const server = createServer((socket) => void socket.resume().on("end", () => socket.end()));
      server.listen(0, host);
      try {
        await once(server, "listening");
      } catch {
        t.skip(`this machine has no ${host}`);
        return;
      }
      const socket = connect((server.address() as AddressInfo).port, host);
      await once(socket, "connect");
      const rows = ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((table) =>
        socketRows(readFileSync(table, "latin1"), endianness() === "LE"),
      );
      const { localPort, localAddress: localHost, remoteAddress: remoteHost, remotePort } = socket;
      const row = rows.find((each) => each.localPort === localPort && each.remotePort === remotePort);
      const expected = { state: "ESTABLISHED", localHost, localPort, remoteHost, remotePort };
      assert.deepEqual({ ...row, ...expected }, row);
      assert.ok((row?.inode ?? 0) > 0);
      socket.end();
      server.close();
      await once(server, "close");
    });
  }
});
