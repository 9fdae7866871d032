/** Chooses the transport of a stream: a fast one if its self-test has passed, else the public transport. */

import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { warnOfFallback } from "../internals/fallback-warning.ts";
import { MemoryStream } from "../memory-stream.ts";
import { SocketTransport } from "../socket/socket.ts";
import type { Transport } from "../transport.ts";
import { testFastTransport } from "./self-test.ts";
import { SelfTestImpossible } from "./self-test-events.ts";
import { testSharedTlsHandle } from "./self-test-tls.ts";
import { SharedHandleTransport } from "./shared-handle.ts";
import { FastTransport } from "./transport.ts";

// The fast transport reads all sockets into one buffer. This needs a kernel that reports when there is something to read.
// Windows does not.
const PLATFORM_SUPPORTED =
  ["linux", "darwin"].includes(process.platform) && !("bun" in process.versions || "deno" in process.versions);

/** The properties of an address on which the choice of the transport depends. */
interface AddressKind {
  readonly secure: boolean;
  readonly socketPath: string | undefined;
}

/** A self-test that runs once per process, before the first connection that needs its result. */
class Choice {
  passed = false;
  readonly #test: () => Promise<void>;
  readonly #name: string;
  #running: Promise<void> | undefined;

  constructor(name: string, test: () => Promise<void>) {
    this.#name = name;
    this.#test = test;
  }

  /** Never rejects. */
  prepare(): Promise<void> {
    this.#running ??= this.#run();
    return this.#running;
  }

  async #run(): Promise<void> {
    try {
      await this.#test();
      this.passed = true;
    } catch (error) {
      if (error instanceof SelfTestImpossible) this.#running = undefined;
      else warnOfFallback("HOLDFAST_FAST_TRANSPORT", this.#name, error);
    }
  }
}

const onTcp = new Choice("fast transport", testFastTransport);
const onTls = new Choice("fast transport on TLS", testSharedTlsHandle);

/** Runs the self-test of the transport for such an address, once per process. Never rejects. */
export async function prepareTransports({ secure, socketPath }: AddressKind): Promise<void> {
  if (socketPath !== undefined || !PLATFORM_SUPPORTED || process.env["HOLDFAST_TRANSPORT"] === "socket") return;
  await (secure ? onTls : onTcp).prepare();
}

/** True if new connections on plain TCP use the fast transport. */
export function usesFastTransport(): boolean {
  return onTcp.passed;
}

/** True if a server with these options can take accepted connections as handles. Valid after `prepareTransports` has resolved. */
export function canTakeHandles({ secure, socketPath }: AddressKind): boolean {
  return onTcp.passed && !secure && socketPath === undefined;
}

/**
 * Returns the transport of `stream`, and takes ownership of the stream. `head` holds bytes that were read after an upgrade
 * request or response. They are delivered first.
 */
export function transportOf(stream: Duplex, head?: Uint8Array): Transport {
  return (onTcp.passed ? FastTransport.fromStream(stream, head) : undefined) ?? sharedTransportOf(stream, head);
}

/**
 * As `transportOf`, for a stream that the application may keep: it can destroy it, end it and wait for its `close`. If the self-test
 * has not run yet, this starts it, and the stream gets the public transport.
 */
export function sharedTransportOf(stream: Duplex, head?: Uint8Array): Transport {
  if (stream instanceof MemoryStream) return stream.toTransport(head);
  const secure = "encrypted" in stream;
  const { passed } = secure ? onTls : onTcp;
  if (!passed && stream instanceof Socket) void prepareTransports({ secure, socketPath: undefined });
  return (passed ? SharedHandleTransport.fromStream(stream, head) : undefined) ?? new SocketTransport(stream, head);
}
