/** `holdfast top` where its output is no terminal: the sockets of a real process, as text and as JSON, and wrong use. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { readSs } from "../../../src/cli/doctor/ss.ts";
import { KernelSource } from "../../../src/cli/top/kernel-source.ts";
import type { TopRow } from "../../../src/cli/top/table.ts";
import { ChildProgram, type Exit } from "../../kit/child-process.ts";
import { portOf, RawPeer } from "../../kit/raw-peer.ts";
import { silentServer } from "./silent-server.ts";

const MAIN = fileURLToPath(new URL("../../../src/cli/main.js", import.meta.url));
const LINUX = process.platform === "linux";

const top = (...args: readonly string[]): Promise<Exit> =>
  ChildProgram.run(MAIN, ["top", ...args], { stderr: "kept", env: { NO_COLOR: undefined } });

describe("holdfast top", { timeout: 120_000, skip: !LINUX && "needs Linux", concurrency: 2 }, () => {
  it("ends without an error when the reader of its output has ended", async () => {
    await using printing = new ChildProgram(MAIN, ["top", "--interval", "100ms"], { stderr: "kept" });
    printing.process.stdout?.destroy();
    const { status, stderr } = await printing.exit;
    assert.deepEqual([status, stderr], [0, ""]);
  });

  it("prints the sockets of a process once, with the queues of each", async () => {
    await using server = await silentServer();
    await using peer = await RawPeer.to(portOf(server));
    const port = (peer.socket.address() as { readonly port: number }).port;
    const { status, stdout, stderr } = await top(String(process.pid), "--interval", "100ms", "--sort", "age");
    assert.equal(stderr, "");
    assert.equal(status, 0);
    const [summary = "", states = "", empty, heading = "", ...rows] = stdout.split("\n");
    assert.match(summary, new RegExp(`^process ${process.pid} \\(.*\\), \\d+ of \\d+ descriptors, \\d+ TCP sockets$`));
    assert.match(states, /\d+ ESTABLISHED/);
    assert.equal(empty, "");
    assert.match(
      heading,
      /^REMOTE +LOCAL STATE +SEND-Q +RECV-Q +IN\/S +OUT\/S +RTT +STALLED +SILENT +IN-STATEv +RETRIES$/,
    );
    assert.ok(
      rows.some((row) => row.startsWith(`127.0.0.1:${port} `) && row.includes(`${portOf(server)} ESTABLISHED`)),
      stdout,
    );
  });

  it("prints all rows as one line of JSON, filtered and sorted", async () => {
    await using server = await silentServer();
    const port = portOf(server);
    await using one = await RawPeer.to(port);
    await using two = await RawPeer.to(port);
    const ports = [one, two].map(({ socket }) => (socket.address() as { readonly port: number }).port);
    const flags = ["--interval", "100ms", "--json", "--filter", "established", "--sort", "REMOTE", "--reverse"];
    const { stdout } = await top(String(process.pid), ...flags);
    const { rows, total } = JSON.parse(stdout) as {
      readonly rows: readonly { readonly remote: string; readonly local: number; readonly state: string }[];
      readonly total: number;
    };
    assert.ok(total >= rows.length + 1);
    assert.ok(rows.every(({ state }) => state === "ESTABLISHED"));
    const remotes = rows.filter(({ local }) => local === port).map(({ remote }) => remote);
    const expected = ports.sort((first, second) => second - first).map((each) => `127.0.0.1:${each}`);
    assert.deepEqual(remotes, expected);
  });

  it("has the bytes of each second and the round trip, where ss is installed", async (t) => {
    if (typeof (await readSs({ pid: undefined, port: undefined })) === "string")
      return t.skip("needs ss: apt-get install iproute2");
    await using server = await silentServer();
    await using peer = await RawPeer.to(portOf(server));
    const port = (peer.socket.address() as { readonly port: number }).port;
    const source = new KernelSource(process.pid);
    const row = async (): Promise<TopRow | undefined> =>
      (await source.read()).rows.find(
        ({ remote, local }) => remote === `127.0.0.1:${port}` && local === portOf(server),
      );
    assert.equal((await row())?.["in"], undefined);
    peer.write("x".repeat(100_000));
    const after = async (condition: (found: TopRow) => boolean): Promise<TopRow> => {
      for (;;) {
        const found = await row();
        if (found !== undefined && condition(found)) return found;
      }
    };
    const busy = await after(({ in: rate }) => Number(rate) > 0);
    assert.ok(Number(busy["rtt"]) > 0);
    assert.equal(busy["out"], 0);
    const quiet = await after(({ in: rate }) => rate === 0);
    assert.ok(Number(quiet["silent"]) >= 0);
  });

  it("says that the process has ended", async () => {
    await using child = new ChildProgram("-e", ["process.stdin.resume()"], { stdin: "piped" });
    const source = new KernelSource(child.process.pid);
    await source.read();
    child.end();
    await child.exit;
    await assert.rejects(source.read(), { message: "the process has ended" });
  });

  it("refuses what it cannot show, in one line", async () => {
    const cases: readonly [readonly string[], RegExp][] = [
      [["4194304"], /^holdfast: the process does not exist\n$/],
      [["x"], /^holdfast: cannot use URL\|PID "x": expected a URL such as .*, or the number of a process\n$/],
      [["0"], /^holdfast: cannot use PID "0": expected /],
      [["1", "--token", "x"], /^holdfast: cannot use --token, --insecure or --ca without a URL/],
      [["--sort", "colour"], /^holdfast: cannot use --sort "colour": expected one of remote, local, state, /],
      [["--interval", "1ms"], /^holdfast: cannot use --interval "1ms": expected a time/],
      [["--once", "--json"], /^holdfast: cannot use --once with --json/],
      [["1", "2"], /^holdfast: unexpected argument "2"/],
    ];
    for (const [args, expected] of cases) {
      const { status, stderr } = await top(...args);
      assert.equal(status, 2, stderr);
      assert.match(stderr, expected);
    }
  });
});
