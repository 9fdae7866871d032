/** What the package shows: its names, the defaults that its documentation promises, and the files that are published. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { VERSION } from "../src/base/version.ts";
import * as nats from "../src/broker/nats/index.ts";
import * as redis from "../src/broker/redis/index.ts";
import * as dashboard from "../src/dashboard/index.ts";
import * as main from "../src/index.ts";
import * as kernel from "../src/kernel/index.ts";
import * as otel from "../src/otel/index.ts";
import * as testing from "../src/testing/index.ts";
import * as workers from "../src/workers/index.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

/** The public names, changed on purpose only: to take one away, or to change its meaning, is a breaking change. */
const MAIN = {
  values: [
    ...["accept", "acceptSync", "admit", "attach", "connect", "Group", "listen"],
    ...["prepare", "prepareFrame", "DEFAULTS"],
    ...["reconnect", "ReconnectingConnection", "shouldReconnect", "InDoubtError"],
    ...["ClosedError", "HandshakeError", "LimitError", "ProtocolError", "TimeoutError", "TransportError"],
    ...[
      "isConnectionError",
      "isText",
      "errorReporter",
      "metrics",
      "httpProxy",
      "socksProxy",
      "proxyFromEnvironment",
      "json",
    ],
    ...["memoryBudget", "WorkerError"],
    ...["Hub", "memoryBroker", "exchangeOf", "EXCHANGE_DEFAULTS", "envelope", "EnvelopeReader"],
  ],
  types: [
    ...["Connection", "ConnectionOptions", "HeartbeatOptions", "Hooks", "HookResult", "CloseInfo", "ReadyState"],
    ...["ErrorContext", "ErrorPlace", "Defaults"],
    ...[
      "Message",
      "Sendable",
      "SendOptions",
      "SendResult",
      "PingOptions",
      "WriterOptions",
      "CompressionOptions",
      "CompressionTerms",
      "WaitOptions",
      "Overflow",
      "PreparedMessage",
      "PrepareOptions",
    ],
    ...[
      "MessageBytes",
      "MessageCodec",
      "MessageType",
      "MemoryBudget",
      "MessageTyping",
      "FramedTyping",
      "MessageIterator",
      "MessageReader",
      "MessageReceiver",
      "MessageSender",
      "MessageWriter",
      "GroupMember",
    ],
    ...[
      "AcceptOptions",
      "AttachOptions",
      "CapacityOptions",
      "ConnectOptions",
      "KeepAliveOptions",
      "ListenOptions",
      "PerAddressOptions",
      "UpgradeOptions",
    ],
    ...[
      "DrainOptions",
      "DrainResult",
      "ExtraHeaders",
      "Handler",
      "OriginPolicy",
      "Server",
      "ServerConnections",
      "UpgradeRequest",
      "RequestTls",
      "PathParams",
      "ParamsOf",
      "WebSocketUrl",
      ...["Admission", "AdmitOptions", "Authorization"],
      ...["TrustProxy", "TrustProxyOptions"],
      "ListeningServer",
      "FetchInfo",
      "HttpOptions",
      "Route",
      "RouteOptions",
      "Routes",
      "RouteTarget",
    ],
    ...[
      "ConnectionIdentity",
      "ErrorFacts",
      "ReportError",
      "Progress",
      "ResponseBody",
      "HeaderFields",
      "EndOfLine",
      "ListenAddress",
      "Complete",
      "ConnectionDefaults",
      "ClientDefaults",
      "ServerDefaults",
      "CompressionDefaults",
      "ReconnectDefaults",
      "GroupOverflow",
    ],
    ...["ReceivedBy", "FramedMessage", "PrepareValueOptions", "ReconnectingConnectionConstructor"],
    ...[
      "LocalGroupOptions",
      "GroupOptions",
      "GroupSendOptions",
      "GroupSendResult",
      "Exchange",
      "ExchangeReceiver",
      "ExchangeSubscription",
    ],
    ...[
      "Framing",
      "CustomFraming",
      "DecodedMessage",
      "DelimitedFraming",
      "FixedFraming",
      "LengthPrefixedFraming",
      "LinesFraming",
    ],
    ...["ConnectionError", "ConnectionOperation", "ConnectPhase", "ConnectionSide", "ProtocolErrorReason"],
    ...["ConnectionEvent", "Observer", "CloseEvent", "FrameEvent", "OpenEvent", "OverflowEvent"],
    ...["PauseEvent", "PeerEndedEvent", "PhaseEvent", "AcceptedEvent", "RefusedEvent", "Refusal"],
    ...["TimeoutEvent", "ReconnectEvent", "AttemptOutcome"],
    ...[
      "Metrics",
      "MetricsSnapshot",
      "MetricSeries",
      "MetricName",
      "MetricLabels",
      ...["Logger", "ChannelName", "ProcessObject"],
      "EndCause",
      "Histogram",
      "HistogramData",
    ],
    ...["Dialer", "DialAttempt", "DialDestination", "DialOptions", "DialPlace", "HttpProxyOptions"],
    ...["Clock", "Deadline", "Instant", "Wakeup", "Network", "NetworkListener"],
    ...[
      "ReconnectSession",
      "ReconnectOptions",
      "ReconnectPolicy",
      "ReconnectCause",
      "ReconnectKind",
      "ReconnectPhase",
      "ReconnectVerdict",
    ],
    ...["Broker", "BrokerEntry", "BrokerHonours", "BrokerListener", "BrokerPublishOptions", "BrokerSubscription"],
    ...["HistoryLimits", "Published", "ReadRequest", "Slice", "MemoryBrokerOptions"],
    ...["BrokerExchange", "BrokerExchangeOptions", "Envelope", "EnvelopeEvent"],
    ...["SkipReason", "TopicEncoder", "TopicEntry", "LoadState", "StateMessages", "TopicMember"],
    ...["HubEvent", "HubForkEvent", "HubGapEvent", "HubHealedEvent", "HubInDoubtEvent", "HubPublishFailedEvent"],
    ...["HubReadFailedEvent", "HubStats", "HubSuspectEvent", "HubUnreadableEvent"],
    ...["HubDefaults", "HubOptions", "SlowMember", "TopicDefaults", "TopicOptions", "Gap", "GapReason", "Position"],
    ...["FollowOptions", "HistoryOptions", "HistoryResult", "JoinOptions", "JoinResult"],
    ...["PublishOptions", "PublishResult", "PublishWaitOptions", "Topic", "WaitLimits"],
    ...["PresenceChange", "PresentMember", "PresenceEvent", "PresenceList", "MemberPresence", "PresenceResult"],
    ...["ReconnectState", "ConnectingState", "OpenState", "WaitingState", "EndedState"],
    ...["ReconnectTarget", "ReconnectAttempt", "ReconnectDestination"],
    ...["ReconnectingOptions", "ReconnectingHooks", "ReconnectingClient", "ReconnectDelivery", "QueueOverflow"],
  ],
};
const WORKERS = {
  values: ["startWorkers", "WORKER_DEFAULTS"],
  types: [
    "WorkerServer",
    "CountingExchange",
    "MetricsSnapshot",
    "WorkerFunction",
    "WorkerEvent",
    "WorkerScope",
    "Workers",
    "WorkersOptions",
    ...["Broker", "BrokerEntry", "BrokerHonours", "BrokerListener", "BrokerPublishOptions", "BrokerSubscription"],
    ...["HistoryLimits", "Published", "ReadRequest", "Slice"],
  ],
};
const KERNEL = {
  values: ["KernelSockets"],
  types: [
    ...["KernelReport", "KernelSocket", "KernelSocketsOptions", "KernelUnsupported", "KernelProcess"],
    ...["SocketState", "SocketTimer"],
  ],
};
const REDIS = {
  values: ["redisBroker", "REDIS_BROKER_DEFAULTS"],
  types: [
    ...["RedisBrokerOptions", "RedisTarget", "RedisClientTarget", "RedisClusterTarget", "RedisSentinelTarget"],
    ...["Broker", "BrokerEntry", "BrokerHonours", "BrokerListener", "BrokerPublishOptions", "BrokerSubscription"],
    ...["HistoryLimits", "Published", "ReadRequest", "Slice"],
  ],
};
const NATS = {
  values: ["natsBroker", "NATS_BROKER_DEFAULTS"],
  types: [
    ...["NatsBrokerOptions", "NatsStreamOptions", "NatsBrokerDefaults"],
    ...["Broker", "BrokerEntry", "BrokerHonours", "BrokerListener", "BrokerPublishOptions", "BrokerSubscription"],
    ...["HistoryLimits", "Published", "ReadRequest", "Slice"],
  ],
};
const OTEL = {
  values: ["observeMetrics"],
  types: ["ObservableInstrument", "ObservableMeter", "ObservableOptions", "ObserveCallback"],
};
const DASHBOARD = {
  values: ["Dashboard", "NUMBERS", "NUMBER_NAMES", "SORT_COLUMNS", "dashboard"],
  types: [
    ...["ActionMessage", "ConnectionDetail", "ConnectionRow", "DashboardClient", "DashboardFeed", "DashboardOptions"],
    ...["DashboardRequest", "EndCount", "EndedRow", "FeedMessage", "FrameRow", "GroupRow", "HelloMessage", "KernelRow"],
    ...["LimitRow", "NextMessage", "NumberFacts", "NumberName", "ResultMessage", "Sample", "ServerRow", "SortColumn"],
    ...["TimelineEvent", "TopicRow", "UpdateMessage", "ViewerMessage"],
  ],
};
const TESTING = {
  values: ["ManualClock", "chaosProxy", "network", "pair", "settled", "wired"],
  types: [
    "ChaosCounts",
    "ChaosFaults",
    "SettledFaults",
    "ChaosOptions",
    "ChaosProxy",
    "Host",
    "Link",
    "LinkSide",
    "LinkFaults",
    "LinkedOptions",
    "MemoryNetwork",
    "NetworkLink",
    "NetworkOptions",
    "Pair",
    "PairOptions",
    "RawPeer",
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
    ["holdfast/workers", "src/workers/index.ts", workers, WORKERS],
    ["holdfast/kernel", "src/kernel/index.ts", kernel, KERNEL],
    ["holdfast/redis", "src/broker/redis/index.ts", redis, REDIS],
    ["holdfast/nats", "src/broker/nats/index.ts", nats, NATS],
    ["holdfast/otel", "src/otel/index.ts", otel, OTEL],
    ["holdfast/dashboard", "src/dashboard/index.ts", dashboard, DASHBOARD],
  ] as const) {
    it(`show exactly the listed names: ${name}`, () => {
      assert.deepEqual(Object.keys(door).sort(), [...listed.values].sort());
      assert.deepEqual(typesOf(path).sort(), [...listed.types].sort());
    });
  }
});

/** What the documentation says where the default is no plain value, or depends on another option. */
const IN_WORDS = {
  connection: {
    idleTimeout: "off with a heartbeat, else 60_000",
    maxQueuedBytes: "1_048_576, or maxMessageSize if that is more",
    highWaterMark: "524_288, or half of maxQueuedBytes if that is less",
    lowWaterMark: "131_072, or a quarter of highWaterMark if that is less",
    clock: "the system's",
    onError: "writes the error with its stack, its causes and its connection to stderr",
  },
  takeover: "false on servers, true for clients",
} as const;

describe("the documented defaults are those of DEFAULTS", () => {
  const { connection, client, server, compression, reconnect, hub, topic } = main.DEFAULTS;
  const { stream: natsStream, ...natsDefaults } = nats.NATS_BROKER_DEFAULTS;
  const { close, origin, maxConnections, perAddress, backlog, ...upgrade } = server;
  const { delivery, overflow, ...policy } = reconnect;
  const { server: _, client: ofClients, ...sizes } = compression;
  const { framing, keepAlive, ...request } = upgrade;
  const OPTIONS = "src/endpoint/options.ts";
  const tables: readonly [path: string, type: string, defaults: object, inWords?: object][] = [
    ["src/connection/options.ts", "ConnectionOptions", connection, IN_WORDS.connection],
    ["src/connection/options.ts", "HeartbeatOptions", connection.heartbeat],
    [OPTIONS, "KeepAliveOptions", keepAlive],
    [OPTIONS, "UpgradeOptions", { ...request, origin }],
    [OPTIONS, "CapacityOptions", { maxConnections, perAddress }],
    [OPTIONS, "PerAddressOptions", perAddress],
    [OPTIONS, "AttachOptions", {}, { path: "every path" }],
    [OPTIONS, "ListenOptions", { framing, keepAlive, backlog }, { network: "the system's" }],
    [OPTIONS, "ConnectOptions", client, { network: "the system's" }],
    [
      "src/transport/dial/options.ts",
      "DialOptions",
      {},
      {
        dial: "a TCP connection or a unix socket",
        lookup: "dns.lookup",
        family: "that of `localAddress`, else 0",
        localAddress: "the system's choice",
      },
    ],
    ["src/endpoint/server/roster.ts", "DrainOptions", close, { code: String(close.code), retryAfter: "no hint" }],
    [
      "src/connection/compression/options.ts",
      "CompressionOptions",
      { threshold: sizes.threshold, level: sizes.level, maxInflationRatio: sizes.maxInflationRatio },
      {
        fallbacks: "the first offer without the client's context: some servers ask for that only where it is offered",
      },
    ],
    [
      "src/connection/compression/options.ts",
      "CompressionTerms",
      { serverWindowBits: sizes.serverWindowBits, clientWindowBits: sizes.clientWindowBits },
      Object.fromEntries(Object.keys(ofClients).map((name) => [name, IN_WORDS.takeover])),
    ],
    [
      "src/reconnect/options.ts",
      "ReconnectPolicy",
      policy,
      { shouldReconnect: "the exported shouldReconnect", random: "Math.random" },
    ],
    ["src/reconnect/connection-options.ts", "ReconnectingOptions", { delivery, overflow }],
    [
      "src/hub/options.ts",
      "HubOptions",
      hub,
      {
        broker: "`memoryBroker()`: the topics of this process only, whose messages are lost with it",
        encoder: "the message alone; nothing for a position or a gap",
        onError: "writes them to stderr",
        clock: "the system's",
        random: "`Math.random`",
      },
    ],
    ["src/hub/options.ts", "TopicOptions", topic],
    [
      "src/workers/options.ts",
      "WorkersOptions",
      workers.WORKER_DEFAULTS,
      {
        workers: "os.availableParallelism()",
        observe: "writes to stderr each event that was not expected",
      },
    ],
    ["src/broker/redis/options.ts", "RedisBrokerOptions", redis.REDIS_BROKER_DEFAULTS],
    ["src/broker/nats/options.ts", "NatsBrokerOptions", natsDefaults],
    ["src/broker/nats/options.ts", "NatsStreamOptions", natsStream],
  ];
  for (const [path, type, defaults, inWords = {}] of tables) {
    it(`of ${type}`, () => {
      const { heartbeat: nested, ...plain } = defaults as Record<string, unknown>;
      assert.ok(nested === undefined || type === "ConnectionOptions");
      const applied = Object.fromEntries(Object.entries(plain).map(([name, value]) => [name, asWritten(value)]));
      assert.deepEqual(documentedDefaults(path, type), { ...applied, ...inWords });
    });
  }

  it("in every file that has options with defaults", () => {
    const files = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" })
      .map((file) => `src/${file.replaceAll("\\", "/")}`)
      .filter((file) => /^src\/(connection|endpoint|hub|reconnect|transport|workers)\/.*options\.ts$/.test(file));
    const listed = new Set(tables.map(([path]) => path));
    const withDefaults = files.filter((file) => /@default/.test(read(file)));
    // The options of one message have the connection's defaults.
    assert.deepEqual(
      withDefaults.filter((file) => !listed.has(file)),
      [],
    );
  });

  it("and no part of the tree can be changed", () => {
    const frozen = (value: unknown): boolean =>
      typeof value !== "object" || value === null || (Object.isFrozen(value) && Object.values(value).every(frozen));
    assert.ok(frozen(main.DEFAULTS));
    assert.ok(frozen(workers.WORKER_DEFAULTS));
    assert.ok(frozen(redis.REDIS_BROKER_DEFAULTS));
    assert.ok(frozen(nats.NATS_BROKER_DEFAULTS));
  });
});

/** What `@default` says in the comment before each option of an interface. */
function documentedDefaults(path: string, type: string): Record<string, string> {
  const [, body = ""] =
    new RegExp(`export interface ${type}\\b[^{]*\\{\\n([\\s\\S]*?)\\n\\}\\n`).exec(read(path)) ?? [];
  const options = body.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*readonly (\w+)\?:/g);
  const found = Array.from(options, ([, comment = "", name = ""]) => [name, /@default (.*?)\s*$/m.exec(comment)?.[1]]);
  return Object.fromEntries(found.filter(([, said]) => said !== undefined));
}

/** A value as the sources write it: numbers with their thousands apart. */
function asWritten(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(asWritten).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const pairs = Object.entries(value).map(([name, one]) => `${name}: ${asWritten(one)}`);
    return pairs.length === 0 ? "{}" : `{ ${pairs.join(", ")} }`;
  }
  return value === Infinity ? "Infinity" : (value as number | boolean).toLocaleString("en").replaceAll(",", "_");
}

describe("the published package", () => {
  it("has the version that it tells", () => {
    assert.equal(VERSION, JSON.parse(read("package.json")).version);
  });

  it("holds what its manifest points to, and nothing but that", async () => {
    const pack = ["pack", "--dry-run", "--json", "--ignore-scripts"];
    const shell = process.platform === "win32";
    const { stdout } = await promisify(execFile)("npm", pack, { cwd: ROOT, shell });
    const files = (JSON.parse(stdout)[0].files as { path: string }[]).map(({ path }) => path);
    const { exports, bin } = JSON.parse(read("package.json"));
    const pointedTo = [
      bin.holdfast,
      ...[".", "./testing", "./workers", "./kernel", "./redis", "./nats", "./otel", "./dashboard"].flatMap((door) =>
        Object.values(exports[door]),
      ),
    ] as string[];
    for (const path of pointedTo) assert.ok(files.includes(path.replace(/^\.\//, "")), `${path} is missing`);
    const strays = files.filter(
      (path) =>
        !/^(dist\/.+\.(js|d\.ts)(\.map)?|(dist|src)\/.+\.html|src\/.+\.(tsx?|css)|docs\/.+\.(md|webp)|examples\/.+\.(js|ts)|monitoring\/.+\.(yml|json)|package\.json|[A-Z]+(\.md)?)$/.test(
          path,
        ),
    );
    assert.deepEqual(strays, []);
    for (const text of ["README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md"]) assert.ok(files.includes(text), text);
  });

  it("names types of Node in one declaration only, where @ts-ignore stands before each", () => {
    const reached = new Set<string>();
    const queue = [".", "./testing", "./workers", "./kernel", "./redis", "./nats", "./otel", "./dashboard"].map(
      (door) => JSON.parse(read("package.json")).exports[door].types as string,
    );
    for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
      if (reached.has(path)) continue;
      reached.add(path);
      for (const [, to = ""] of read(path).matchAll(/(?:from|import\() ?"(\.[^"]+)\.ts"/g)) {
        queue.push(`./${posix.join(posix.dirname(path), to)}.d.ts`);
      }
    }
    assert.ok(reached.size > 50);
    const naming = Array.from(reached).filter((path) => {
      const text = read(path).replace(/\/\*[\s\S]*?\*\//g, "");
      return /"node:|\bBuffer\b|\bNodeJS\./.test(text) && !path.endsWith("/node-types.d.ts");
    });
    assert.deepEqual(naming, [], "import such types from src/transport/node-types.ts");
    const [, ...lines] = read("./dist/transport/node-types.d.ts").split(/^\/\*\* @ts-ignore \*\/$/m);
    assert.ok(lines.length > 5 && lines.every((line) => line.match(/^export/gm)?.length === 1));
  });

  it("needs no other package", () => {
    const { dependencies, peerDependencies, peerDependenciesMeta, optionalDependencies } = JSON.parse(
      read("package.json"),
    );
    assert.deepEqual([dependencies, optionalDependencies], [undefined, undefined]);
    for (const name of Object.keys(peerDependencies)) assert.equal(peerDependenciesMeta[name]?.optional, true, name);
  });
});
