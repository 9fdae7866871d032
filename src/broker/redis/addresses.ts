/** Finds the servers that hold the topics: one server, the master that Sentinel names, or the nodes of a cluster. */

import { isObject } from "../../base/forms.ts";
import { after, type Clock } from "../../base/time.ts";
import { AS_TEXT, newClient, type RedisClient } from "./client.ts";
import type { RedisClientTarget, RedisClusterTarget, RedisSentinelTarget } from "./options.ts";

/** The address of a server. */
export interface ServerAddress {
  readonly host: string;
  readonly port: number;
}

/** Who has which slots of a cluster: both ends of a range are included. */
export interface SlotRange {
  readonly from: number;
  readonly to: number;
  readonly master: ServerAddress;
}

/** How long one sentinel or node may take to answer. */
const ASK_TIMEOUT = 2_000;

export const nameOf = ({ host, port }: ServerAddress): string => `${host}:${port}`;

/** Asks the sentinels, in their order, where the master is. */
export async function askSentinels(target: RedisSentinelTarget, clock: Clock): Promise<ServerAddress> {
  const ask = async (client: RedisClient): Promise<ServerAddress> => {
    const reply = await client.sendCommand(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", target.name], AS_TEXT);
    if (!Array.isArray(reply)) throw new Error(`Cannot find the master: the sentinel does not know ${target.name}`);
    return { host: String(reply[0]), port: Number(reply[1]) };
  };
  const nodes = target.sentinelRootNodes.map((node) => withAddress(target.sentinelClientOptions, node));
  return firstAnswer(nodes, ask, clock);
}

/** Asks the nodes, in their order, how the slots are divided. */
export async function askCluster(
  target: RedisClusterTarget,
  known: readonly ServerAddress[],
  clock: Clock,
): Promise<SlotRange[]> {
  const nodes = [
    ...known.map((address) => nodeTarget(target, address)),
    ...target.rootNodes.map((node) => mergedTarget(target.defaults, node)),
  ];
  const ask = async (client: RedisClient, node: RedisClientTarget): Promise<SlotRange[]> => {
    const reply = await client.sendCommand(["CLUSTER", "SLOTS"], AS_TEXT);
    if (!Array.isArray(reply) || reply.length === 0) throw new Error("Cannot use the cluster: it has no slots");
    return reply.map(([from, to, [host, port]]) => {
      // A node that does not know its own address leaves it out.
      const master = { host: String(host || hostOf(node)), port: Number(port) };
      return { from: Number(from), to: Number(to), master };
    });
  };
  return firstAnswer(nodes, ask, clock);
}

/** The options of the connections to a node of the cluster. */
export function nodeTarget(
  { defaults, nodeAddressMap }: RedisClusterTarget,
  address: ServerAddress,
): RedisClientTarget {
  return withAddress(defaults, mapped(nodeAddressMap, address));
}

/** The options of the connections to the master. */
export function masterTarget(target: RedisSentinelTarget, address: ServerAddress): RedisClientTarget {
  return withAddress(target.nodeClientOptions, mapped(target.nodeAddressMap, address));
}

function mapped(map: object | undefined, address: ServerAddress): ServerAddress {
  const name = nameOf(address);
  const found: unknown = typeof map === "function" ? map(name) : (map as Record<string, unknown> | undefined)?.[name];
  return isObject(found) ? (found as unknown as ServerAddress) : address;
}

function withAddress(target: RedisClientTarget | undefined, { host, port }: ServerAddress): RedisClientTarget {
  return { ...target, socket: { ...target?.socket, host, port } };
}

function mergedTarget(defaults: RedisClientTarget | undefined, target: RedisClientTarget): RedisClientTarget {
  return { ...defaults, ...target, socket: { ...defaults?.socket, ...target.socket } };
}

function hostOf({ url, socket }: RedisClientTarget): string {
  const { host } = (socket ?? {}) as { readonly host?: string };
  return host ?? (url === undefined ? "127.0.0.1" : new URL(url).hostname);
}

/** The first answer. Rejects with the last error if there is none. */
async function firstAnswer<Answer>(
  nodes: readonly RedisClientTarget[],
  ask: (client: RedisClient, node: RedisClientTarget) => Promise<Answer>,
  clock: Clock,
): Promise<Answer> {
  let last: unknown;
  for (const node of nodes) {
    const client = newClient(node);
    const failed = new Promise<never>((_, reject) => {
      client.on("error", reject);
      clock.wakeAt(after(clock.now(), ASK_TIMEOUT), () => reject(new Error(`No answer for ${ASK_TIMEOUT} ms`)));
    });
    failed.catch(() => undefined);
    try {
      const connecting = client.connect();
      connecting.catch(() => undefined);
      await Promise.race([connecting, failed]);
      const asking = ask(client, node);
      asking.catch(() => undefined);
      return await Promise.race([asking, failed]);
    } catch (error) {
      last = error;
    } finally {
      client.destroy();
    }
  }
  throw last;
}
