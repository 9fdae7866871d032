/** Servers and proxies on the way: by which header fields they are recognised, and which setting of each is an idle limit. */

/** The fields of the answer, by name in lower case. */
export type AnswerFields = Readonly<Record<string, string>>;

interface Hop {
  readonly name: string;
  /** A field, and what its value matches. Without one, answers do not show this hop. */
  readonly sign?: readonly (readonly [field: string, value: RegExp])[];
  /** The idle limit that it has unless it is configured, in seconds; undefined if there is no default. */
  readonly idle?: number;
  /** The setting that is the limit. */
  readonly setting: string;
}

const HOPS: readonly Hop[] = [
  {
    name: "nginx",
    sign: [["server", /^(nginx|openresty)/i]],
    idle: 60,
    setting: "proxy_read_timeout of the location (60s by default)",
  },
  {
    name: "Cloudflare",
    sign: [
      ["server", /^cloudflare/i],
      ["cf-ray", /./],
    ],
    idle: 100,
    setting: "its idle limit of 100 s is fixed, except by contract",
  },
  {
    name: "AWS Application Load Balancer",
    sign: [
      ["server", /^awselb/i],
      ["set-cookie", /^AWSALB/],
    ],
    idle: 60,
    setting: "the attribute idle_timeout.timeout_seconds (60 by default, at most 4000)",
  },
  {
    name: "the load balancer of Google Cloud",
    sign: [["via", /\bgoogle\b/i]],
    idle: 30,
    setting:
      "the timeout of the backend service (timeoutSec, 30 by default), which bounds the whole life of a connection",
  },
  {
    name: "Heroku",
    sign: [
      ["via", /\b(vegur|heroku)/i],
      ["server", /^heroku/i],
    ],
    idle: 55,
    setting: "its idle limit of 55 s is fixed",
  },
  {
    name: "Envoy",
    sign: [
      ["server", /^(envoy|istio-envoy)/i],
      ["x-envoy-upstream-service-time", /./],
    ],
    idle: 300,
    setting: "stream_idle_timeout of the HTTP connection manager (5 minutes by default)",
  },
  {
    name: "Apache",
    sign: [["server", /^apache/i]],
    idle: 60,
    setting: "ProxyWebsocketIdleTimeout, ProxyTimeout or Timeout (60 by default)",
  },
  { name: "Caddy", sign: [["via", /\bcaddy\b/i]], setting: "stream_timeout of reverse_proxy (none by default)" },
  { name: "HAProxy", setting: "timeout tunnel, without it timeout client and timeout server (no defaults)" },
  {
    name: "an AWS Network Load Balancer",
    idle: 350,
    setting: "tcp.idle_timeout.seconds of its listener (350 by default)",
  },
  { name: "an Azure load balancer", idle: 240, setting: "the idle timeout of its rule (4 minutes by default)" },
];

const isSeen = ({ sign = [] }: Hop, fields: AnswerFields): boolean =>
  sign.some(([field, value]) => value.test(fields[field] ?? ""));

/** The names of the hops that the answer shows. Others may be on the way too. */
export function hopsSeen(fields: AnswerFields): readonly string[] {
  return HOPS.filter((hop) => isSeen(hop, fields)).map(({ name }) => name);
}

// How far from a default a measured limit may be: the timers of proxies run late, never early.
const [EARLY, LATE] = [0.2, 1.5];

/** Which setting an idle limit of so many seconds looks like, and what to change. For an end without a Close, so by any hop. */
export function idleAdvice(seconds: number, fields: AnswerFields): string {
  const alike = HOPS.filter(({ idle = Number.NaN }) => seconds >= idle - EARLY && seconds <= idle + LATE);
  const seen = HOPS.filter((hop) => isSeen(hop, fields));
  const both = seen.filter((hop) => alike.includes(hop));
  const ping = `${pingAdvice(seconds)}, or raise the limit`;
  if (both.length > 0) return `${ping}. The answer shows a hop whose default this is: ${listed(both)}`;
  const others = alike.length > 0 ? `. This length is the default of ${listed(alike)}` : "";
  if (seen.length > 0) return `${ping}. The answer shows ${listed(seen)}${others}`;
  if (alike.length > 0) return `${ping}${others}`;
  const usual = HOPS.filter(({ name }) => USUAL.includes(name));
  return `${ping} of the server or of a proxy before it. Usual ones: ${listed(usual)}`;
}

/** How often a Ping keeps a connection open whose idle limit is so many seconds. */
export function pingAdvice(seconds: number): string {
  return `send a Ping more often than each ${round(seconds / 2)} s, from either side`;
}

const USUAL: readonly string[] = ["nginx", "HAProxy", "AWS Application Load Balancer"];

const listed = (hops: readonly Hop[]): string => hops.map(({ name, setting }) => `${name}: ${setting}`).join("; ");

function round(seconds: number): number {
  return seconds < 10 ? Math.round(seconds * 10) / 10 : Math.floor(seconds);
}
