/** Tests of what `holdfast` says when it cannot do what it was told, and of the help that it gives. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DEFAULTS } from "../../src/index.js";
import { type Ended, portIn, Serving } from "./serving.js";

const LIMIT = { timeout: 240_000, concurrency: true };

async function run(args: readonly string[], node: readonly string[] = []): Promise<Ended> {
  await using serving = new Serving(args, node);
  return await serving.ended;
}

/** One line on stderr, beginning with our name, nothing on stdout, and a status that is not 0. */
function assertRefused({ status, stdout, stderr }: Ended, said: RegExp): void {
  assert.match(stderr, /^holdfast: [^\n]+\n$/);
  assert.match(stderr, said);
  assert.equal(stdout, "");
  assert.ok(status !== null && status > 0, String(status));
}

describe("holdfast says in one line what is wrong", LIMIT, () => {
  const wrong: Record<string, [readonly string[], RegExp]> = {
    "a flag that there is not": [["serve", "--prot", "9000"], /--prot/],
    "a short flag that there is not": [["serve", "-x"], /-x/],
    "a flag without its value": [["serve", "--port"], /--port/],
    "a value for a flag that has none": [["serve", "--json=yes"], /--json/],
    "an argument that is no flag": [["serve", "9000"], /9000/],
    "a port that is no number": [["serve", "--port", "http"], /--port "http": expected a whole number/],
    "a port beyond the last": [["serve", "--port", "65536"], /--port "65536".*65535/],
    "a negative port": [["serve", "--port=-1"], /--port "-1"/],
    "an empty port": [["serve", "--port", ""], /--port ""/],
    "a port in another base": [["serve", "--port", "0x50"], /--port "0x50"/],
    "a TCP port that is none": [["serve", "--tcp-port", "9001.5"], /--tcp-port "9001.5"/],
    "a message size of nothing": [["serve", "--max-message-size", "0"], /--max-message-size "0"/],
    "a message size with a unit": [["serve", "--max-message-size", "1MB"], /--max-message-size "1MB"/],
    "a message size beyond the largest": [
      ["serve", "--max-message-size", "99999999999999999999"],
      /--max-message-size/,
    ],
    "workers that are none": [["serve", "--workers", "0"], /--workers "0": expected a whole number from 1/],
    "a negative number of workers": [["serve", "--workers=-1"], /--workers "-1"/],
    "workers that are no number": [["serve", "--workers", "x"], /--workers "x"/],
    "a command that there is not": [["server"], /"server".*expected serve, doctor or chaos/],
  };
  for (const [what, [args, said]] of Object.entries(wrong)) {
    it(what, async () => assertRefused(await run(args), said));
  }

  it("a port in use, for both protocols", async () => {
    await using serving = await Serving.start();
    const [ws, tcp] = [portIn(serving.addresses.ws), portIn(serving.addresses.tcp)].map(String) as [string, string];
    const free = ["--port", "0", "--tcp-port", "0"];
    for (const [flag, port] of [
      ["--port", ws],
      ["--tcp-port", tcp],
    ] as const) {
      const ended = await run(["serve", ...free, flag, port]);
      assertRefused(ended, new RegExp(`127\\.0\\.0\\.1:${port}.*in use`));
    }
  });

  it("an address that is not this machine's, and a name that there is not", async () => {
    for (const [host, said] of [
      ["192.0.2.1", /192\.0\.2\.1/],
      ["nobody.invalid", /nobody\.invalid/],
    ] as const) {
      assertRefused(await run(["serve", "--port", "0", "--tcp-port", "0", "--host", host]), said);
    }
  });

  it("a permission that is missing", async () => {
    // Which ports need one differs from machine to machine, and root needs none.
    const kernel = `
      import { Server } from "node:net";
      Server.prototype.listen = function () {
        queueMicrotask(() => this.emit("error", Object.assign(new Error("listen EACCES"), { code: "EACCES" })));
        return this;
      };`;
    const preload = ["--import", `data:text/javascript,${encodeURIComponent(kernel)}`];
    assertRefused(await run(["serve", "--port", "80"], preload), /127\.0\.0\.1:80: permission denied/);
  });
});

describe("help", LIMIT, () => {
  for (const args of [
    ["serve", "--help"],
    ["serve", "-h"],
    ["serve", "--port", "0", "--help"],
  ]) {
    it(`names every flag and its default: ${args.join(" ")}`, async () => {
      const { status, stdout, stderr } = await run(args);
      assert.deepEqual([status, stderr], [0, ""]);
      const flags = ["--host", "--port", "--tcp-port", "--no-tcp", "--max-message-size", "--workers"];
      flags.push("--json", "--help");
      for (const flag of flags) assert.match(stdout, new RegExp(`^ +${flag}\\b`, "m"));
      for (const figure of ["127.0.0.1", "9000", "9001", String(DEFAULTS.maxMessageSize)]) {
        assert.ok(stdout.includes(figure), figure);
      }
    });
  }

  it("names the commands, with status 0 if it was asked for and not without", async () => {
    const asked = await run(["--help"]);
    assert.equal(asked.status, 0);
    assert.match(asked.stdout, /serve/);
    const unasked = await run([]);
    assert.notEqual(unasked.status, 0);
    assert.match(unasked.stdout + unasked.stderr, /serve/);
  });
});
