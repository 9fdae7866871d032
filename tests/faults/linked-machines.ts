/** Two machines on a bad link, and connections between them. */

import type { WireProtocol } from "../kit/wire-protocols.ts";
import { BadLink } from "./bad-link.ts";
import { ASKS } from "./load.ts";
import { Machine, type Order, type Part } from "./machine.ts";
import type { Side } from "./network.ts";

// `Infinity` in JSON.
export const NEVER: null = null;

/** No limit except those that a test adds. */
export const PATIENT: object = {
  ...{ heartbeat: { interval: NEVER }, idleTimeout: NEVER, writeTimeout: NEVER, messageTimeout: NEVER },
  ...{ pauseTimeout: NEVER, openTimeout: NEVER },
};

/** The actions and the limits of both sides. */
export interface Talk extends Pick<Order, "load"> {
  readonly limits?: object | Partial<Record<Side, object>>;
  readonly server?: Order["does"];
  readonly client?: Order["does"];
}

export class LinkedMachines implements AsyncDisposable {
  readonly link: BadLink;
  readonly server: Machine;
  readonly client: Machine;

  private constructor(link: BadLink, server: Machine, client: Machine) {
    this.link = link;
    this.server = server;
    this.client = client;
  }

  /** `hosts`: names in /etc/hosts of the client. */
  static async start(seed: number, hosts?: readonly string[]): Promise<LinkedMachines> {
    const link = await BadLink.build(seed);
    try {
      if (hosts !== undefined) link.hosts("client", hosts);
      const [server, client] = await Promise.all([Machine.start(link, "server"), Machine.start(link, "client")]);
      return new LinkedMachines(link, server, client);
    } catch (error) {
      await link[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Listens on the server. */
  async listening(
    { protocol, options }: WireProtocol,
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

  /** An open connection: the ends of both sides. */
  async joined(
    wire: WireProtocol,
    { limits = {}, server = "nothing", client = "nothing", load }: Talk,
  ): Promise<Record<Side, Part>> {
    const heard = await this.listening(wire, server, limitsOf(limits, "server"), load);
    const part = this.client.do({
      ...{ kind: "connect", url: heard.url, does: client, ...(load !== undefined && { load }) },
      options: { ...PATIENT, ...wire.options, ...limitsOf(limits, "client") },
    });
    await Promise.all([part.until("open"), heard.part.until("open")]);
    return { server: heard.part, client: part };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.server[Symbol.asyncDispose](), this.client[Symbol.asyncDispose]()]);
    await this.link[Symbol.asyncDispose]();
  }
}

/** A listener, and its port. */
export interface Heard {
  readonly part: Part;
  readonly url: string;
}

/** A heartbeat; on TCP with a message. */
export function beating({ protocol }: WireProtocol, interval: number, timeout: number): object {
  return { heartbeat: { interval, timeout, ...(protocol === "tcp" && { message: ASKS }) } };
}

/** Resolves when this many more packets have passed. */
export async function carried({ link }: LinkedMachines, packets: number): Promise<void> {
  const { passed: before } = await link.counts();
  // The link reports counts only on request.
  while ((await link.counts()).passed < before + packets) await new Promise((resolve) => setTimeout(resolve, 20));
}

function limitsOf(limits: NonNullable<Talk["limits"]>, side: Side): object {
  return "server" in limits || "client" in limits ? ((limits as Partial<Record<Side, object>>)[side] ?? {}) : limits;
}

const schemeOf = (protocol: WireProtocol["protocol"]): string => (protocol === "tcp" ? "tcp" : "ws");
