/** The interface between a connection and its byte stream: received bytes as events, writes as calls, and one final `closed`. */

import type { TransportError } from "../base/errors.ts";

/** Events of a transport. The connection implements them. */
export interface TransportEvents {
  /**
   * Received bytes. Valid during the call only: the receiver may change them in place (unmasking) and must not keep them. Not
   * called while the transport is paused.
   */
  data(chunk: Uint8Array): void;
  /** The kernel has all bytes of the `write` that returned false. */
  written(): void;
  /** The peer's FIN was read: no data follows. This side can still write. */
  fin(): void;
  /**
   * The kernel has the peer's FIN, behind bytes that are unread because of the pause. This is not the end of the stream: `ended`
   * follows after `resume`, when the bytes before the FIN are read. Called at most once per pause, and only where the kernel can
   * be queried: on Linux, and by the memory pair.
   */
  finSeen?(): void;
  /**
   * The peer's TCP has acknowledged bytes of this side. Called only while `follow` is on, and only where the kernel can be
   * queried: on Linux, and by the memory pair.
   */
  acknowledged?(): void;
  /** The file descriptor is free. Called exactly once, as the last event. `error` is the reason if an error ended the stream. */
  closed(error: TransportError | undefined): void;
}

/** The two addresses of a transport. */
export interface Endpoints {
  /** The IP address, such as `127.0.0.1` or `::1`, or an empty string if there is no address. */
  readonly localAddress: string;
  readonly localPort: number | undefined;
  readonly remoteAddress: string;
  readonly remotePort: number | undefined;
  /** True if the bytes are encrypted on the network (TLS). */
  readonly secure: boolean;
}

/** The endpoints of a stream without addresses, such as a unix socket. */
export const NO_ENDPOINTS: Endpoints = Object.freeze({
  localAddress: "",
  localPort: undefined,
  remoteAddress: "",
  remotePort: undefined,
  secure: false,
});

/**
 * A byte stream in both directions between this process and one peer. Every implementation passes `tests/contract`.
 *
 * A faster transport can be added behind this interface, because the connection uses nothing else. A connection has at most one
 * write in progress and passes no callback per write.
 */
export interface Transport {
  readonly endpoints: Endpoints;
  /** Starts the events. No event is reported before this call. */
  open(events: TransportEvents): void;
  /**
   * Writes bytes. Returns true if the kernel has all of them on return. If it returns false, the caller must not change the bytes
   * and must not write again until `written`. A failure is reported by `closed` and never thrown.
   */
  write(bytes: Uint8Array): boolean;
  /** True if the last write returned false. Only of transports on which this is likely for the next one too, such as TLS. */
  readonly lastWriteWaited?: boolean;
  /** Stops `data` events immediately. The transport itself stops reading soon after. */
  pause(): void;
  resume(): void;
  /**
   * Turns periodic kernel queries on or off. They find out whether the peer acknowledges written bytes, and cost little, but not
   * nothing.
   */
  watchAcknowledgements?(wanted: boolean): void;
  /**
   * Calls `call` once, as soon as the peer's TCP has acknowledged all but `atMost` of the written bytes, with the number of
   * unacknowledged bytes. Not before this call returns. A later call
   * replaces an earlier one. Returns false if the kernel cannot be queried.
   */
  whenAcknowledged?(atMost: number, call: (unacknowledged: number) => void): boolean;
  /** Sends this side's FIN after the written bytes (half-close). Reading continues. */
  end(): void;
  /**
   * Ends both directions immediately, with a TCP reset where the stream can send one. Bytes that are not yet delivered are lost.
   * `closed` follows.
   */
  abort(): void;
  /**
   * Frees the file descriptor immediately, without a reset: the kernel still delivers the bytes that it has, and this side's FIN.
   * Call it only if nothing is left to write and nothing is left to read, because the kernel answers unread bytes with a reset.
   * `closed` follows.
   */
  release(): void;
  /**
   * Sets whether the open transport keeps the process alive. The default is true, and it also holds while the transport is
   * paused.
   */
  ref(wanted: boolean): void;
  /** Bytes passed to `write` that the kernel does not have yet. */
  readonly queuedBytes: number;
}
