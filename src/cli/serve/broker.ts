/** The broker that `holdfast serve --broker URL` uses. */

import type { Broker } from "../../index.ts";
import { UsageError } from "../flags.ts";

const REDIS = ["redis:", "rediss:"];
const NATS = ["nats:", "tls:"];

/** Throws UsageError unless `url` names a broker that is known. */
export function judgeBrokerUrl(url: string): void {
  if (URL.canParse(url) && [...REDIS, ...NATS].includes(new URL(url).protocol)) return;
  throw new UsageError(
    `cannot use --broker ${JSON.stringify(withoutPassword(url))}: expected redis://HOST:PORT or nats://HOST:PORT`,
  );
}

/** A URL as it may appear in an error: a password in it would reach logs. */
function withoutPassword(url: string): string {
  return url.replace(/^([a-z]+:\/\/)[^/]*@/i, "$1***@");
}

/** Connects to the broker. The client of Redis or NATS is loaded only here: it is a package that the user installs. */
export async function brokerAt(url: string): Promise<Broker> {
  const redis = REDIS.includes(new URL(url).protocol);
  try {
    if (redis) return (await import("../../broker/redis/index.ts")).redisBroker(url);
    return (await import("../../broker/nats/index.ts")).natsBroker(url);
  } catch (error) {
    if ((error as { readonly code?: string }).code !== "ERR_MODULE_NOT_FOUND") throw error;
    const packages = redis ? "redis" : "@nats-io/transport-node";
    throw new Error(`cannot use --broker ${withoutPassword(url)}: install the client first, npm install ${packages}`);
  }
}
