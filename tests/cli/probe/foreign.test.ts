/** `holdfast doctor URL` at servers of other projects, and through nginx and HAProxy with an idle limit. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { WebSocketServer } from "ws";
import type { ProbeFinding } from "../../../src/cli/probe/finding.ts";
import { attach } from "../../../src/index.ts";
import { HAPROXY, NGINX, type ProxyKind, ReverseProxy } from "../../faults/proxies.ts";
import { ChildProgram } from "../../kit/child-process.ts";
import { AUTOBAHN, needed, type Program, WEBSOCKETS } from "../../kit/foreign-programs.ts";
import { ServeProcess } from "../../kit/serve-process.ts";

const MAIN = fileURLToPath(new URL("../../../src/cli/main.js", import.meta.url));

interface Report {
  readonly ok: boolean;
  readonly connections: number;
  readonly findings: readonly ProbeFinding[];
  readonly status: number | null;
}

async function doctor(url: string, ...flags: readonly string[]): Promise<Report> {
  const { status, stdout, stderr } = await ChildProgram.run(MAIN, ["doctor", url, "--json", ...flags], {
    stderr: "kept",
  });
  assert.equal(stderr, "");
  return { ...(JSON.parse(stdout) as Report), status };
}

const levelOf = ({ findings }: Report, check: string): string | undefined =>
  findings.find((one) => one.check === check)?.level;

const textOf = ({ findings }: Report, check: string): string => findings.find((one) => one.check === check)?.text ?? "";

const LIMIT = { timeout: 240_000, concurrency: 3 };

// Servers of Python, each on a free port that it prints.
// Autobahn drops the connection of a client that breaks a rule, unless it is configured to send a Close.
const PYTHON_SERVERS: readonly (readonly [program: Program, level: string, end: string, source: string])[] = [
  [
    WEBSOCKETS,
    "ok",
    "Close 1009",
    `
import asyncio, websockets
async def echo(connection, path=None):
    async for message in connection:
        await connection.send(message)
async def main():
    async with websockets.serve(echo, "127.0.0.1", 0, max_size=10000) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()
asyncio.run(main())
`,
  ],
  [
    AUTOBAHN,
    "note",
    "a FIN without Close",
    `
import asyncio
from autobahn.asyncio.websocket import WebSocketServerFactory, WebSocketServerProtocol
class Echo(WebSocketServerProtocol):
    def onMessage(self, payload, is_binary):
        self.sendMessage(payload, is_binary)
async def main():
    factory = WebSocketServerFactory()
    factory.protocol = Echo
    factory.setProtocolOptions(maxMessagePayloadSize=10000)
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Future()
asyncio.run(main())
`,
  ],
];

describe("holdfast doctor URL", LIMIT, () => {
  it("finds no fault in holdfast serve, as text and as JSON", async () => {
    await using serving = await ServeProcess.start();
    const url = `${serving.addresses.ws}/echo`;
    const report = await doctor(url, "--idle", "500ms");
    assert.deepEqual(
      report.findings.filter(({ level }) => level === "fault"),
      [],
    );
    assert.equal(report.status, 0);
    const { stdout, status } = await ChildProgram.run(MAIN, ["doctor", url, "--idle", "0"], { stderr: "kept" });
    assert.equal(status, 0);
    assert.match(stdout, /^ok {4}reach {9}127\.0\.0\.1:\d+: tcp /);
    assert.match(stdout, /\nno faults in 14 checks, 9 connections\n$/);
    const tcp = await doctor(serving.addresses.tcp ?? "", "--idle", "500ms");
    assert.deepEqual(
      tcp.findings.map(({ check, level }) => `${check} ${level}`),
      ["reach ok", "idle ok"],
    );
  });

  it("finds in ws that it accepts every Origin, and that it has no limit below 4 MiB", async () => {
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
    await once(server, "listening");
    server.on("connection", (socket) => socket.on("error", () => undefined));
    const report = await doctor(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/`, "--idle", "500ms");
    server.close();
    assert.equal(report.status, 1);
    assert.deepEqual(
      report.findings.filter(({ level }) => level === "fault").map(({ check }) => check),
      ["origin"],
    );
    assert.match(textOf(report, "message-size"), /^above 4 MiB; the announcement of 1 TiB got Close 1009/);
    assert.equal(levelOf(report, "masking"), "ok");
    assert.equal(levelOf(report, "utf8"), "ok");
  });

  for (const [program, level, end, source] of PYTHON_SERVERS) {
    it(`finds the limits of ${program.name}`, async (t) => {
      const python = needed(t, program);
      if (python === undefined) return;
      await using server = new ChildProgram("-c", [source], { runtime: [python, "-B"], stderr: "kept" });
      const report = await doctor(`ws://127.0.0.1:${await server.line()}/`, "--idle", "500ms");
      assert.deepEqual(
        report.findings.filter(({ level }) => level === "fault").map(({ check }) => check),
        ["origin"],
        JSON.stringify(report.findings),
      );
      for (const check of ["ping", "close", "unoffered"])
        assert.equal(levelOf(report, check), "ok", textOf(report, check));
      for (const check of ["masking", "utf8", "reserved-bits"])
        assert.equal(levelOf(report, check), level, textOf(report, check));
      assert.ok(textOf(report, "message-size").startsWith(`between 8 KiB and 16 KiB: then ${end}`));
    });
  }
});

describe("holdfast doctor URL through a proxy", LIMIT, () => {
  const advice: readonly (readonly [ProxyKind, RegExp])[] = [
    [NGINX, /The answer shows nginx: proxy_read_timeout/],
    [HAPROXY, /HAProxy: timeout tunnel/],
  ];
  for (const [kind, change] of advice) {
    it(`finds the idle limit of ${kind.name}, and the setting to change`, async (t) => {
      const place = needed(t, kind);
      if (place === undefined) return;
      const http = createServer((_, response) => response.writeHead(404).end()).listen(0, "127.0.0.1");
      await once(http, "listening");
      const options = { heartbeat: { interval: Infinity } };
      await using server = attach(http, options, async (connection) => {
        for await (const message of connection) await connection.send(message);
      });
      assert.ok(server);
      await using proxy = await ReverseProxy.start(kind, place, (http.address() as AddressInfo).port, 2);
      // The request through a Unix socket has the host localhost, so the server sees its own origin.
      const report = await doctor(`ws+unix://${proxy.path}:/`, "--idle", "8s");
      http.close();
      const idle = report.findings.find(({ check }) => check === "idle");
      assert.equal(idle?.level, "fault", JSON.stringify(report));
      assert.match(idle.text, /^after [1-4]\.\d s of silence the connection ends with a (FIN|reset) without Close/);
      assert.match(idle.change ?? "", change);
      const limit = Number(idle.facts?.["limit"]);
      assert.ok(limit >= 1_900 && limit < 4_000, String(limit));
      assert.deepEqual(
        report.findings.filter(({ level }) => level === "fault").map(({ check }) => check),
        ["idle"],
      );
      assert.equal(report.status, 1);
    });
  }
});
