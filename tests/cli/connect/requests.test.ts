/** What the users of wscat and websocat asked for and did not get, each by the number of its issue, on `holdfast connect`. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { deferred } from "../../kit/deferred.ts";
import { framesIn, peerFrame } from "../../kit/frames.ts";
import { rawServer, switchingTo } from "../../kit/raw-peer.ts";
import { RestartableServer } from "../../kit/restartable-server.ts";
import { ConnectProcess, echoServer, eventsIn, serverOf } from "./connect-process.ts";

const LIMIT = { timeout: 240_000, concurrency: 4 };

describe("a request of wscat's users", LIMIT, () => {
  it("#4 lines that are piped in before the connection is open are sent when it is", async () => {
    const [asked, admit] = [deferred(), deferred()];
    await using server = await echoServer({
      authorize: async () => {
        asked.resolve();
        await admit.promise;
      },
    });
    await using program = new ConnectProcess(server.url, ["--answers", "2"]);
    program.end("one\ntwo\n");
    await asked.promise;
    admit.resolve();
    const { status, stdout } = await program.exit;
    assert.deepEqual([status, stdout], [0, "one\ntwo\n"]);
  });

  it("#8 it connects again after a loss, and says why and when", async () => {
    await using server = await RestartableServer.up({}, async (connection) => {
      for await (const message of connection) await connection.send(message);
    });
    await using program = new ConnectProcess(server.url, ["--reconnect"]);
    program.write("before\n");
    await program.until((stdout) => stdout === "before\n");
    await server.crash();
    await program.until((_, stderr) => /(lost|unreachable): .*; attempt \d+ in [\d.]+ m?s\n/.test(stderr));
    // Without a connection it waits for one.
    program.write("after\n");
    await server.back();
    await program.until((stdout) => stdout === "before\nafter\n");
    program.end();
    assert.equal((await program.exit).status, 0);
  });

  it("#41 it stays open after the end of stdin", async () => {
    const pinged = deferred();
    await using server = await serverOf(async (connection) => {
      assert.equal(await connection.receive(), "subscribe");
      await pinged.promise;
      await connection.send("news");
      await connection.close(1000);
    });
    await using program = new ConnectProcess(server.url, ["--wait", "Infinity", "--ping", "20ms", "--json"]);
    program.end("subscribe\n");
    // Its stdin has ended long ago.
    await program.until((stdout) => (stdout.match(/"pong"/g)?.length ?? 0) >= 5);
    pinged.resolve();
    const { status, stdout } = await program.exit;
    assert.equal(status, 0);
    assert.ok(eventsIn(stdout).some(({ type, text }) => type === "message" && text === "news"));
  });

  for (const [number, what] of [
    ["#73", "objects"],
    ["#74", "arrays"],
  ]) {
    it(`${number} JSON ${what} are printed on several lines, with the digits and strings that were sent`, async () => {
      await using server = await echoServer();
      const message =
        what === "arrays" ? '[12345678901234567890,"a:{b"]' : '{"n":12345678901234567890,"s":"a:{b","e":{}}';
      const shown =
        what === "arrays"
          ? '[\n  12345678901234567890,\n  "a:{b"\n]'
          : '{\n  "n": 12345678901234567890,\n  "s": "a:{b",\n  "e": {}\n}';
      const { stdout } = await ConnectProcess.to(server, ["--exec", message, "--answers", "1", "--pretty"]);
      assert.equal(stdout, `${shown}\n`);
    });
  }

  for (const number of ["#76", "#80"]) {
    it(`${number} it stays open after --exec`, async () => {
      const more = deferred();
      await using server = await serverOf(async (connection) => {
        assert.equal(await connection.receive(), "385");
        for (let position = 1; position <= 3; position += 1) {
          await connection.send(`position ${position}`);
          if (position === 2) await more.promise;
        }
        await connection.close();
      });
      await using program = new ConnectProcess(server.url, ["--exec", "385", "--wait", "Infinity"]);
      await program.until((stdout) => stdout.includes("position 2\n"));
      more.resolve();
      const { status, stdout } = await program.exit;
      assert.deepEqual([status, stdout], [0, "position 1\nposition 2\nposition 3\n"]);
    });
  }

  it("#114 several --exec are sent in their order, with a pause between them, and the close code is always shown", async () => {
    await using server = await serverOf(async (connection) => {
      for (const expected of ["a", "b", "a", "b"]) assert.equal(await connection.receive(), expected);
      await connection.close(4001, "enough");
    });
    const flags = ["-x", "a", "-x", "b", "--every", "30ms", "--repeat", "2", "--json", "--wait", "Infinity"];
    const { status, stdout } = await ConnectProcess.to(server, flags);
    const events = eventsIn(stdout);
    const sent = events.filter(({ type, direction }) => type === "message" && direction === "out");
    assert.deepEqual(
      sent.map(({ text }) => text),
      ["a", "b", "a", "b"],
    );
    for (const [index, { at }] of sent.entries()) {
      // Node's timers may fire a fraction of a millisecond early.
      if (index > 0) assert.ok(at - (sent[index - 1]?.at ?? 0) >= 29);
    }
    const end = events.at(-1);
    assert.deepEqual([status, end?.["code"], end?.["reason"], end?.["by"]], [1, 4001, "enough", "peer"]);
    const { stderr } = await ConnectProcess.to(server, ["-x", "a", "-x", "b", "--repeat", "2", "--wait", "Infinity"]);
    assert.match(stderr, /^closed by the peer with 4001 "enough"$/m);
  });

  it("#141 --exec works where there is no stdin", async () => {
    await using server = await echoServer();
    const { status, stdout } = await ConnectProcess.to(server, ["--exec", "hello", "--answers", "1"]);
    assert.deepEqual([status, stdout], [0, "hello\n"]);
  });

  it("#159 binary messages are sent, and shown", async () => {
    await using server = await echoServer();
    const hex = await ConnectProcess.to(server, ["--send", "hex", "--answers", "2"], "00 ff\nCAFE\n");
    assert.equal(hex.stdout, "00ff\ncafe\n");
    const base64 = await ConnectProcess.to(server, ["--send", "base64", "--base64", "--answers", "1"], "yv4=\n");
    assert.equal(base64.stdout, "yv4=\n");
    const bytes = await ConnectProcess.to(server, ["--send", "hex", "-x", "616200", "-n", "1", "--raw"]);
    assert.equal(bytes.stdout, "ab\0");
  });

  it("#383 only messages are printed, without marks and notes", async () => {
    await using server = await echoServer();
    const { stdout, stderr } = await ConnectProcess.to(server, ["--quiet", "--raw", "--answers", "1"], "a\u001b[1mb\n");
    assert.deepEqual([stdout, stderr], ["a\u001b[1mb\n", ""]);
  });
});

describe("a request of websocat's users", LIMIT, () => {
  it("#71 each message has the time since the last one, and each Ping its round-trip time", async () => {
    await using server = await echoServer();
    const { stdout, stderr } = await ConnectProcess.to(server, ["-x", "a", "-n", "1", "--time", "--ping", "10000ms"]);
    assert.match(stdout, /^ *\+[\d.]+ m?s > a\n *\+[\d.]+ m?s < a\n$/);
    assert.match(stderr, /^ping [\d.]+ ms$/m);
  });

  it("#245 it waits for the answers after the end of stdin, and ends then", async () => {
    await using server = await serverOf(async (connection) => {
      for await (const message of connection) {
        // Later than the end of stdin, and with pauses.
        for (const part of [1, 2, 3]) {
          await connection.ping();
          await connection.send(`${message} ${part}`);
        }
      }
    });
    const { status, stdout } = await ConnectProcess.to(server, [], "question\n");
    assert.deepEqual([status, stdout], [0, "question 1\nquestion 2\nquestion 3\n"]);
  });

  it("#245 answers that come while it closes are printed too", async () => {
    await using server = await rawServer(async (peer) => {
      await peer.head();
      const upgrade = peer.text;
      peer.write(switchingTo(upgrade));
      const frames = (): readonly number[] => framesIn(peer.bytes.subarray(upgrade.length)).map(({ opcode }) => opcode);
      await peer.until(() => frames().includes(8));
      peer.write(peerFrame({ opcode: 1, payload: "late" }));
      peer.write(peerFrame({ opcode: 8 }));
      peer.socket.end();
    });
    const { stdout } = await ConnectProcess.to(`ws://127.0.0.1:${server.port}`, ["--wait", "0"], "question\n");
    assert.equal(stdout, "late\n");
  });

  it("#276 it connects again by itself, prints bytes as base64, and has a time in each line of a record", async () => {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
    try {
      let connections = 0;
      await using server = await serverOf(async (connection) => {
        connections += 1;
        await connection.send(Uint8Array.of(202, connections));
        await connection.close(1012, "restart");
      });
      const record = join(folder, "record.jsonl");
      const { status, stdout } = await ConnectProcess.to(server, [
        "--reconnect",
        "--base64",
        "--answers",
        "3",
        "--wait",
        "Infinity",
        "--record",
        record,
      ]);
      assert.deepEqual([status, stdout], [0, "ygE=\nygI=\nygM=\n"]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("#282 the times of the phases are printed in a form of one's own, as curl does", async () => {
    await using server = await echoServer();
    const format =
      "%{dns} %{tcp} %{tls} %{upgrade} %{first_message} %{total} %{messages_in} %{bytes_out} %{code} %{status}\\n";
    const { stdout } = await ConnectProcess.to(server, ["-x", "hello", "-n", "1", "--quiet", "--write-out", format]);
    const [first, last = ""] = stdout.split("\n");
    assert.equal(first, "hello");
    const [dns, tcp, tls, upgrade, message, total, ...rest] = last.split(" ");
    assert.deepEqual([dns, tls, ...rest], ["0.000", "0.000", "1", "5", "1000", "0"]);
    const [known, all] = [[tcp, upgrade, message].map(Number), Number(total)];
    for (const length of known) assert.ok(length > 0 && length < all, `${length} of ${all}`);
  });
});
