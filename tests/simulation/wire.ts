/** What the transport of each connection in memory did and when, seen from outside of the library. */

import { MemoryTransport } from "../../src/transport/memory.ts";
import type { Endpoints, TransportEvents } from "../../src/transport/transport.ts";
import type { VirtualLoop } from "./loop.ts";

export class Wire {
  /** When the connection, after its handshake, took the transport. */
  openedAt = 0;
  /** When bytes were last received, or the peer was last seen to read. */
  heardAt = 0;
  /** When bytes were last received. */
  dataAt = 0;
  received = 0;
  /** Bytes that the connection has written since its handshake. */
  written = 0;
  /** When the write began that the kernel has not wholly accepted. */
  writingSince: number | undefined;
  /** When the kernel last accepted a write or the peer acknowledged bytes. */
  progressAt = 0;
  finAt: number | undefined;
  pausedSince: number | undefined;
  /** When the last pause began, also if it has ended. */
  pausedAt: number | undefined;
  resumedAt = 0;
  closedAt: number | undefined;
  /** The number of `closed` events. */
  closings = 0;
  owners = 0;
  reset = false;
}

let wires = new Map<string, Wire>();
let all: { readonly key: string; readonly wire: Wire }[] = [];
let byTransport = new WeakMap<MemoryTransport, Wire>();
let loop: VirtualLoop | undefined;

/** Begins with a new world. */
export function watchWires(clock: VirtualLoop): void {
  loop = clock;
  wires = new Map();
  all = [];
  byTransport = new WeakMap();
}

/** The transport with these addresses. */
/** The addresses of one end of a wire. */
type Ends = Pick<Endpoints, "localAddress" | "localPort" | "remoteAddress" | "remotePort">;

/** The name of a wire at one of its ends: `10.0.0.1:40000>10.0.0.2:80`. */
export function wireName({ localAddress, localPort, remoteAddress, remotePort }: Ends): string {
  return `${localAddress}:${localPort}>${remoteAddress}:${remotePort}`;
}

export function wireOf(ends: Ends): Wire | undefined {
  return wires.get(wireName(ends));
}

export const allWires = (): readonly { readonly key: string; readonly wire: Wire }[] => all;

const { prototype } = MemoryTransport;
const { open, write, pause, resume } = prototype;

prototype.open = function (events: TransportEvents): void {
  const now = loop?.time ?? 0;
  let wire = byTransport.get(this);
  if (wire === undefined) {
    wire = new Wire();
    byTransport.set(this, wire);
    const key = wireName(this.endpoints);
    wires.set(key, wire);
    all.push({ key, wire });
  }
  wire.owners += 1;
  wire.openedAt = now;
  wire.heardAt = now;
  wire.dataAt = now;
  wire.received = 0;
  wire.written = 0;
  wire.progressAt = now;
  wire.pausedSince = undefined;
  wire.writingSince = undefined;
  wire.finAt = undefined;
  open.call(this, watched(wire, events));
};

prototype.write = function (bytes: Uint8Array): boolean {
  const wire = byTransport.get(this);
  if (wire !== undefined) {
    wire.writingSince = loop?.time;
    wire.written += bytes.length;
  }
  return write.call(this, bytes);
};

prototype.pause = function (): void {
  const wire = byTransport.get(this);
  if (wire !== undefined) {
    // Reading may go on with bytes that are here already, and stop again.
    wire.pausedSince = loop?.time;
    wire.pausedAt = wire.pausedSince;
  }
  pause.call(this);
};

prototype.resume = function (): void {
  const wire = byTransport.get(this);
  if (wire !== undefined) {
    wire.pausedSince = undefined;
    wire.resumedAt = loop?.time ?? 0;
  }
  resume.call(this);
};

function watched(wire: Wire, events: TransportEvents): TransportEvents {
  const now = (): number => loop?.time ?? 0;
  return {
    data: (chunk) => {
      wire.heardAt = now();
      wire.dataAt = now();
      wire.received += chunk.length;
      events.data(chunk);
    },
    written: () => {
      wire.heardAt = now();
      wire.progressAt = now();
      wire.writingSince = undefined;
      events.written();
    },
    fin: () => {
      wire.finAt ??= now();
      events.fin();
    },
    finSeen: () => {
      wire.finAt ??= now();
      events.finSeen?.();
    },
    acknowledged: () => {
      wire.heardAt = now();
      wire.progressAt = now();
      events.acknowledged?.();
    },
    closed: (error) => {
      wire.closings += 1;
      wire.closedAt ??= now();
      wire.reset ||= error !== undefined;
      events.closed(error);
    },
  };
}
