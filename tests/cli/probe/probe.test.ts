/** What `holdfast doctor URL` finds: nothing at a good server, and each fault at a server that has it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PROBE_CHECKS, type ProbeCheck, type ProbeFinding } from "../../../src/cli/probe/finding.ts";
import { MOST_CONNECTIONS, type ProbeSettings } from "../../../src/cli/probe/flags.ts";
import { idleAdvice } from "../../../src/cli/probe/hops.ts";
import { silencesUpTo } from "../../../src/cli/probe/idle-check.ts";
import { type ProbeReport, ProbeRun } from "../../../src/cli/probe/probe-run.ts";
import { type Connection, listen } from "../../../src/index.ts";
import { EXPIRED, LOCALHOST } from "../../fixtures/certificates.ts";
import { type Frame, peerFrame } from "../../kit/frames.ts";
import { portOf, type RawPeer, type RawServer, rawServer, switchingTo } from "../../kit/raw-peer.ts";
import { closeFrame, type Script, scriptedServer } from "./scripted-server.ts";

const LIMIT = { timeout: 240_000 };

const ALL = Object.keys(PROBE_CHECKS) as ProbeCheck[];

const SETTINGS: ProbeSettings = {
  ...{ url: "", idle: 0, maxMessage: 65_536, timeout: 20_000, skip: new Set(), headers: [], subprotocols: [] },
  ...{ origin: undefined, insecure: false, ca: undefined, json: false },
};

/** Probes `url`; with `checks`, only these. */
function probed(
  url: string,
  { checks = ALL, ...settings }: Partial<ProbeSettings> & { readonly checks?: readonly ProbeCheck[] } = {},
): Promise<ProbeReport> {
  const skip = new Set(ALL.filter((check) => !checks.includes(check)));
  return new ProbeRun({ ...SETTINGS, skip, ...settings, url }, () => undefined).all();
}

/** The finding of one check at a scripted server. */
async function found(check: ProbeCheck, script: Script, settings: Partial<ProbeSettings> = {}): Promise<ProbeFinding> {
  await using server = await scriptedServer(script);
  const { findings } = await probed(urlOf(server), { checks: [check], ...settings });
  assert.deepEqual(
    findings.map((one) => one.check),
    [check],
  );
  return findings[0] as ProbeFinding;
}

const urlOf = ({ port }: RawServer): string => `ws://127.0.0.1:${port}/`;

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to find.
const CONTROLS = /[\u0000-\u001f\u0080-\u009f]/;

/** A handler that leaves the end to the other side. */
async function holding({ closed }: Connection): Promise<void> {
  await closed;
}

/** A handler of the frames with one opcode. */
const on =
  (wanted: number, act: (peer: RawPeer, frame: Frame) => void): NonNullable<Script["frame"]> =>
  (frame, peer) => {
    if (frame.opcode === wanted) act(peer, frame);
    return frame.opcode === wanted;
  };

const levels = ({ findings }: ProbeReport): Record<string, string> =>
  Object.fromEntries(findings.map(({ check, level }) => [check, level]));

describe("a probe of a good server", LIMIT, () => {
  it("has no fault, and opens no more connections than the manual says, one after the other", async () => {
    let open = 0;
    let most = 0;
    await using server = await scriptedServer({
      answer: (_, good, peer) => {
        open += 1;
        most = Math.max(most, open);
        void peer.closed.then(() => {
          open -= 1;
        });
        return good;
      },
    });
    const report = await probed(urlOf(server), { idle: 50 });
    assert.equal(report.status, 0);
    assert.equal(report.ok, true);
    assert.deepEqual(levels(report), {
      ...Object.fromEntries(ALL.filter((check) => check !== "certificate").map((check) => [check, "ok"])),
      compression: "note",
    });
    assert.equal(report.connections, MOST_CONNECTIONS);
    assert.equal(server.peers.length, MOST_CONNECTIONS);
    // The end of one connection may reach the server after the beginning of the next.
    assert.ok(most <= 2, String(most));
  });

  it("finds no fault in this library, and says what was agreed on", async () => {
    await using server = await listen(
      "ws://127.0.0.1:0",
      { subprotocols: ["chat"], compression: true, maxMessageSize: 10_000 },
      async (connection) => {
        for await (const message of connection) await connection.send(message);
      },
    );
    const report = await probed(`${server.url}/`, { subprotocols: ["chat"], idle: 50 });
    assert.deepEqual(
      report.findings.filter(({ level }) => level !== "ok"),
      [],
    );
    const texts = report.findings.map(({ check, text }) => `${check}: ${text}`).join("\n");
    assert.match(texts, /^reach: 127\.0\.0\.1:\d+: tcp [\d.]+ ms, upgrade [\d.]+ ms$/m);
    assert.match(texts, /^handshake: 101, and Sec-WebSocket-Accept is right, subprotocol chat/m);
    assert.match(texts, /^compression: permessage-deflate was offered and accepted/m);
    assert.match(texts, /^close: Close 1000 got Close 1000 after [\d.]+ ms, then FIN after [\d.]+ ms$/m);
    assert.match(texts, /^version: Sec-WebSocket-Version: 12 is refused with 426, which names 13$/m);
    assert.match(texts, /^message-size: between 8 KiB and 16 KiB: then Close 1009/m);
  });

  it("ends each connection in an orderly way, unless the check has ended it", async () => {
    const ends: string[] = [];
    await using server = await listen("ws://127.0.0.1:0", {
      maxMessageSize: 1_000_000,
      close: (_, { code, wasClean }) => void ends.push(`${code} ${wasClean}`),
    });
    await probed(`${server.url}/`, { idle: 50, maxMessage: 10_000, checks: ["ping", "unoffered", "idle"] });
    // The last end may reach the server later than the probe.
    await server.close();
    assert.deepEqual(ends, ["1000 true", "1000 true", "1000 true"]);
  });

  it("leaves out the checks that are skipped, and their connections", async () => {
    await using server = await scriptedServer();
    const report = await probed(urlOf(server), { checks: ["handshake", "ping"] });
    assert.deepEqual(levels(report), { handshake: "ok", ping: "ok" });
    assert.equal(server.peers.length, 1);
  });

  it("completes no message that obeys the rules", async () => {
    const messages: string[] = [];
    await using server = await listen("ws://127.0.0.1:0", { origin: "any" }, async (connection) => {
      for await (const message of connection) messages.push(String(message));
    });
    await probed(`${server.url}/`);
    assert.deepEqual(messages, []);
  });
});

const faults: readonly [what: string, check: ProbeCheck, script: Script, text: RegExp, change: RegExp][] = [
  [
    "a wrong Sec-WebSocket-Accept",
    "handshake",
    { answer: (request) => switchingTo(request, { "Sec-WebSocket-Accept": "AAAA" }) },
    /Sec-WebSocket-Accept is not the answer to the key \(RFC 6455 4\.1\)/,
    /proxy that changes it/,
  ],
  [
    "a refusal",
    "handshake",
    { answer: () => "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n" },
    /the server answered 403/,
    /--origin/,
  ],
  [
    "a page in place of the upgrade, as from a proxy that drops Upgrade",
    "handshake",
    { answer: () => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" },
    /the server answered 200/,
    /proxy_set_header Upgrade/,
  ],
  [
    "a redirect",
    "handshake",
    { answer: () => "HTTP/1.1 301 Moved\r\nLocation: wss://example.test/\x9b2J\r\nContent-Length: 0\r\n\r\n" },
    /the server answered 301/,
    /Location: wss:\/\/example\.test\/\\x9b2J$/,
  ],
  [
    "an extension that was not offered",
    "unoffered",
    {
      answer: (request, good) =>
        request.includes("Extensions")
          ? good
          : switchingTo(request, { "Sec-WebSocket-Extensions": "permessage-deflate" }),
    },
    /chose an extension that was not offered/,
    /only what the client has offered/,
  ],
  [
    "a subprotocol that was not offered",
    "unoffered",
    {
      answer: (request, good) =>
        request.includes("Extensions") ? good : switchingTo(request, { "Sec-WebSocket-Protocol": "chat" }),
    },
    /chose a subprotocol that was not offered/,
    /only what the client has offered/,
  ],
  ["another version", "version", { answer: (request) => switchingTo(request) }, /is accepted with 101/, /4\.2\.1/],
  ["a request without a key", "key", { answer: (request) => switchingTo(request) }, /is accepted with 101/, /4\.2\.1/],
  ["a foreign Origin", "origin", { answer: (request) => switchingTo(request) }, /hijacking/, /--skip origin/],
  ["no Pong", "ping", { frame: on(9, (peer) => peer.socket.end()) }, /a Ping got a FIN without Close/, /5\.5\.2/],
  [
    "a Pong with other bytes",
    "ping",
    { frame: on(9, (peer) => peer.write(peerFrame({ opcode: 10, payload: "no" }))) },
    /does not have the bytes/,
    /5\.5\.3/,
  ],
  [
    "a masked frame of the server",
    "ping",
    { opened: (peer) => peer.write(peerFrame({ opcode: 1, payload: "x", key: [1, 2, 3, 4] })) },
    /breaks a rule: a frame to a client is masked \(RFC 6455 5\.1\)/,
    /5\.5\.2/,
  ],
  [
    "an end without an answer to the Close",
    "close",
    { frame: on(8, (peer) => peer.socket.end()) },
    /Close 1000 got a FIN without Close/,
    /1006/,
  ],
  [
    "a frame without a mask that is accepted",
    "masking",
    { frame: ({ opcode }) => opcode === 1 },
    /a frame without a mask is accepted: the server goes on/,
    /Close 1002 \(RFC 6455 section 5\.1\)/,
  ],
  [
    "a reserved bit that is accepted",
    "reserved-bits",
    { frame: ({ opcode }) => opcode === 1 },
    /is accepted/,
    /Close 1002 \(RFC 6455 section 5\.2\)/,
  ],
  ["a text that is not UTF-8", "utf8", { frame: ({ opcode }) => opcode === 1 }, /is accepted/, /Close 1007/],
];

describe("a probe finds", { ...LIMIT, concurrency: 4 }, () => {
  for (const [what, check, script, text, change] of faults) {
    it(what, async () => {
      const finding = await found(check, script);
      assert.equal(finding.level, "fault");
      assert.match(finding.text, text);
      assert.match(finding.change ?? "", change);
      assert.doesNotMatch(finding.text + finding.change, CONTROLS);
    });
  }

  it("a Close that is answered while TCP stays open", async () => {
    const finding = await found(
      "close",
      { frame: on(8, (peer, { payload }) => peer.write(peerFrame({ opcode: 8, payload }))) },
      { timeout: 2_000 },
    );
    assert.equal(finding.level, "fault");
    assert.match(finding.text, /^Close 1000 got Close 1000 after .* and the TCP connection stays open for 2 s$/);
  });

  it("no answer to a Ping at all, and no answer to a request", async () => {
    const silent = await found("ping", { frame: () => true }, { timeout: 2_000 });
    assert.match(silent.text, /^a Ping got no answer$/);
    await using server = await scriptedServer({ answer: () => undefined });
    const report = await probed(urlOf(server), { timeout: 1_000 });
    assert.equal(report.status, 3);
    assert.match(report.findings[0]?.text ?? "", /^no answer within 1 s in the phase upgrade$/);
  });

  it("an end with another code as a note, with the code that is right", async () => {
    const finding = await found("utf8", {
      frame: on(1, (peer) => {
        peer.write(closeFrame(1002, "\x1b[2J"));
        peer.socket.end();
      }),
    });
    assert.equal(finding.level, "note");
    assert.equal(finding.text, 'a text that is not UTF-8 got Close 1002 "\\x1b[2J"');
    assert.equal(finding.change, "answer with Close 1007 (RFC 6455 section 8.1)");
  });

  it("a version that is refused without the right one", async () => {
    const finding = await found("version", {
      answer: (_, good) => good.replace("426 Upgrade Required\r\nSec-WebSocket-Version: 13", "400 Bad Request"),
    });
    assert.equal(finding.level, "note");
    assert.match(finding.text, /refused with 400, which does not name 13/);
    assert.match(finding.change ?? "", /answer 426 with Sec-WebSocket-Version: 13/);
  });

  it("no limit of messages up to the end of the search, and says so", async () => {
    const finding = await found("message-size", { limit: Infinity }, { maxMessage: 10_000 });
    assert.equal(finding.level, "note");
    assert.match(finding.text, /^above 9\.8 KiB; the announcement of 1 TiB is not refused$/);
    assert.match(finding.change ?? "", /set one/);
  });

  it("the way in which an idle connection ends, and after how long", async () => {
    const ends: readonly [Script["opened"], RegExp, string][] = [
      [(peer) => void setTimeout(() => peer.socket.end(), 300), /with a FIN without Close$/, "fault"],
      [
        (peer) => void setTimeout(() => peer.socket.resetAndDestroy(), 300),
        /with a reset without Close \(ECONNRESET\)$/,
        "fault",
      ],
      [
        (peer) => void setTimeout(() => peer.write(closeFrame(1001, "idle")), 300),
        /the server ends the connection with Close 1001 "idle"$/,
        "note",
      ],
    ];
    for (const [opened, text, level] of ends) {
      const finding = await found("idle", { ...(opened && { opened }) }, { idle: 30_000 });
      assert.match(finding.text, text);
      assert.match(finding.text, /^after \d+\.\d s of silence /);
      assert.equal(finding.level, level);
      const limit = Number(finding.facts?.["limit"]);
      // Less than the 300 ms of the server, whose time began before that of the probe.
      assert.ok(limit > 0 && limit < 30_000, String(limit));
      assert.match(finding.change ?? "", /^send a Ping more often than each /);
    }
  });

  it("a hop that has forgotten the connection and says nothing", async () => {
    const finding = await found("idle", { frame: () => true }, { idle: 100, timeout: 1_000 });
    assert.equal(finding.level, "fault");
    assert.match(finding.text, /a Ping gets no answer: a hop has forgotten the connection/);
  });

  it("the Pings of a server that keeps its connections alive", async () => {
    const pongs: string[] = [];
    const finding = await found(
      "idle",
      {
        opened: (peer) => peer.write(peerFrame({ opcode: 9, payload: "there?" })),
        frame: on(10, (_, { payload }) => void pongs.push(String(payload))),
      },
      { idle: 300 },
    );
    assert.equal(finding.level, "ok");
    assert.match(finding.text, /the server sent a Ping, which proxies count as traffic/);
    assert.deepEqual(pongs, ["there?"]);
  });

  it("a certificate that has ended, and one that will", async () => {
    await using server = await listen("wss://127.0.0.1:0", { tls: EXPIRED }, holding);
    const refused = await probed(`wss://127.0.0.1:${portOf(server)}/`, { ca: EXPIRED.cert });
    assert.equal(refused.status, 3);
    assert.match(refused.findings[0]?.text ?? "", /^tls: the certificate of the server has expired$/);
    const report = await probed(`wss://127.0.0.1:${portOf(server)}/`, {
      insecure: true,
      checks: ["certificate", "ping"],
    });
    assert.equal(report.status, 1);
    assert.deepEqual(levels(report), { certificate: "fault", ping: "ok" });
    assert.match(report.findings[0]?.text ?? "", /^has ended, until 20\d\d-\d\d-\d\d, from .*; TLSv1\.3/);
    assert.match(report.findings[0]?.change ?? "", /renew/);
  });

  it("nothing wrong with TLS, by the name of the server", async () => {
    await using server = await listen("wss://127.0.0.1:0", { tls: LOCALHOST }, holding);
    const url = `wss://localhost:${portOf(server)}/`;
    const report = await probed(url, { ca: LOCALHOST.cert, checks: ["reach", "certificate", "ping", "utf8"] });
    assert.deepEqual(levels(report), { reach: "ok", certificate: "ok", ping: "ok", utf8: "ok" });
    assert.match(report.findings[0]?.text ?? "", /dns .* ms, tcp .* ms, tls .* ms, upgrade .* ms$/);
  });

  it("why a server cannot be reached", async () => {
    const server = await scriptedServer();
    const url = urlOf(server);
    await server[Symbol.asyncDispose]();
    const report = await probed(url);
    assert.equal(report.status, 3);
    assert.equal(report.ok, false);
    assert.match(report.findings[0]?.text ?? "", /^tcp: .*ECONNREFUSED/);
  });
});

describe("a probe of a TCP server", LIMIT, () => {
  it("says how long it takes to connect, and how a silent connection ends", async () => {
    await using server = await rawServer((peer) => void setTimeout(() => peer.socket.end(), 200));
    const report = await probed(`tcp://127.0.0.1:${server.port}`, { idle: 30_000 });
    assert.deepEqual(levels(report), { reach: "ok", idle: "fault" });
    assert.equal(report.connections, 1);
  });
});

describe("a probe of a hostile server", { ...LIMIT, concurrency: 4 }, () => {
  const hostile: Readonly<Record<string, Script>> = {
    "that sends no HTTP": { answer: () => "\x00\xff\x1b[2J\r\n\r\n" },
    "whose header never ends": { answer: () => `HTTP/1.1 101 Switching Protocols\r\nX: ${"x".repeat(1_000_000)}` },
    "that floods with Pings": {
      opened: (peer) => peer.write(Buffer.concat(Array.from({ length: 5_000 }, () => peerFrame({ opcode: 9 })))),
    },
    "that announces a frame without end": {
      opened: (peer) => peer.write(peerFrame({ opcode: 2, announced: 2n ** 62n })),
    },
    "whose Close has a wrong code": { opened: (peer) => peer.write(closeFrame(1)) },
    "that sends half a frame and a FIN": {
      opened: (peer) => {
        peer.write(Buffer.of(0x81));
        peer.socket.end();
      },
    },
  };
  for (const [what, script] of Object.entries(hostile)) {
    it(`ends, and reports a fault: one ${what}`, async () => {
      await using server = await scriptedServer(script);
      const report = await probed(urlOf(server), { timeout: 1_000, idle: 100 });
      assert.notEqual(report.status, 0);
      for (const { text, change = "" } of report.findings) assert.doesNotMatch(text + change, CONTROLS);
    });
  }
});

describe("the advice about an idle limit", () => {
  it("names the hop that the answer shows, and those whose default it is", () => {
    const cases: readonly [seconds: number, fields: Record<string, string>, advice: RegExp][] = [
      [
        60.2,
        { server: "nginx/1.22.1" },
        /each 30 s, .*The answer shows a hop whose default this is: nginx: proxy_read_timeout/,
      ],
      [100.4, { server: "cloudflare", "cf-ray": "1" }, /default this is: Cloudflare: its idle limit of 100 s is fixed/],
      [60.1, { "set-cookie": "AWSALB=x", server: "Apache" }, /AWS Application Load Balancer: .*; Apache: /],
      [
        60,
        { server: "cloudflare" },
        /The answer shows Cloudflare: .*\. This length is the default of nginx: .*AWS App/,
      ],
      [
        350.9,
        {},
        /raise the limit\. This length is the default of an AWS Network Load Balancer: tcp\.idle_timeout\.seconds/,
      ],
      [30, { via: "1.1 google" }, /the load balancer of Google Cloud: .*bounds the whole life/],
      [2, {}, /each 1 s, .* Usual ones: nginx: .*HAProxy: timeout tunnel/],
      [59, {}, /Usual ones/],
    ];
    for (const [seconds, fields, advice] of cases) assert.match(idleAdvice(seconds, fields), advice);
  });
});

describe("the search for an idle limit", () => {
  it("doubles the silence from a second or more up to the longest", () => {
    assert.deepEqual(silencesUpTo(5_000), [1_250, 2_500, 5_000]);
    assert.deepEqual(silencesUpTo(120_000), [1_875, 3_750, 7_500, 15_000, 30_000, 60_000, 120_000]);
    assert.deepEqual(silencesUpTo(300), [300]);
  });
});
