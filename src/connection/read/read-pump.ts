/** Feeds received bytes to the decoder, and pauses reading while the application does not take the messages. */

import type { Instant } from "../../base/time.ts";
import type { Decoder, Visitor } from "../../engine/protocol.ts";
import type { Transport } from "../../transport/transport.ts";
import type { SettledOptions } from "../options.ts";
import type { Protocol } from "../protocol.ts";

/** The connection of a `ReadPump`. It is also the visitor of the decoded frames. */
export interface ReadPumpOwner extends Visitor {
  readonly protocol: Protocol;
  readonly transport: Transport;
  readonly options: SettledOptions;
  /** True if further bytes from the peer have no effect. */
  readonly discardsInput: boolean;
  /** True if the application takes no further message. */
  readonly isEnding: boolean;
  /** True if the inbox has no room for another message. */
  readonly inboxFull: boolean;
  /** Number of whole messages in the chunk so far. The visitor counts them. */
  arrived: number;
  /** Messages have arrived. */
  messagesArrived(): void;
  /** A chunk was decoded. `underWay`: it ended inside a message. `completed`: it ended at least one message. */
  chunkDecoded(now: Instant, underWay: boolean, completed: boolean): void;
  /** Reading has stopped, or continues. */
  readingStopped(now: Instant): void;
  readingResumed(now: Instant): void;
  clearPauseTimer(): void;
  /** Messages sent between `cork` and `uncork` leave in one write. */
  cork(): void;
  uncork(): void;
  paused(): void;
  resumed(): void;
}

// While pooled it has no owner, and no method may be called.
const NO_OWNER = undefined as unknown as ReadPumpOwner;

export class ReadPump {
  readonly decoder: Decoder;
  #owner: ReadPumpOwner;
  /** Received bytes that are not decoded yet. */
  #undecoded: Uint8Array | undefined;
  #paused = false;
  /** True after `stop`: nothing more is read. */
  #stopped = false;
  /** True while a chunk is being decoded. */
  #decoding = false;
  /** True if the last chunk ended inside a message. */
  #insideMessage = false;

  constructor(owner: ReadPumpOwner) {
    this.decoder = owner.protocol.decoder();
    this.#owner = owner;
  }

  /** True if received bytes are not decoded yet. */
  get pending(): boolean {
    return this.#undecoded !== undefined || this.#isInflating();
  }

  /** The memory that received bytes take before they are a message, in bytes. */
  get heldBytes(): number {
    return this.decoder.heldBytes + (this.#undecoded?.length ?? 0) + (this.#owner.protocol.inflater?.heldBytes ?? 0);
  }

  /** True if this object is in its initial state: another connection may use it. */
  get isInitial(): boolean {
    return !this.#decoding && !this.#paused && !this.#insideMessage && !this.pending;
  }

  /** Assigns this object to `owner`. Without an owner it is pooled. */
  setOwner(owner: ReadPumpOwner = NO_OWNER): void {
    this.#owner = owner;
  }

  receive(chunk: Uint8Array, now: Instant): void {
    const owner = this.#owner;
    if (owner.discardsInput) return;
    const wasDecoding = this.#decoding;
    this.#decoding = true;
    owner.arrived = 0;
    // Messages sent while the chunk is decoded leave in one write at its end.
    owner.cork();
    const end = this.decoder.receive(chunk, 0, owner);
    this.#insideMessage = this.decoder.partial.received > 0;
    owner.chunkDecoded(now, this.#insideMessage, owner.arrived > 0);
    if (owner.arrived > 0) owner.messagesArrived();
    if (!owner.isEnding && (owner.inboxFull || this.#isInflating())) {
      // The chunk belongs to the transport, so the undecoded rest must be copied.
      if (end < chunk.length) this.#undecoded = Uint8Array.from(chunk.subarray(end));
      this.#pause();
    }
    owner.uncork();
    this.#decoding = wasDecoding;
  }

  /** The peer has ended: delivers a message that the end of the stream completes. */
  end(now: Instant): void {
    const owner = this.#owner;
    if (!this.#insideMessage || this.decoder.end === undefined || owner.discardsInput) return;
    owner.arrived = 0;
    owner.cork();
    this.decoder.end(owner);
    this.#insideMessage = this.decoder.partial.received > 0;
    owner.chunkDecoded(now, this.#insideMessage, owner.arrived > 0);
    if (owner.arrived > 0) owner.messagesArrived();
    owner.uncork();
  }

  /** Another thread has decompressed a message: delivers it, and continues with the bytes behind it. */
  inflated(deliver: () => void): void {
    const owner = this.#owner;
    owner.cork();
    deliver();
    owner.uncork();
    if (!owner.inboxFull) this.continue();
  }

  /** The inbox has room again: continues if reading was paused. Returns true if it was paused. */
  continue(): boolean {
    const { options, transport } = this.#owner;
    if (!this.#paused || this.#isInflating()) return false;
    if (this.#stopped && this.#undecoded === undefined) return false;
    this.#paused = false;
    const now = options.clock.now();
    this.#owner.readingResumed(now);
    this.#owner.resumed();
    const undecoded = this.#undecoded;
    this.#undecoded = undefined;
    if (undecoded !== undefined) this.receive(undecoded, now);
    if (this.#paused) return true;
    if (this.#stopped) this.#stopReading();
    else transport.resume();
    return true;
  }

  /** Stops reading until `continue`. The application is not the cause, so `pauseTimeout` does not apply. */
  hold(): void {
    if (!this.#stopped) this.#stopReading();
  }

  /** Stops reading. Received bytes are still decoded when there is room for their messages. */
  stop(): void {
    this.#stopped = true;
    if (!this.#paused) this.#stopReading();
  }

  /** Reads again after `stop`. */
  resume(): void {
    this.#stopped = false;
    this.continue();
  }

  /** Discards received bytes that are not a message yet. Nothing is decoded afterwards. */
  discard(): void {
    this.#undecoded = undefined;
    this.decoder.discard();
  }

  #stopReading(): void {
    this.#pause();
    // The application is not the cause of this pause, so `pauseTimeout` does not apply.
    this.#owner.clearPauseTimer();
  }

  #isInflating(): boolean {
    return this.#owner.protocol.inflater?.busy === true;
  }

  #pause(): void {
    const { options, transport } = this.#owner;
    if (this.#paused) return;
    this.#paused = true;
    transport.pause();
    this.#owner.readingStopped(options.clock.now());
    this.#owner.paused();
  }
}
