/** A machine of a memory network: its kernel's sockets and bound addresses, which outlive a process. */

import { MemoryTransport } from "../../transport/memory.ts";
import type { Endpoints } from "../../transport/transport.ts";
import type { ConnectionPath, NetworkLink } from "./link.ts";

// The first port that the kernel chooses itself (RFC 6335 section 6).
const FIRST_FREE = 49_152;
const LAST_PORT = 65_535;

/** A bound address. */
export interface Listener {
  /** True while the process that has bound it is frozen. */
  readonly frozen: () => boolean;
  /** Passes an open connection to the process. Until then it does not count as accepted. */
  accept(end: MemoryTransport): void;
  /** The kernel has freed the socket of a connection. */
  delete(end: MemoryTransport): void;
  /** Frees the address. */
  close(): void;
}

export class Machine {
  readonly name: string;
  readonly address: string;
  /** By port, or by the path of a unix socket. */
  readonly listeners: Map<number | string, Listener> = new Map();
  /** The sockets that are not closed. */
  readonly ends: Set<MemoryTransport> = new Set();
  /** The sockets of a frozen process. A socket that was reset meanwhile is closed, and the process does not know it yet. */
  readonly frozen: Set<MemoryTransport> = new Set();
  running: boolean = true;
  #port = FIRST_FREE - 1;

  constructor(name: string, address: string) {
    this.name = name;
    this.address = address;
  }

  /** Returns a port that no server has bound. */
  freePort(): number {
    do {
      this.#port = this.#port === LAST_PORT ? FIRST_FREE : this.#port + 1;
    } while (this.listeners.has(this.#port));
    return this.#port;
  }

  freeze(end: MemoryTransport): void {
    end.freeze();
    this.frozen.add(end);
  }

  thaw(): void {
    const frozen = [...this.frozen];
    this.frozen.clear();
    for (const end of frozen) end.thaw();
  }

  crash(): void {
    this.running = false;
    this.listeners.clear();
    for (const end of [...this.ends]) end.vanish();
  }
}

/** One side of a new connection. */
export interface LinkEnd {
  readonly machine: Machine;
  readonly endpoints: Endpoints;
  /** The link from this side to the other. */
  readonly link: NetworkLink;
  readonly frozen: boolean;
  /** Called when the kernel has freed the socket. */
  readonly freed?: (end: MemoryTransport) => void;
}

/** Creates the sockets of a connection. `paths` are those from the first side, and to it. */
export function join(
  sides: readonly [LinkEnd, LinkEnd],
  paths: readonly [ConnectionPath, ConnectionPath],
): [MemoryTransport, MemoryTransport] {
  const reset = (): void => {
    for (const end of ends) end.fail("ECONNRESET");
  };
  let open = 2;
  const noResets = sides.map(({ link }) => link.onReset(reset));
  const create = ({ machine, endpoints, frozen, freed }: LinkEnd, path: (typeof paths)[0]): MemoryTransport => {
    const end: MemoryTransport = new MemoryTransport(path, endpoints, () => {
      machine.ends.delete(end);
      freed?.(end);
      open -= 1;
      if (open === 0) for (const off of noResets) off();
    });
    machine.ends.add(end);
    if (frozen) machine.freeze(end);
    return end;
  };
  const ends: [MemoryTransport, MemoryTransport] = [create(sides[0], paths[0]), create(sides[1], paths[1])];
  ends[0].setPeer(ends[1]);
  ends[1].setPeer(ends[0]);
  return ends;
}
