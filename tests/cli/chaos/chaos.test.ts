/** Tests of `holdfast chaos` as a process, and of the control by which its faults are changed while it runs. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RawPeer, type RawServer, rawServer } from "../../kit/raw-peer.ts";
import { ServeProcess } from "../../kit/serve-process.ts";

const LIMIT = { timeout: 60_000, concurrency: true };

/** A server that sends everything back. */
const echo = (): Promise<RawServer> =>
  rawServer((peer) => void peer.socket.on("data", (chunk: Buffer) => peer.socket.write(chunk)));

interface Told {
  readonly address: string;
  readonly seed: number;
  readonly control: string;
}

/** A process of it before a server that echoes. */
async function start(
  server: RawServer,
  ...flags: readonly string[]
): Promise<{ chaos: ServeProcess; told: Told; port: number }> {
  const to = `127.0.0.1:${server.port}`;
  const chaos = new ServeProcess(["chaos", "--to", to, "--json", "--control", "0", ...flags]);
  await chaos.until((text) => text.includes("\n"));
  const told = JSON.parse(chaos.stdout) as Told;
  return { chaos, told, port: Number(told.address.split(":")[1]) };
}

const post = (url: string, body: unknown = {}, type = "application/json"): Promise<Response> =>
  fetch(url, { method: "POST", headers: { "Content-Type": type }, body: JSON.stringify(body) });

describe("holdfast chaos", LIMIT, () => {
  it("passes on, prints its address and its seed, and ends on SIGTERM with status 0", async () => {
    await using server = await echo();
    const { chaos, told, port } = await start(server, "--seed", "7");
    await using client = await RawPeer.to(port);
    client.write("hello");
    await client.until(({ text }) => text === "hello");
    assert.equal(told.seed, 7);
    chaos.signal("SIGTERM");
    const { status, stderr } = await chaos.exit;
    assert.deepEqual([status, stderr], [0, ""]);
  });

  it("prints a random seed, and its faults, for people", async () => {
    await using chaos = new ServeProcess(["chaos", "--to", "127.0.0.1:9", "--latency", "20", "--blackhole"]);
    await chaos.until((text) => /seed +\d+\n/.test(text));
    assert.match(
      chaos.stdout,
      /^forwards 127\.0\.0\.1:\d+ to 127\.0\.0\.1:9; stop it with Ctrl\+C\n {2}faults latency 20, blackhole true\n/,
    );
  });

  it("begins with the faults of its flags, and changes them by its control", async () => {
    await using server = await echo();
    const { chaos, told, port } = await start(server, "--truncate-after", "3", "--direction", "to-client");
    await using _chaos = chaos;
    await using cut = await RawPeer.to(port);
    cut.write("hello");
    await cut.until(({ ended }) => ended);
    assert.equal(cut.text, "hel");
    const changed = await post(`${told.control}/faults`, { truncateAfter: "Infinity", latency: 1 });
    const { faults } = (await changed.json()) as { readonly faults: object };
    assert.deepEqual({ ...faults, truncateAfter: "Infinity", latency: 1, direction: "to-client" }, faults);
    await using whole = await RawPeer.to(port);
    whole.write("hello");
    await whole.until(({ text }) => text === "hello");
    assert.equal((await post(`${told.control}/reset`)).status, 200);
    await whole.closed;
    await post(`${told.control}/heal`);
    const state = (await (await fetch(told.control)).json()) as {
      readonly faults: { latency: number };
      counts: object;
    };
    assert.equal(state.faults.latency, 0);
    // The one that was cut had not ended its own side.
    assert.deepEqual({ ...state.counts, accepted: 2, resets: 2 }, state.counts);
    await using ended = await RawPeer.to(port);
    ended.write("hello");
    await ended.until(({ text }) => text === "hello");
    await post(`${told.control}/fin`);
    await ended.until((peer) => peer.ended);
  });

  it("is controlled only by programs of this machine, and only with valid requests", async () => {
    await using server = await echo();
    const { chaos, told } = await start(server);
    await using _chaos = chaos;
    const { port } = new URL(told.control);
    const answers = await Promise.all([
      post(`${told.control}/faults`, { latency: -1 }),
      post(`${told.control}/faults`, { packetLoss: 1 }),
      post(`${told.control}/faults`, [1]),
      post(`${told.control}/faults`, "x".repeat(5_000)),
      post(`${told.control}/nothing`),
      // As a form on any web page could send it.
      post(`${told.control}/reset`, {}, "text/plain"),
      fetch(told.control, { method: "DELETE" }),
    ]);
    assert.deepEqual(
      answers.map(({ status }) => status),
      [400, 400, 400, 400, 404, 415, 405],
    );
    // As a page whose name has been made to lead here would ask.
    await using rebound = await RawPeer.to(Number(port));
    rebound.write("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert.equal((await rebound.head()).status, 403);
  });
});

describe("the flags of holdfast chaos", LIMIT, () => {
  const wrong: Record<string, readonly [readonly string[], RegExp]> = {
    "no target": [[], /--to is missing/],
    "a target without a port": [["--to", "localhost"], /expected host:port/],
    "a fault that is no number": [["--to", "127.0.0.1:9", "--latency", "long"], /--latency "long": expected a number/],
    "a way that there is not": [
      ["--to", "127.0.0.1:9", "--direction", "up"],
      /expected one of both, to-server, to-client/,
    ],
    "one that there is not": [["--to", "127.0.0.1:9", "--loss", "1"], / --loss; .*holdfast chaos --help/],
  };
  for (const [what, [flags, said]] of Object.entries(wrong)) {
    it(`are refused, with status 2: ${what}`, async () => {
      await using chaos = new ServeProcess(["chaos", ...flags]);
      const { status, stdout, stderr } = await chaos.exit;
      assert.deepEqual([status, stdout], [2, ""]);
      assert.match(stderr, said);
    });
  }

  it("say when the address is taken, with status 1", async () => {
    await using server = await echo();
    await using chaos = new ServeProcess(["chaos", "--to", "127.0.0.1:9", "--listen", `127.0.0.1:${server.port}`]);
    const { status, stderr } = await chaos.exit;
    assert.equal(status, 1);
    assert.match(stderr, /cannot listen on 127\.0\.0\.1:\d+: .* \(EADDRINUSE\)/);
  });

  it("are described by --help", async () => {
    await using chaos = new ServeProcess(["chaos", "--help"]);
    const { status, stdout } = await chaos.exit;
    assert.equal(status, 0);
    for (const flag of ["--to", "--latency", "--blackhole", "--reset-after", "--refuse", "--control", "--seed"]) {
      assert.ok(stdout.includes(flag), flag);
    }
  });
});
