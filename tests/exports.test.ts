/** What the package shows: its names, the defaults that its documentation promises, and the files that are published. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { ENDPOINT_DEFAULTS } from "../src/endpoint/options.js";
import { RECONNECT_DEFAULTS } from "../src/endpoint/reconnect-options.js";
import { WORKER_DEFAULTS } from "../src/endpoint/worker-options.js";
import * as main from "../src/index.js";
import * as testing from "../src/testing/index.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

/** The public names, changed on purpose only: to take one away, or to change its meaning, is a breaking change. */
const MAIN = {
  values: [
    ...["attach", "connect", "Group", "listen", "prepare", "DEFAULTS"],
    ...["reconnect", "ReconnectingConnection", "shouldReconnect", "InDoubtError"],
    ...["after", "between", "systemClock", "Backoff", "isWireCode"],
    ...["ClosedError", "HandshakeError", "LimitError", "ProtocolError", "TimeoutError", "TransportError"],
    "isConnectionError",
    "KernelSockets",
    ...["startWorkers", "WorkerError"],
  ],
  types: [
    ...["Connection", "ConnectionOptions", "HeartbeatOptions", "Hooks", "CloseInfo", "ReadyState"],
    ...[
      "Data",
      "Sendable",
      "SendOptions",
      "SendResult",
      "WriterOptions",
      "CompressionOptions",
      "CompressionTerms",
      "WaitOptions",
      "Overflow",
      "PreparedMessage",
      "PrepareOptions",
    ],
    ...["MessageReader", "MessageWriter"],
    ...["AttachOptions", "CapacityOptions", "ConnectOptions", "KeepAliveOptions", "ListenOptions", "UpgradeOptions"],
    ...["DrainOptions", "ExtraHeaders", "Handler", "OriginPolicy", "Server", "UpgradeRequest"],
    ...[
      "GroupOptions",
      "GroupSendOptions",
      "GroupSendResult",
      "Exchange",
      "CountingExchange",
      "Receive",
      "Subscription",
    ],
    ...["Workers", "WorkersOptions", "WorkerScope", "WorkerEvent", "Work", "Closable"],
    ...["Framing", "CustomFraming", "Decoded", "DelimitedFraming", "FixedFraming", "LengthPrefixedFraming"],
    ...["ConnectionError", "Operation", "Phase", "Side"],
    ...["ConnectionEvent", "Observer", "CloseEvent", "FrameEvent", "HandshakeEvent", "OpenEvent", "OverflowEvent"],
    ...["PauseEvent", "PeerEndedEvent"],
    ...["KernelReport", "KernelSocket", "KernelSocketsOptions", "KernelUnsupported"],
    ...["KernelProcess", "SocketState", "SocketTimer"],
    ...["Clock", "Instant", "Wakeup", "Pauses"],
    ...["Session", "ReconnectOptions", "ReconnectPolicy", "ReconnectCause", "ReconnectPhase", "ReconnectVerdict"],
    ...["ReconnectState", "ConnectingState", "OpenState", "WaitingState", "EndedState"],
    ...["ReconnectTarget", "ReconnectAttempt", "Destination"],
    ...["ReconnectingOptions", "ReconnectingHooks", "Delivery", "QueueOverflow"],
  ],
};
const TESTING = {
  values: ["ManualClock", "chaosProxy", "pair", "settled", "wired"],
  types: [
    "ChaosCounts",
    "ChaosFaults",
    "ChaosOptions",
    "ChaosProxy",
    "Link",
    "LinkSide",
    "LinkedOptions",
    "Pair",
    "PairOptions",
    "Wire",
    "Wired",
    "WiredOptions",
  ],
};

/** The names of types that a door shows, read from its text: nothing is left of them when it runs. */
function typesOf(door: string): string[] {
  const lists = read(door).matchAll(/export (type )?\{([^}]*)\}/g);
  return Array.from(lists).flatMap(([, all, list = ""]) =>
    list
      .split(",")
      .map((entry) => entry.trim())
      .filter((entry) => entry !== "" && (all !== undefined || entry.startsWith("type ")))
      .map((entry) => entry.replace(/^type /, "").replace(/^.* as /, "")),
  );
}

describe("the package's doors", () => {
  for (const [name, path, door, listed] of [
    ["holdfast", "src/index.ts", main, MAIN],
    ["holdfast/testing", "src/testing/index.ts", testing, TESTING],
  ] as const) {
    it(`show exactly the listed names: ${name}`, () => {
      assert.deepEqual(Object.keys(door).sort(), [...listed.values].sort());
      assert.deepEqual(typesOf(path).sort(), [...listed.types].sort());
    });
  }
});

describe("the documented defaults", () => {
  it("are those that apply", () => {
    const { heartbeat, ...plain } = main.DEFAULTS;
    const applied = Object.entries({ ...heartbeat, ...plain }).map(([name, value]) => [name, asWritten(value)]);
    assert.deepEqual(documentedDefaults("src/connection/options.ts"), {
      ...Object.fromEntries(applied),
      idleTimeout: `off with a heartbeat, else ${asWritten(main.DEFAULTS.idleTimeout)}`,
      maxQueuedBytes: `${asWritten(main.DEFAULTS.maxQueuedBytes)}, or maxMessageSize if that is more`,
      // These are not plain values.
      clock: "the system's",
      onError: "process.emitWarning",
    });
  });
});

describe("the documented defaults of endpoints", () => {
  it("are those that apply", () => {
    const { maxConnections, keepAlive, drain } = ENDPOINT_DEFAULTS;
    const options = documentedDefaults("src/endpoint/options.ts");
    assert.equal(options["maxConnections"], asWritten(maxConnections));
    assert.equal(options["delay"], asWritten(keepAlive.delay));
    assert.equal(options["keepAlive"], `{ delay: ${asWritten(keepAlive.delay)} }`);
    assert.equal(documentedDefaults("src/endpoint/roster.ts")["drain"], asWritten(drain));
  });
});

describe("the documented defaults of workers", () => {
  it("are those that apply", () => {
    const figures = Object.entries(WORKER_DEFAULTS).map(([name, value]) => [name, asWritten(value)]);
    assert.deepEqual(documentedDefaults("src/endpoint/worker-options.ts"), {
      ...Object.fromEntries(figures),
      workers: "os.availableParallelism()",
      observe: "process.emitWarning, for what was not meant to be",
    });
  });
});

describe("the documented defaults of those who come back", () => {
  it("are those that apply", () => {
    const figures = Object.entries(RECONNECT_DEFAULTS).map(([name, value]) => [name, asWritten(value)]);
    assert.deepEqual(documentedDefaults("src/endpoint/reconnect-options.ts"), {
      ...Object.fromEntries(figures),
      shouldReconnect: "the exported shouldReconnect",
      random: "Math.random",
    });
  });
});

/** What `@default` says in the comment before each option of a file. */
function documentedDefaults(path: string): Record<string, string> {
  const options = read(path).matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*readonly (\w+)\?:/g);
  const found = Array.from(options, ([, comment = "", name = ""]) => [name, /@default (.*?)\s*$/m.exec(comment)?.[1]]);
  return Object.fromEntries(found.filter(([, said]) => said !== undefined));
}

/** A value as the sources write it: numbers with their thousands apart. */
function asWritten(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  return value === Infinity ? "Infinity" : (value as number | boolean).toLocaleString("en").replaceAll(",", "_");
}

describe("the published package", () => {
  it("holds what its manifest points to, and nothing but that", async () => {
    const pack = ["pack", "--dry-run", "--json", "--ignore-scripts"];
    const shell = process.platform === "win32";
    const { stdout } = await promisify(execFile)("npm", pack, { cwd: ROOT, shell });
    const files = (JSON.parse(stdout)[0].files as { path: string }[]).map(({ path }) => path);
    const { exports, bin } = JSON.parse(read("package.json"));
    const pointedTo = [bin.holdfast, ...[".", "./testing"].flatMap((door) => Object.values(exports[door]))] as string[];
    for (const path of pointedTo) assert.ok(files.includes(path.replace(/^\.\//, "")), `${path} is missing`);
    const strays = files.filter((path) => !/^(dist\/.+\.(js|d\.ts)|package\.json|[A-Z]+(\.md)?)$/.test(path));
    assert.deepEqual(strays, []);
    for (const text of ["README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md"]) assert.ok(files.includes(text), text);
  });

  it("needs no other package", () => {
    const { dependencies, peerDependencies, optionalDependencies } = JSON.parse(read("package.json"));
    assert.deepEqual([dependencies, peerDependencies, optionalDependencies], [undefined, undefined, undefined]);
  });
});
