/** The options of the NATS broker, with their defaults. */

import { type Complete, present } from "../../base/forms.ts";
import {
  COUNT,
  judgeBoolean,
  judgeChoice,
  judgeNames,
  judgeNumber,
  judgeOptions,
  judgeString,
  type NumberRange,
} from "../../base/judge.ts";
import { ONCE_WINDOW } from "../broker.ts";

/** The stream that the broker creates if there is none of this name. An existing one is used with the limits that it has. */
export interface NatsStreamOptions {
  /** The name of the stream. A second one, which keeps the epochs, has this name and "_EPOCHS". @default "HOLDFAST" */
  readonly name?: string | undefined;
  /** Most messages that are kept of each topic: the largest `history.messages` that a topic can have. @default 1_000 */
  readonly messages?: number | undefined;
  /** Most bytes of all topics together, where the server does not allow less; the oldest are removed first. @default Infinity */
  readonly bytes?: number | undefined;
  /**
   * How long messages are kept, in milliseconds, at least 120,000: the server remembers message ids for that long. A topic whose
   * last message is older has an empty log, so take a multiple of the longest `history.age`. The default is a day.
   * @default 86_400_000
   */
  readonly age?: number | undefined;
  /** Whether messages survive the end of the server. @default "file" */
  readonly storage?: "file" | "memory" | undefined;
  /** How many servers of a cluster have each message: 1, 3 or 5. @default 1 */
  readonly replicas?: number | undefined;
}

/** Options of `natsBroker`. */
export interface NatsBrokerOptions {
  /**
   * Whether topics have a log, in JetStream. Without it messages pass through core NATS: there are no offsets and no history, and a
   * hub can tell its members that messages are missing, but not read them again. @default true
   */
  readonly log?: boolean | undefined;
  /** The start of all subjects: one or several tokens of letters, digits, "_" and "-", joined by dots. @default "holdfast" */
  readonly prefix?: string | undefined;
  /** The stream of the log. */
  readonly stream?: NatsStreamOptions | undefined;
  /** Most requests that wait for an answer of the server. More reject with LimitError. @default 10_000 */
  readonly maxInFlight?: number | undefined;
  /** Most bytes of messages that wait for an answer of the server. More reject with LimitError. @default 16_777_216 */
  readonly maxInFlightBytes?: number | undefined;
  /**
   * Further options of `connect` in `@nats-io/transport-node`, such as `tls`, `authenticator`, `user`, `pass`, `token`, `name` or
   * `inboxPrefix`. Those that decide about reconnecting and pings belong to the broker; to give one is a TypeError.
   */
  readonly connection?: Readonly<Record<string, unknown>> | undefined;
}

/** The defaults of `natsBroker`. */
export interface NatsBrokerDefaults {
  readonly log: boolean;
  readonly prefix: string;
  readonly stream: Complete<NatsStreamOptions>;
  readonly maxInFlight: number;
  readonly maxInFlightBytes: number;
}

export const NATS_BROKER_DEFAULTS: NatsBrokerDefaults = Object.freeze({
  log: true,
  prefix: "holdfast",
  stream: Object.freeze({
    name: "HOLDFAST",
    messages: 1_000,
    bytes: Number.POSITIVE_INFINITY,
    age: 86_400_000,
    storage: "file",
    replicas: 1,
  }),
  maxInFlight: 10_000,
  maxInFlightBytes: 16_777_216,
});

/** The options of `connect` that the broker sets. */
const OWN = [
  ...[
    "servers",
    "port",
    "reconnect",
    "maxReconnectAttempts",
    "reconnectTimeWait",
    "reconnectJitter",
    "reconnectJitterTLS",
  ],
  ...[
    "reconnectDelayHandler",
    "waitOnFirstConnect",
    "pingInterval",
    "maxPingOut",
    "timeout",
    "noEcho",
    "noAsyncTraces",
  ],
  ...["ignoreAuthErrorAbort"],
];

const PREFIX = /^[\w-]+(\.[\w-]+)*$/;
const STREAM_NAME = /^[\w-]+$/;
/** The server refuses a shorter age, because it remembers the ids of messages for this long. */
const AGE: NumberRange = { least: ONCE_WINDOW, unit: "ms", infinity: "no limit" };
const REPLICAS: NumberRange = { least: 1, most: 5, whole: true };

/** The options of a broker, complete. */
export interface NatsSettings extends NatsBrokerDefaults {
  readonly servers: readonly string[];
  readonly connection: Readonly<Record<string, unknown>>;
}

/** Validates the arguments of `natsBroker` and adds the defaults. */
export function natsSettings(servers: unknown, options: NatsBrokerOptions): NatsSettings {
  judgeOptions(options);
  const { stream: givenStream = {}, connection = {}, ...given } = present(options) as NatsBrokerOptions;
  judgeNames(Object.keys(given), (name) => name in NATS_BROKER_DEFAULTS);
  judgeOptions(givenStream, "stream");
  judgeOptions(connection, "connection");
  judgeNames(Object.keys(givenStream), (name) => name in NATS_BROKER_DEFAULTS.stream, "stream.");
  const { log, prefix, maxInFlight, maxInFlightBytes } = { ...NATS_BROKER_DEFAULTS, ...(present(given) as object) };
  const stream: NatsBrokerDefaults["stream"] = { ...NATS_BROKER_DEFAULTS.stream, ...present(givenStream) };
  judgeBoolean("log", log);
  judgeForm("prefix", prefix, PREFIX, "tokens of letters, digits, _ and -, joined by dots");
  judgeNumber("maxInFlight", maxInFlight, COUNT);
  judgeNumber("maxInFlightBytes", maxInFlightBytes, COUNT);
  judgeForm("stream.name", stream.name, STREAM_NAME, "letters, digits, _ and -");
  judgeNumber("stream.messages", stream.messages, COUNT);
  judgeNumber("stream.bytes", stream.bytes, COUNT);
  judgeNumber("stream.age", stream.age, AGE);
  judgeChoice("stream.storage", stream.storage, ["file", "memory"]);
  judgeNumber("stream.replicas", stream.replicas, REPLICAS);
  for (const name of OWN) {
    if (name in connection) throw new TypeError(`Cannot use option connection.${name}: the broker decides about it`);
  }
  const addresses = serverList(servers);
  const all = { ...addresses.connection, ...connection };
  return { servers: addresses.servers, connection: all, log, prefix, stream, maxInFlight, maxInFlightBytes };
}

function judgeForm(name: string, value: unknown, form: RegExp, expected: string): void {
  judgeString(name, value);
  if (!form.test(value)) throw new RangeError(`Cannot use ${name} ${JSON.stringify(value)}: expected ${expected}`);
}

interface ServerList {
  readonly servers: readonly string[];
  /** What the addresses say about the login and TLS, as options of `connect`. */
  readonly connection: Readonly<Record<string, unknown>>;
}

/** nats.js ignores what stands before the host in an address. */
function serverList(given: unknown): ServerList {
  const list: readonly unknown[] = Array.isArray(given) ? given : [given];
  if (list.length === 0) throw new RangeError("Cannot use servers: expected at least one");
  let connection: Record<string, unknown> = {};
  const servers = list.map((server) => {
    judgeString("servers", server);
    const text = server.includes("://") ? server : `nats://${server}`;
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (url === undefined || url.hostname === "" || !/^(nats|tls):$/.test(url.protocol)) {
      // Not the address itself: it may contain a password.
      throw new RangeError("Cannot use servers: expected addresses such as nats://127.0.0.1:4222 or tls://host:4222");
    }
    const [name, password] = [decodeURIComponent(url.username), decodeURIComponent(url.password)];
    if (password !== "") connection = { ...connection, user: name, pass: password };
    else if (name !== "") connection = { ...connection, token: name };
    if (url.protocol === "tls:") connection = { ...connection, tls: connection["tls"] ?? {} };
    return url.host;
  });
  return { servers, connection };
}
