/** Three simulated hosts, each with a hub, code that follows the topic, and members; one server; and clients that move between hosts. */

import { ClosedError, type Gap, Hub, type Topic, type TopicEncoder, type TopicEntry } from "../../../src/index.ts";
import type { FaultyNode } from "../../broker/faulty-node.ts";
import { Client, ENCODER, Member } from "../../hub/clients.ts";
import type { Entropy } from "../entropy.ts";
import { numbers } from "../entropy.ts";
import type { VirtualLoop } from "../loop.ts";
import type { Oracle } from "../oracle.ts";
import { RecordedServer } from "./server.ts";

const HOSTS = 3;
const LARGE = 10_000;
const SMALL = 12;
/** How long a member stays that is there only at the start of a host, in milliseconds. */
const VISIT = 3_000;
/** The memory of a hub for about ten messages, in bytes. */
const LITTLE = 3_000;
/** The broker recognises an id for two minutes. */
const RETRY_FOR = 90_000;

/** A process with a hub. It is replaced by another one when it dies. */
export interface Host {
  readonly name: string;
  node: FaultyNode;
  hub: Hub;
  topic: Topic;
  /** What the code of the server follows, in all lives of the host: it stores its position. */
  readonly follower: Client;
  readonly followed: (TopicEntry | Gap)[];
  alive: boolean;
  lives: number;
}

export class TopicWorld {
  readonly loop: VirtualLoop;
  readonly oracle: Oracle;
  readonly server: RecordedServer;
  readonly hosts: readonly Host[];
  readonly clients: readonly Client[];
  /** True if the server may forget what it has confirmed. */
  readonly forgets: boolean;
  readonly messages: number;
  /** What each hub may hold in memory, in bytes. */
  readonly memory: number;
  readonly confirmed: Set<string> = new Set();
  /** A number from 0 to 1 that is no choice. */
  readonly noise: () => number;
  /** The share of entries that are lost on their way to a node. */
  losing = 0.15;
  #published = 0;
  /** True when there are no more faults. */
  calm = false;
  /** Publications without an outcome. */
  pending = 0;
  /** That of the clients. It judges each gap at the moment at which a hub tells it. */
  readonly #encoder: TopicEncoder = {
    ...ENCODER,
    gap: (gap) => {
      this.#judgeGap(gap);
      return ENCODER.gap?.(gap);
    },
    joined: (topic, position, gap) => {
      if (gap !== undefined) this.#judgeGap(gap);
      return ENCODER.joined?.(topic, position, gap);
    },
  };

  constructor(loop: VirtualLoop, oracle: Oracle, entropy: Entropy) {
    this.loop = loop;
    this.oracle = oracle;
    this.forgets = entropy.pick(2) === 1;
    this.messages = entropy.pick(3) === 2 ? SMALL : LARGE;
    this.noise = numbers(entropy.pick(2 ** 30));
    this.memory = this.noise() < 0.25 ? LITTLE : 2 ** 30;
    const longest = [2, 20, 60][entropy.pick(3)] as number;
    this.server = new RecordedServer(
      {
        clock: loop,
        delay: () => 1 + Math.floor(this.noise() * longest),
        loses: () => this.losing > 0 && this.noise() < this.losing,
      },
      () => this.noise() < 0.5,
      ({ ask }) => oracle.note("server", `${ask} ${this.server.tip?.offset ?? 0}`),
    );
    this.hosts = Array.from({ length: HOSTS }, (_, index) => this.#host(`host ${index}`));
    this.clients = Array.from({ length: 4 }, (_, index) => new Client(`client ${index}`, this.server));
    for (const host of this.hosts) void this.#follow(host);
  }

  /** True if each hub has in memory all that the history has. */
  get remembers(): boolean {
    return this.memory > LITTLE;
  }

  /** True if no reader may have a gap. */
  get lossless(): boolean {
    return !this.forgets && this.messages === LARGE;
  }

  #host(name: string): Host {
    const node = this.server.node();
    const hub = this.#hub(node);
    const topic = this.#topic(hub);
    return { name, node, hub, topic, follower: new Client(name, this.server), followed: [], alive: true, lives: 1 };
  }

  #hub(broker: FaultyNode): Hub {
    const onError = (error: unknown): void => this.oracle.wrong("T6 error", String(error));
    return new Hub({
      broker,
      clock: this.loop,
      random: this.noise,
      encoder: this.#encoder,
      onError,
      maxHistoryBytes: this.memory,
    });
  }

  #topic(hub: Hub): Topic {
    return hub.topic("room", { history: { messages: this.messages, bytes: 64 * 1024 * 1024, age: 3_600_000 } });
  }

  async #follow({ name, topic, follower, followed }: Host): Promise<void> {
    try {
      follower.position ??= await topic.position();
      for await (const one of topic.follow({ after: follower.position })) {
        followed.push(one);
        this.oracle.note(name, one.type === "gap" ? `gap ${one.reason}` : `${one.offset} ${one.message}`);
        this.check("T1 what a follower gets", () => {
          if (one.type === "gap") {
            this.#judgeGap(one);
            follower.hearGap(one);
          } else follower.hearMessage(String(one.message), one.position);
        });
      }
    } catch (error) {
      if (!(error instanceof ClosedError)) this.oracle.wrong("T6 error", String(error));
    }
  }

  /** A history gives all that it has: a gap of a trimmed one ends before the oldest entry that is kept. */
  #judgeGap(gap: Gap): void {
    if (gap.reason !== "trimmed") return;
    const trimmed = Math.max(this.server.highest(gap.to.epoch) - this.messages, 0);
    if (gap.to.offset > trimmed)
      this.oracle.wrong(
        "T2 a gap that is larger than needed",
        `${JSON.stringify(gap)}: the log has all behind ${trimmed}`,
      );
  }

  /** A promise that is broken by an assertion that fails. */
  check(rule: string, judge: () => void): void {
    try {
      judge();
    } catch (error) {
      this.oracle.wrong(rule, (error as Error).message);
    }
  }

  publish(host: Host, client?: Client): string {
    this.#published += 1;
    const text = `m${this.#published}`;
    const member = client?.member;
    const own = member !== undefined && host.topic.members.includes(member);
    if (own) {
      member.excepted.add(text);
      client?.excepted.add(text);
    }
    this.pending += 1;
    void this.#publish(host, text, own ? member : undefined).finally(() => {
      this.pending -= 1;
    });
    return text;
  }

  /** Publishes messages from a hub that is there only for them. */
  publishElsewhere(count: number): void {
    const hub = this.#hub(this.server.node());
    const topic = this.#topic(hub);
    const all = Array.from({ length: count }, async () => {
      this.#published += 1;
      const text = `m${this.#published}`;
      await topic.publish(text, { id: text, timeout: 1_000 });
      this.confirmed.add(text);
    });
    void Promise.allSettled(all).then(() => hub.close());
  }

  /** Publishes until it is confirmed, if the server forgets nothing. */
  async #publish(host: Host, text: string, except: Member | undefined): Promise<void> {
    const { time } = this.loop;
    for (let turn = 0; ; turn += 1) {
      const at = host.alive || except !== undefined ? host : (this.hosts[turn % HOSTS] as Host);
      if (at.alive) {
        try {
          await at.topic.publish(text, { id: text, timeout: 1_000, ...(except && { except }) });
          this.confirmed.add(text);
          return;
        } catch {
          // Repeated below.
        }
      } else if (except !== undefined) return;
      if (this.forgets || this.loop.time - time > RETRY_FOR) return;
      await this.loop.sleep(300);
    }
  }

  join(client: Client, host: Host, room: number): void {
    void client.member?.close();
    if (!host.alive) return;
    const member = new Member(client, room);
    client.member = member;
    const { position } = client;
    host.topic.join(member, { timeout: Infinity, ...(position && { after: position }) }).then(
      ({ resumed }) => this.oracle.note(client.name, `joined ${host.name} ${resumed}`),
      (error: unknown) => {
        if (!(error instanceof ClosedError)) this.oracle.wrong("T6 error", String(error));
      },
    );
  }

  read(client: Client): void {
    this.check("T2 what a member gets", () => client.member?.read());
    this.oracle.note(client.name, `${client.position?.epoch} ${client.position?.offset}`);
  }

  die(host: Host): void {
    if (!host.alive) return;
    host.alive = false;
    // The connection to the broker first: what is on its way there is lost.
    void host.node.close();
    for (const { member } of this.clients)
      if (member !== undefined && host.topic.members.includes(member)) void member.close();
    void host.hub.close();
  }

  restart(host: Host): void {
    if (host.alive) return;
    host.node = this.server.node();
    host.hub = this.#hub(host.node);
    host.topic = this.#topic(host.hub);
    host.alive = true;
    host.lives += 1;
    const { lives } = host;
    if (this.noise() < 0.5) {
      void this.#follow(host);
      return;
    }
    // A member without a position comes first: so the hub does not read the whole history at once.
    const visitor = new Member(new Client("visitor", this.server), LARGE);
    host.topic.join(visitor, { timeout: Infinity }).catch(() => undefined);
    this.loop.after(VISIT, () => void visitor.close());
    this.loop.after(this.noise() * 50, () => {
      if (host.alive && host.lives === lives) void this.#follow(host);
    });
  }
}
