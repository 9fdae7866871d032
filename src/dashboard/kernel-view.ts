/** The socket of one connection in the kernel's table. */

import { formatIp, parseIp } from "../base/ip-address.ts";
import type { Connection } from "../core.ts";
import { LINUX, readTables } from "../kernel/processes.ts";
import type { SocketRow } from "../transport/socket/socket-table.ts";
import type { KernelRow } from "./feed.ts";

export class KernelView {
  /** The socket of the connection that a viewer has asked for last. */
  #last: { readonly id: number; readonly row: KernelRow | null } | undefined;
  #reading = false;

  /**
   * The socket of a connection, as it was when this was called last. Starts to read it again, because a reading takes a while and an
   * update must not wait.
   */
  rowOf(connection: Connection): KernelRow | null {
    const { id, localPort, remotePort } = connection;
    const known = this.#last?.id === id ? this.#last.row : null;
    if (!LINUX || localPort === undefined || remotePort === undefined || this.#reading) return known;
    this.#reading = true;
    const read = (row: KernelRow | null): void => {
      this.#last = { id, row };
      this.#reading = false;
    };
    readTables(process.pid, (local, remote) => local === localPort && remote === remotePort).then(
      (rows) => read(rowOfSocket(connection, rows)),
      // The tables are not readable here, as under Node's permission model.
      () => read(null),
    );
    return known;
  }
}

function rowOfSocket({ localAddress, remoteAddress }: Connection, rows: readonly SocketRow[]): KernelRow | null {
  const [local, remote] = [normal(localAddress), normal(remoteAddress)];
  const found = rows.find(({ localHost, remoteHost }) => normal(localHost) === local && normal(remoteHost) === remote);
  if (found === undefined) return null;
  const { state, sendQueue, receiveQueue, timer, retransmits, probes } = found;
  return { state, sendQueue, receiveQueue, timer, retransmits, probes };
}

function normal(address: string): string {
  const bytes = parseIp(address);
  return bytes === undefined ? address : formatIp(bytes);
}
