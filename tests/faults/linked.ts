/** Two machines on a bad link, and connections between them. */

import type { Speech } from "../requirements/speech.js";
import { BadLink } from "./bad-link.js";
import { ASKS } from "./load.js";
import { Machine, type Order, type Part } from "./machine.js";
import type { Side } from "./network.js";

// JSON's word for `Infinity`.
export const NEVER: null = null;

/** No limit but those that a test adds. */
export const PATIENT: object = {
  ...{ heartbeat: { interval: NEVER }, idleTimeout: NEVER, writeTimeout: NEVER, messageTimeout: NEVER },
  ...{ pauseTimeout: NEVER, openTimeout: NEVER },
};

/** What both sides are to do, and within which limits. */
export interface Talk extends Pick<Order, "load"> {
  readonly limits?: object | Partial<Record<Side, object>>;
  readonly server?: Order["does"];
  readonly client?: Order["does"];
}

export class Linked implements AsyncDisposable {
  readonly link: BadLink;
  readonly server: Machine;
  readonly client: Machine;

  private constructor(link: BadLink, server: Machine, client: Machine) {
    this.link = link;
    this.server = server;
    this.client = client;
  }

  /** `hosts`: names that the client knows. */
  static async start(seed: number, hosts?: readonly string[]): Promise<Linked> {
    const link = await BadLink.build(seed);
    try {
      if (hosts !== undefined) link.hosts("client", hosts);
      const [server, client] = await Promise.all([Machine.start(link, "server"), Machine.start(link, "client")]);
      return new Linked(link, server, client);
    } catch (error) {
      await link[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Listens on the server. */
  async listening(
    { protocol, options }: Speech,
    does: Order["does"],
    limits: object,
    load?: Order["load"],
  ): Promise<Heard> {
    const part = this.server.do({
      ...{ kind: "listen", url: `${schemeOf(protocol)}://${this.link.address("server")}:0`, does },
      ...{ options: { ...PATIENT, ...options, ...limits }, ...(load !== undefined && { load }) },
    });
    return { part, url: (await part.until("listening")).url };
  }

  /** An open connection: what becomes of each end. */
  async joined(
    speech: Speech,
    { limits = {}, server = "nothing", client = "nothing", load }: Talk,
  ): Promise<Record<Side, Part>> {
    const heard = await this.listening(speech, server, limitsOf(limits, "server"), load);
    const part = this.client.do({
      ...{ kind: "connect", url: heard.url, does: client, ...(load !== undefined && { load }) },
      options: { ...PATIENT, ...speech.options, ...limitsOf(limits, "client") },
    });
    await Promise.all([part.until("open"), heard.part.until("open")]);
    return { server: heard.part, client: part };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.server[Symbol.asyncDispose](), this.client[Symbol.asyncDispose]()]);
    await this.link[Symbol.asyncDispose]();
  }
}

/** Somebody who listens, and where. */
export interface Heard {
  readonly part: Part;
  readonly url: string;
}

/** A heartbeat, on TCP with a message to ask with. */
export function beating({ protocol }: Speech, interval: number, timeout: number): object {
  return { heartbeat: { interval, timeout, ...(protocol === "tcp" && { message: ASKS }) } };
}

/** Resolves when so many more packets have passed. */
export async function carried({ link }: Linked, packets: number): Promise<void> {
  const { passed: before } = await link.counts();
  // The link tells only who asks.
  while ((await link.counts()).passed < before + packets) await new Promise((resolve) => setTimeout(resolve, 20));
}

function limitsOf(limits: NonNullable<Talk["limits"]>, side: Side): object {
  return "server" in limits || "client" in limits ? ((limits as Partial<Record<Side, object>>)[side] ?? {}) : limits;
}

const schemeOf = (protocol: Speech["protocol"]): string => (protocol === "tcp" ? "tcp" : "ws");
