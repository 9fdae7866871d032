/** What happens in a run of topics. */

import type { Client } from "../../hub/clients.ts";
import type { Host, TopicWorld } from "./world.ts";

export interface TopicStep {
  readonly name: string;
  /** True if the server loses what it has confirmed. */
  readonly forgets?: true;
  run(world: TopicWorld, host: Host, client: Client, number: number): void;
}

const step = (name: string, run: TopicStep["run"], forgets?: true): TopicStep => ({
  name,
  run,
  ...(forgets && { forgets }),
});

/** Messages from several hosts in a short time. */
function burst(world: TopicWorld, count: number, pause: number): void {
  for (let index = 0; index < count; index += 1)
    world.loop.after(index * pause, () => {
      const host = world.hosts[(index + count) % world.hosts.length] as Host;
      if (host.alive) world.publish(host);
    });
}

export const STEPS: readonly TopicStep[] = [
  step("publish", (world, host) => {
    if (host.alive) world.publish(host);
  }),
  step("burst", (world, _, __, number) => burst(world, 1 + (number % 6), 1 + (number % 5))),
  step("publish with except", (world, host, client) => {
    if (host.alive) world.publish(host, client);
  }),
  step("read", (world, _, client) => world.read(client)),
  step("all read", (world) => {
    for (const client of world.clients) world.read(client);
  }),
  step("join", (world, host, client, number) => world.join(client, host, [1_000, 2, 5][number % 3] as number)),
  step("join", (world, host, client, number) => world.join(client, host, [1_000, 2, 5][number % 3] as number)),
  step("client is cut", (_, __, client) => void client.member?.close()),
  step("cut", ({ server }, { node }) => server.cut(node)),
  step("false alarm", ({ server }, { node }) => server.suspect(node)),
  step("freeze", ({ server }) => void server.faults.freeze()),
  step("partition", ({ server }) => void server.faults.partition()),
  step("heal", ({ server }) => {
    void server.faults.thaw();
    void server.faults.heal();
  }),
  step("reads fail", ({ server }) => {
    server.failing = !server.failing;
  }),
  step("host dies", (world, host) => world.die(host)),
  step("host starts again", (world) => {
    for (const host of world.hosts) world.restart(host);
  }),
  step("roll back", ({ server }, _, __, number) => server.rollBack(1 + (number % 6)), true),
  step("start empty", ({ server }) => server.empty(), true),
  // A node may get what follows in the new history before it has compared its own last entry with it.
  step(
    "roll back, and publish when the nodes return",
    (world, _, __, number) => {
      world.server.rollBack(1 + (number % 4));
      world.loop.after(195 + (number % 20), () => burst(world, 8, 1 + (number % 9)));
    },
    true,
  ),
  // The only host that has seen an entry dies with it, and its client goes to another one.
  step(
    "failover of a host and the server",
    (world, host, client, number) => {
      world.read(client);
      world.die(host);
      world.server.rollBack(1 + (number % 3));
      const other = world.hosts.find(({ alive }) => alive);
      world.loop.after(250, () => {
        burst(world, 4, 2);
        if (other !== undefined) world.join(client, other, 1_000);
      });
    },
    true,
  ),
  // More messages than its send queue and, now and then, than the history has room for, its own among them.
  step("slow member", (world, host, client, number) => {
    const { loop } = world;
    world.join(client, host, 1 + (number % 3));
    loop.after(60, () => burst(world, 8 + (number % 40), 1 + (number % 3)));
    for (let count = 0; count < 3; count += 1)
      loop.after(70 + 12 * count, () => {
        if (host.alive) world.publish(host, client);
      });
    for (let count = 0; count < 6; count += 1) loop.after(80 + count * (5 + (number % 25)), () => world.read(client));
  }),
  // The last that a client knows is the place of its own message, which only its host has seen, and the server forgets.
  step(
    "failover behind an own message",
    (world, host, client, number) => {
      const { loop, server, hosts } = world;
      if (client.member === undefined || !host.topic.members.includes(client.member)) return;
      for (const { node } of hosts) if (node !== host.node) server.cut(node);
      world.publish(host, client);
      loop.after(100 + number, () => {
        if (world.calm) return;
        world.read(client);
        world.die(host);
        server.forget(1);
        loop.after(300, () => {
          burst(world, 4, 2);
          const other = hosts.find(({ alive }) => alive);
          if (other !== undefined) world.join(client, other, 1_000);
        });
      });
    },
    true,
  ),
];
