/** A server that stops and starts again on the same port, and a recorder for the states of a reconnecting client. */

import { once } from "node:events";
import { createServer } from "node:net";
import { type Handler, type ListenOptions, listen, type ReconnectState, type Server } from "../../src/index.ts";
import { portOf } from "./raw-peer.ts";

/** Give `see` as the `state` hook. */
export class StateRecorder {
  readonly states: ReconnectState[] = [];
  #changed: () => void = () => undefined;

  readonly see = (state: ReconnectState): void => {
    this.states.push(state);
    this.#changed();
  };

  get names(): string {
    return this.states.map(({ name }) => name).join(" ");
  }

  /** Resolves once there is no connection. */
  async away(): Promise<void> {
    while (this.states.at(-1)?.name === "open") {
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  /** The `count`th state with that name, as soon as it was reported. */
  async until<N extends ReconnectState["name"]>(name: N, count = 1): Promise<Extract<ReconnectState, { name: N }>> {
    for (;;) {
      const found = this.states.filter((state) => state.name === name)[count - 1];
      if (found !== undefined) return found as Extract<ReconnectState, { name: N }>;
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }
}

/** A server of one port, which is there or not. */
export class RestartableServer implements AsyncDisposable {
  readonly url: string;
  server: Server | undefined;
  readonly #options: ListenOptions;
  readonly #handler: Handler | undefined;

  private constructor(server: Server, options: ListenOptions, handler: Handler | undefined) {
    this.url = server.url;
    this.server = server;
    this.#options = options;
    this.#handler = handler;
  }

  static async up(
    options: ListenOptions = {},
    handler?: Handler,
    url: string = "ws://127.0.0.1:0/",
  ): Promise<RestartableServer> {
    return new RestartableServer(await open(url, options, handler), options, handler);
  }

  get port(): number {
    return portOf(this);
  }

  /** Ends all connections at once, without a goodbye, and refuses new ones. */
  async crash(): Promise<void> {
    for (const connection of this.server?.connections ?? []) connection.terminate();
    await this.down();
  }

  async down(reason: Parameters<Server["close"]>[0] = {}): Promise<void> {
    await this.server?.close(reason);
    this.server = undefined;
  }

  async back(): Promise<void> {
    this.server = await open(this.url, this.#options, this.#handler);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down({ drain: 1_000 });
  }
}

async function open(url: string, options: ListenOptions, handler: Handler | undefined): Promise<Server> {
  return listen(url, { open: () => undefined, ...options }, handler);
}

/** A port of this machine on which no process listens. */
export async function deadPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return address.port;
}
