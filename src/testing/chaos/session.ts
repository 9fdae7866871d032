/** One connection through the chaos proxy: two sockets, one pipe per direction, and the forwarding of resets. */

import type { Socket } from "node:net";
import { clearTimeout, setTimeout } from "../../transport/timers.ts";
import type { SettledFaults } from "./faults.ts";
import { Pipe, type PipeOwner } from "./pipe.ts";

/** The state and the callbacks that a session uses of its proxy. */
export interface SessionOwner {
  readonly faults: SettledFaults;
  readonly random: () => number;
  forwarded(direction: "to-server" | "to-client", bytes: number): void;
  countReset(): void;
}

export class ChaosSession implements PipeOwner {
  /** Resolves when both file descriptors are closed. */
  readonly closed: Promise<void>;
  readonly #owner: SessionOwner;
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #pipes: readonly [toServer: Pipe, toClient: Pipe];
  /** The `resetRate` for which `#resetTimer` was armed. */
  #rate = 0;
  #resetTimer: NodeJS.Timeout | undefined;
  /** Sockets whose other side ended by an error, while a black hole keeps the reset from being forwarded. */
  readonly #resetWithheld: Set<Socket> = new Set();

  constructor(owner: SessionOwner, client: Socket, server: Socket) {
    this.#owner = owner;
    this.#client = client;
    this.#server = server;
    const toServer = new Pipe("to-server", client, server, this);
    const toClient = new Pipe("to-client", server, client, this);
    this.#pipes = [toServer, toClient];
    this.closed = Promise.all([
      this.#forwardEnd(client, server, toServer),
      this.#forwardEnd(server, client, toClient),
    ]).then(() => clearTimeout(this.#resetTimer));
    this.changed();
  }

  get faults(): SettledFaults {
    return this.#owner.faults;
  }

  get random(): () => number {
    return this.#owner.random;
  }

  forwarded(direction: "to-server" | "to-client", bytes: number): void {
    this.#owner.forwarded(direction, bytes);
  }

  /** Applies changed faults. */
  changed(): void {
    for (const pipe of this.#pipes) pipe.pump();
    for (const socket of this.#resetWithheld) this.#forwardReset(socket);
    const { resetRate } = this.faults;
    if (resetRate === this.#rate) return;
    this.#rate = resetRate;
    clearTimeout(this.#resetTimer);
    if (resetRate === 0) return;
    // Intervals between random events of a constant rate have an exponential distribution.
    const wait = (-Math.log(1 - this.random()) / resetRate) * 1_000;
    this.#resetTimer = setTimeout(() => this.reset(), Math.min(wait, 2 ** 31 - 1));
  }

  reset(): void {
    if (this.#client.destroyed && this.#server.destroyed) return;
    this.#owner.countReset();
    for (const socket of [this.#client, this.#server]) resetNow(socket);
  }

  fin(): void {
    for (const pipe of this.#pipes) pipe.end();
  }

  destroy(): void {
    for (const socket of [this.#client, this.#server]) socket.destroy();
  }

  /** Resolves when `socket` is closed. If it ended by an error, `other` is reset. */
  #forwardEnd(socket: Socket, other: Socket, pipe: Pipe): Promise<void> {
    let failed = false;
    socket.on("error", () => {
      failed = true;
    });
    return new Promise((resolve) => {
      socket.once("close", () => {
        // After an orderly end both FINs were received, and the pipes forward the rest.
        if (failed) {
          this.#resetWithheld.add(other);
          this.#forwardReset(other);
        } else if (!socket.readableEnded) {
          pipe.stop();
        }
        resolve();
      });
    });
  }

  #forwardReset(socket: Socket): void {
    const pipe = this.#pipes[socket === this.#server ? 0 : 1];
    if (pipe.faults.blackhole) return;
    this.#resetWithheld.delete(socket);
    resetNow(socket);
  }
}

function resetNow(socket: Socket): void {
  // A socket that is still connecting has no peer for a reset.
  if (socket.connecting) socket.destroy();
  else if (socket.destroyed) return;
  // Node: resetAndDestroy() while the FIN is being written never emits `close`, and keeps the descriptor. So wait for `finish`.
  else if (socket.writableEnded && !socket.writableFinished) socket.once("finish", () => resetNow(socket));
  else socket.resetAndDestroy();
}
