/** One connection through the chaos proxy: its two sockets, a pipe each way, and what becomes of one socket when the other ends. */

import type { Socket } from "node:net";
import type { SettledFaults } from "./chaos-faults.js";
import { Pipe, type PipeOwner } from "./chaos-pipe.js";

/** What a session needs of its proxy. */
export interface SessionOwner {
  readonly faults: SettledFaults;
  readonly random: () => number;
  passed(direction: "to-server" | "to-client", bytes: number): void;
  wasReset(): void;
}

export class ChaosSession implements PipeOwner {
  /** Resolves when both descriptors are free. */
  readonly closed: Promise<void>;
  readonly #owner: SessionOwner;
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #pipes: readonly [toServer: Pipe, toClient: Pipe];
  /** How often a second it was last agreed to be reset. */
  #rate = 0;
  #doom: NodeJS.Timeout | undefined;
  /** Those to whom the other's reset could not be passed on. */
  readonly #unaware: Set<Socket> = new Set();

  constructor(owner: SessionOwner, client: Socket, server: Socket) {
    this.#owner = owner;
    this.#client = client;
    this.#server = server;
    const toServer = new Pipe("to-server", client, server, this);
    const toClient = new Pipe("to-client", server, client, this);
    this.#pipes = [toServer, toClient];
    this.closed = Promise.all([this.#follow(client, server, toServer), this.#follow(server, client, toClient)]).then(
      () => clearTimeout(this.#doom),
    );
    this.changed();
  }

  get faults(): SettledFaults {
    return this.#owner.faults;
  }

  get random(): () => number {
    return this.#owner.random;
  }

  passed(direction: "to-server" | "to-client", bytes: number): void {
    this.#owner.passed(direction, bytes);
  }

  /** The faults are others now. */
  changed(): void {
    for (const pipe of this.#pipes) pipe.pump();
    for (const socket of this.#unaware) this.#tellReset(socket);
    const { resetRate } = this.faults;
    if (resetRate === this.#rate) return;
    this.#rate = resetRate;
    clearTimeout(this.#doom);
    if (resetRate === 0) return;
    // Times between chance events of a steady rate are distributed like this.
    const wait = (-Math.log(1 - this.random()) / resetRate) * 1_000;
    this.#doom = setTimeout(() => this.reset(), Math.min(wait, 2 ** 31 - 1));
  }

  reset(): void {
    if (this.#client.destroyed && this.#server.destroyed) return;
    this.#owner.wasReset();
    for (const socket of [this.#client, this.#server]) resetNow(socket);
  }

  fin(): void {
    for (const pipe of this.#pipes) pipe.end();
  }

  destroy(): void {
    for (const socket of [this.#client, this.#server]) socket.destroy();
  }

  /** Waits until `socket` is gone, and passes on to `other` how. */
  #follow(socket: Socket, other: Socket, pipe: Pipe): Promise<void> {
    let failed = false;
    socket.on("error", () => {
      failed = true;
    });
    return new Promise((resolve) => {
      socket.once("close", () => {
        // In order, each direction has had its FIN, and the pipes have seen to the rest.
        if (failed) {
          this.#unaware.add(other);
          this.#tellReset(other);
        } else if (!socket.readableEnded) {
          pipe.stop();
        }
        resolve();
      });
    });
  }

  #tellReset(socket: Socket): void {
    const pipe = this.#pipes[socket === this.#server ? 0 : 1];
    if (pipe.faults.blackhole) return;
    this.#unaware.delete(socket);
    resetNow(socket);
  }
}

function resetNow(socket: Socket): void {
  // One that is still being connected has nobody to send a reset to.
  if (socket.connecting) socket.destroy();
  else if (socket.destroyed) return;
  // Reset and then destroyed while its FIN is under way, a socket never says that it is gone, and keeps its descriptor.
  else if (socket.writableEnded && !socket.writableFinished) socket.once("finish", () => resetNow(socket));
  else socket.resetAndDestroy();
}
