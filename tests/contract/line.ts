/** A pair of transports whose events are witnessed, and which at its end has kept the order that is promised. */

import assert from "node:assert/strict";
import type { TransportError } from "../../src/index.js";
import type { Transport, TransportEvents } from "../../src/transport/transport.js";
import { openSockets } from "../descriptors.js";

/** Opens a pair of transports, each the other's peer; neither has been opened for events. */
export type OpenPair = () => Promise<readonly [local: Transport, peer: Transport]>;

/** More bytes than the kernels' buffers hold, so that they wait for a peer that does not read. */
export const LARGE = 16_777_216;

const PATTERN = new Uint8Array(LARGE);
const words = new Uint32Array(PATTERN.buffer);
for (let word = 0; word < words.length; word += 1) words[word] = word * 2_654_435_761;

/** Bytes that tell when one is missing, doubled or in another's place. */
export function pattern(size: number): Uint8Array {
  return PATTERN.slice(0, size);
}

/** Long enough for what would be wrong to happen: some turns of the event loop. */
export async function turns(count = 30): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate);
}

type EventName = "data" | "written" | "ended" | "closed";

/** Writes down everything that one end is told. */
export class Witness implements TransportEvents {
  readonly log: EventName[] = [];
  error: TransportError | undefined;
  size = 0;
  onData: ((chunk: Uint8Array) => void) | undefined;
  onEnded: (() => void) | undefined;
  readonly #chunks: Buffer[] = [];
  #changed: () => void = () => undefined;

  data(chunk: Uint8Array): void {
    this.#chunks.push(Buffer.from(chunk));
    this.size += chunk.length;
    this.#note("data");
    this.onData?.(chunk);
  }

  written(): void {
    this.#note("written");
  }

  /** Writes to its own end. The kernel has the bytes when the answer or an event says so, and both are noted the same. */
  write(transport: Transport, bytes: Uint8Array): void {
    if (transport.write(bytes)) this.written();
  }

  ended(): void {
    this.#note("ended");
    this.onEnded?.();
  }

  closed(error: TransportError | undefined): void {
    this.error = error;
    this.#note("closed");
  }

  get received(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  count(name: EventName): number {
    return this.log.filter((one) => one === name).length;
  }

  /** Resolves once `condition` holds, which is asked at each event; fails if the end comes before. */
  async until(condition: (witness: Witness) => boolean): Promise<void> {
    while (!condition(this)) {
      assert.equal(this.count("closed"), 0, `closed with ${this.error} before what was expected`);
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  /** Resolves when the end has come. */
  end(): Promise<void> {
    return this.until((witness) => witness.count("closed") > 0);
  }

  /** What holds for everything that is told, at whatever end. */
  assertOrder(): void {
    assert.equal(this.count("closed"), 1, "closed is told once");
    assert.equal(this.log.at(-1), "closed", "closed is told last");
    assert.ok(this.count("ended") <= 1, "ended is told once");
    if (this.count("ended") === 1)
      assert.ok(this.log.indexOf("ended") > this.log.lastIndexOf("data"), "data, then ended");
  }

  #note(name: EventName): void {
    this.log.push(name);
    this.#changed();
  }
}

export class Line implements AsyncDisposable {
  readonly local: Transport;
  readonly peer: Transport;
  readonly atLocal: Witness = new Witness();
  readonly atPeer: Witness = new Witness();
  readonly #before: number;
  #localOpened = false;
  #peerOpened = false;

  private constructor(local: Transport, peer: Transport, before: number) {
    this.local = local;
    this.peer = peer;
    this.#before = before;
  }

  static async of(open: OpenPair): Promise<Line> {
    const before = openSockets();
    const [local, peer] = await open();
    return new Line(local, peer, before);
  }

  openLocal(): void {
    this.#localOpened = true;
    this.local.open(this.atLocal);
  }

  openPeer(): void {
    this.#peerOpened = true;
    this.peer.open(this.atPeer);
  }

  /** Makes one write from the local end. */
  write(bytes: Uint8Array): void {
    this.atLocal.write(this.local, bytes);
  }

  /** Makes one write from the peer's end. */
  writeBack(bytes: Uint8Array): void {
    this.atPeer.write(this.peer, bytes);
  }

  /** Writes all bytes from the local end, one write at a time. */
  send(bytes: Uint8Array): Promise<void> {
    return writeAll(this.local, this.atLocal, bytes);
  }

  /** Writes all bytes from the peer's end. */
  reply(bytes: Uint8Array): Promise<void> {
    return writeAll(this.peer, this.atPeer, bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#localOpened) this.openLocal();
    if (!this.#peerOpened) this.openPeer();
    this.local.abort();
    this.peer.abort();
    await Promise.all([this.atLocal.end(), this.atPeer.end()]);
    // Whatever would come behind the end has time to.
    await turns(5);
    this.atLocal.assertOrder();
    this.atPeer.assertOrder();
    assert.equal(openSockets(), this.#before, "every descriptor is free");
  }
}

/** A line both of whose ends have been opened. */
export async function opened(start: () => Promise<Line>): Promise<Line> {
  const line = await start();
  line.openLocal();
  line.openPeer();
  return line;
}

async function writeAll(transport: Transport, witness: Witness, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; at += 65_536) {
    const written = witness.count("written");
    witness.write(transport, bytes.subarray(at, at + 65_536));
    await witness.until((later) => later.count("written") > written);
  }
}
