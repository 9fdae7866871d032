/** The socket of an attacker: it sends without limit, and the test decides when it reads. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { closeCodeIn, type Frame, FrameReader } from "../kit/frames.ts";
import { RawPeer, upgradeRequest } from "../kit/raw-peer.ts";

/** Longer than any attack. A socket that waits in vain is then destroyed, so that its test fails and cleans up. */
const PATIENCE = 120_000;

export class Attacker extends RawPeer {
  constructor(socket: Socket) {
    super(socket);
    const patience = setTimeout(() => socket.destroy(), PATIENCE);
    void this.closed.then(() => clearTimeout(patience));
  }

  /** Connects, and sends nothing yet. */
  static override async to(port: number): Promise<Attacker> {
    const attacker = new Attacker(connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true }));
    await once(attacker.socket, "connect");
    return attacker;
  }

  /** Connects, and upgrades to WebSocket. */
  static async on(port: number): Promise<Attacker> {
    const attacker = await Attacker.to(port);
    attacker.socket.write(upgradeRequest());
    await attacker.until(() => attacker.bytes.includes("\r\n\r\n"));
    assert.match(attacker.bytes.toString("latin1"), /^HTTP\/1\.1 101 [\s\S]*\r\n\r\n$/);
    attacker.take();
    attacker.received = 0;
    return attacker;
  }

  get over(): boolean {
    return this.socket.destroyed;
  }

  get frames(): Frame[] {
    return new FrameReader().push(this.bytes);
  }

  /** The code of the received Close frame; 1005 if it has none, undefined if none was received. */
  get closeCode(): number | undefined {
    return closeCodeIn(this.bytes);
  }

  /** Sends `bytes` this many times, as fast as they are accepted, or until the socket ends. Returns the number of times. */
  async flood(bytes: Uint8Array, times: number): Promise<number> {
    for (let sent = 0; sent < times; sent += 1) {
      if (this.over) return sent;
      if (!this.socket.write(bytes)) await this.#drained();
    }
    return times;
  }

  /** Sends at least `count` of them, many per write. Returns the number. */
  async floodOf(unit: Uint8Array, count: number): Promise<number> {
    const units = Math.max(1, Math.floor(65_536 / unit.length));
    const bytes = Buffer.concat(new Array<Uint8Array>(units).fill(unit));
    return units * (await this.flood(bytes, Math.ceil(count / units)));
  }

  /** Resolves when `condition` holds, or when it cannot hold any more because a FIN was received. */
  override async until(condition: (peer: RawPeer) => boolean): Promise<void> {
    while (!condition(this) && !this.over && !this.ended) await this.change();
  }

  /** Waits for the other side's FIN or reset, and ends this side too. */
  async cut(): Promise<void> {
    await this.until(() => this.ended);
    this.socket.end();
    await this.closed;
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.socket.off("drain", done).off("close", done);
        resolve();
      };
      this.socket.on("drain", done).on("close", done);
    });
  }
}
