/** The errors of `holdfast`, and its help. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { DEFAULTS } from "../../../src/index.ts";
import type { Exit } from "../../kit/child-process.ts";
import { portIn, ServeProcess } from "../../kit/serve-process.ts";

const LIMIT = { timeout: 240_000, concurrency: true };

async function run(args: readonly string[], node: readonly string[] = []): Promise<Exit> {
  await using serving = new ServeProcess(args, node);
  return await serving.exit;
}

/** One line on stderr, beginning with our name, nothing on stdout, and a status that is not 0. */
function assertRefused({ status, stdout, stderr }: Exit, said: RegExp): void {
  assert.match(stderr, /^holdfast: [^\n]+\n$/);
  assert.match(stderr, said);
  assert.equal(stdout, "");
  assert.ok(status !== null && status > 0, String(status));
}

describe("holdfast reports an error in one line", LIMIT, () => {
  const wrong: Record<string, [readonly string[], RegExp]> = {
    "a flag that there is not": [["serve", "--nothing", "9000"], /--nothing/],
    "a short flag that there is not": [["serve", "-x"], /-x/],
    "a flag without its value": [["serve", "--port"], /--port/],
    "a value for a flag that has none": [["serve", "--json=yes"], /--json/],
    "an argument that is no flag": [["serve", "9000"], /unexpected argument "9000": expected only flags/],
    "an address that is none": [["doctor", "extra"], /Cannot use address "extra": expected ws:, wss:, tcp: or tls:/],
    "arguments behind --": [["serve", "--", "9000"], /"--"/],
    "a port of both protocols": [["serve", "--port", "9001"], /9001 as --port and as --tcp-port/],
    "a TCP port without TCP": [["serve", "--no-tcp", "--tcp-port", "9002"], /--tcp-port with --no-tcp/],
    "a port that is no number": [["serve", "--port", "http"], /--port "http": expected a whole number/],
    "a port beyond the last": [["serve", "--port", "65536"], /--port "65536".*65535/],
    "a negative port": [["serve", "--port=-1"], /--port "-1"/],
    "an empty port": [["serve", "--port", ""], /--port ""/],
    "a port in another base": [["serve", "--port", "0x50"], /--port "0x50"/],
    "a TCP port that is none": [["serve", "--tcp-port", "9001.5"], /--tcp-port "9001.5"/],
    "an origin that is none": [["serve", "--origin", "example.com"], /--origin "example.com": expected any or one/],
    "an origin with a path": [["serve", "--origin", "https://a.example/b"], /--origin "https:\/\/a.example\/b"/],
    "an empty token": [["serve", "--token", ""], /--token/],
    "a token with a space": [["serve", "--token", "a token of sixteen"], /--token: expected 16 or more letters/],
    "a token that can be guessed": [["serve", "--token", "fifteen-letters"], /--token: expected 16 or more letters/],
    "a token for TCP": [["serve", "--token", "a-token-of-tests", "--tcp-port", "9002"], /--tcp-port with --token/],
    "no connections": [["serve", "--max-connections", "0"], /--max-connections "0"/],
    "a certificate of several processes": [["serve", "--tls", "--workers", "2"], /--tls with --workers/],
    "a message size of nothing": [["serve", "--max-message-size", "0"], /--max-message-size "0"/],
    "a message size with a unit": [["serve", "--max-message-size", "1MB"], /--max-message-size "1MB"/],
    "a message size beyond the largest": [
      ["serve", "--max-message-size", "99999999999999999999"],
      /--max-message-size/,
    ],
    "workers that are none": [["serve", "--workers", "0"], /--workers "0": expected a whole number from 1/],
    "a negative number of workers": [["serve", "--workers=-1"], /--workers "-1"/],
    "workers that are no number": [["serve", "--workers", "x"], /--workers "x"/],
    "a command that there is not": [["listen"], /"listen": expected one of serve, /],
    "a mistyped command": [["server"], /"server": perhaps serve/],
    "a mistyped flag": [["serve", "--prot", "9000"], /unknown flag --prot, perhaps --port/],
  };
  for (const [what, [args, said]] of Object.entries(wrong)) {
    it(what, async () => assertRefused(await run(args), said));
  }

  for (const [command, flag, other] of [
    ["serve", "--port", "--json"],
    ["doctor", "--pid", "--watch"],
    ["chaos", "--to", "--refuse"],
  ] as const) {
    const faults: Record<string, [readonly string[], string]> = {
      "a flag that does not exist": [["--nothing"], "unknown flag --nothing"],
      "a flag without its value, at the end": [[flag], `${flag} needs a value`],
      "a flag without its value, before another flag": [[flag, other], `${flag} needs a value`],
      "a value for a flag that has none": [[`${other}=yes`], `${other} takes no value`],
      // The first argument of doctor is an address.
      "an argument that is no flag":
        command === "doctor"
          ? [["ws://a", "extra"], 'unexpected argument "extra": expected only URL']
          : [["extra"], 'unexpected argument "extra": expected only flags'],
    };
    for (const [what, [args, said]] of Object.entries(faults)) {
      it(`${what}, of ${command}, with status 2`, async () => {
        const { status, stdout, stderr } = await run([command, ...args]);
        const line = `holdfast: ${said}; run "holdfast ${command} --help" for the flags\n`;
        assert.deepEqual([status, stdout, stderr], [2, "", line]);
      });
    }
  }

  it("a port in use, for both protocols", async () => {
    await using serving = await ServeProcess.start();
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
      const { listen } = Server.prototype;
      Server.prototype.listen = function (where, ...more) {
        if (where.port !== 80) return listen.call(this, where, ...more);
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
      flags.push("--max-connections", "--origin", "--token", "--tls", "--compress", "--verbose", "--json", "--help");
      for (const flag of flags) assert.match(stdout, new RegExp(`^ +${flag}\\b`, "m"));
      for (const figure of ["127.0.0.1", "9000", "9001", String(DEFAULTS.connection.maxMessageSize)]) {
        assert.ok(stdout.includes(figure), figure);
      }
    });
  }

  it("includes the version of the package", async () => {
    const { version } = JSON.parse(readFileSync(new URL("../../../../package.json", import.meta.url), "utf8"));
    for (const flag of ["--version", "-v"]) {
      assert.deepEqual(await run([flag]), { status: 0, signal: null, stdout: `${version}\n`, stderr: "" });
    }
  });

  it("names the commands, with status 0 if help was requested and another one otherwise", async () => {
    const asked = await run(["--help"]);
    assert.equal(asked.status, 0);
    assert.match(asked.stdout, /serve/);
    const unasked = await run([]);
    assert.notEqual(unasked.status, 0);
    assert.match(unasked.stdout + unasked.stderr, /serve/);
  });
});
