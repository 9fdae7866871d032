/** A pair of transports whose events are recorded. At its end it asserts the order that the contract demands. */

import assert from "node:assert/strict";
import type { TransportError } from "../../src/index.ts";
import type { Transport, TransportEvents } from "../../src/transport/transport.ts";
import { openSockets } from "./kernel-sockets.ts";
import { turns } from "./loop-turns.ts";

/** Creates two connected transports. `open` has not been called on them. */
export type OpenPair = () => Promise<readonly [local: Transport, peer: Transport]>;

/** More bytes than the buffers of the kernels hold, so that they wait for a peer that does not read. */
export const LARGE = 16_777_216;

const PATTERN = new Uint8Array(LARGE);
const words = new Uint32Array(PATTERN.buffer);
for (let word = 0; word < words.length; word += 1) words[word] = word * 2_654_435_761;

/** Bytes that differ by position, so that missing, duplicated or moved bytes are detected. */
export function pattern(size: number): Uint8Array {
  return PATTERN.slice(0, size);
}

type EventName = "data" | "written" | "ended" | "closed";

/** Records all events of one end. */
export class EventRecorder implements TransportEvents {
  readonly log: EventName[] = [];
  error: TransportError | undefined;
  size = 0;
  onData: ((chunk: Uint8Array) => void) | undefined;
  onEnded: (() => void) | undefined;
  onWritten: (() => void) | undefined;
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
    this.onWritten?.();
  }

  /** Writes to its own end. The result of `write` and the `written` event are recorded in the same way. */
  write(transport: Transport, bytes: Uint8Array): void {
    if (transport.write(bytes)) this.written();
  }

  fin(): void {
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

  /** Resolves when `condition` is true. Checks it at each event. Fails if the transport closes before. */
  async until(condition: (recorder: EventRecorder) => boolean): Promise<void> {
    while (!condition(this)) {
      assert.equal(this.count("closed"), 0, `closed with ${this.error} before what was expected`);
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  /** Resolves when the transport has closed. */
  end(): Promise<void> {
    return this.until((recorder) => recorder.count("closed") > 0);
  }

  /** Asserts the order of all events. */
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

export class TransportPair implements AsyncDisposable {
  readonly local: Transport;
  readonly peer: Transport;
  readonly atLocal: EventRecorder = new EventRecorder();
  readonly atPeer: EventRecorder = new EventRecorder();
  readonly #before: number;
  #localOpened = false;
  #peerOpened = false;

  private constructor(local: Transport, peer: Transport, before: number) {
    this.local = local;
    this.peer = peer;
    this.#before = before;
  }

  static async of(open: OpenPair): Promise<TransportPair> {
    const before = openSockets();
    const [local, peer] = await open();
    return new TransportPair(local, peer, before);
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
    // Wrong events after the end have time to occur.
    await turns(5);
    this.atLocal.assertOrder();
    this.atPeer.assertOrder();
    assert.equal(openSockets(), this.#before, "every descriptor is free");
  }
}

/** A line with both ends opened. */
export async function opened(start: () => Promise<TransportPair>): Promise<TransportPair> {
  const line = await start();
  line.openLocal();
  line.openPeer();
  return line;
}

async function writeAll(transport: Transport, recorder: EventRecorder, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; at += 65_536) {
    const written = recorder.count("written");
    recorder.write(transport, bytes.subarray(at, at + 65_536));
    await recorder.until((later) => later.count("written") > written);
  }
}
