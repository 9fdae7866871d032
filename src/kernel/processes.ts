/** Reads Linux's `/proc`: the socket tables of a process's network namespace, and the processes that hold each socket. */

import { readdir, readFile, readlink } from "node:fs/promises";
import { TransportError } from "../base/errors.ts";
import { readSocketTables, type SocketRow, type WantedPorts } from "../transport/socket/socket-table.ts";

export const LINUX: boolean = process.platform === "linux";

/** A process and its use of file descriptors. */
export interface KernelProcess {
  readonly pid: number;
  /** Its command line; empty if it has none. */
  readonly command: string;
  /** File descriptors that it holds, of any kind. */
  readonly descriptors: number;
  /** Its limit of open file descriptors; `Infinity` if there is none, undefined if it is not readable. */
  readonly descriptorLimit: number | undefined;
}

/** The processes that hold each socket. */
export interface SocketHolders {
  /** Process ids by the socket's inode. */
  readonly byInode: ReadonlyMap<number, readonly number[]>;
  readonly processes: readonly KernelProcess[];
  /** Facts that this user may not read, one text each. */
  readonly unreadable: readonly string[];
}

/** The rows of the IPv4 and IPv6 tables, each socket once. Rejects with TransportError, ESRCH if the process does not exist. */
export async function readTables(pid: number | "any", wanted: WantedPorts): Promise<SocketRow[]> {
  const rows = await readSocketTables(pid === "any" ? "self" : pid, wanted).catch((error: NodeJS.ErrnoException) => {
    throw noProcess(error);
  });
  return withoutRepeats(rows);
}

/**
 * A table is read in several parts, and the kernel finds the beginning of a part by counting rows: a row is repeated if another one was
 * inserted before it meanwhile. Several listening sockets may have the same addresses, but not the same inode.
 */
export function withoutRepeats(rows: readonly SocketRow[]): SocketRow[] {
  const seen = new Map<string, SocketRow>();
  for (const row of rows) {
    const { localHost, localPort, remoteHost, remotePort, inode } = row;
    const key = `${localHost}|${localPort}|${remoteHost}|${remotePort}|${inode}`;
    seen.set(key, row);
  }
  return [...seen.values()];
}

/** Lists the file descriptors of one process, or of all. Rejects with TransportError, ESRCH if the process does not exist. */
export async function readHolders(pid: number | "any"): Promise<SocketHolders> {
  const byInode = new Map<number, number[]>();
  const processes: KernelProcess[] = [];
  const forbidden: number[] = [];
  const pids = pid === "any" ? (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number) : [pid];
  for (const each of pids) {
    try {
      const { process, inodes } = await readProcess(each);
      processes.push(process);
      for (const inode of inodes) byInode.set(inode, [...(byInode.get(inode) ?? []), each]);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EACCES" || code === "EPERM") forbidden.push(each);
      // With "any", a process that ends while it is being read is no error.
      else if (pid !== "any") throw noProcess(error as NodeJS.ErrnoException);
    }
  }
  return { byInode, processes, unreadable: describeUnreadable(pid, forbidden) };
}

async function readProcess(
  pid: number,
): Promise<{ readonly process: KernelProcess; readonly inodes: readonly number[] }> {
  const fds = await readdir(`/proc/${pid}/fd`);
  const links = await Promise.all(fds.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => "")));
  // Skips descriptors closed meanwhile. One of them is always the descriptor by which readdir() read the folder.
  const open = links.filter((link) => link !== "");
  const inodes = open.map((link) => Number(/^socket:\[(\d+)\]$/.exec(link)?.[1])).filter((inode) => inode > 0);
  const [limits, command] = await Promise.all(
    ["limits", "cmdline"].map((file) => readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "")),
  );
  const limit = /^Max open files\s+(\d+|unlimited)/m.exec(limits ?? "")?.[1];
  const process = {
    ...{ pid, descriptors: open.length },
    command: (command ?? "").split("\0").join(" ").trim(),
    descriptorLimit: limit === undefined ? undefined : limit === "unlimited" ? Infinity : Number(limit),
  };
  // A duplicated socket has several descriptors.
  return { process, inodes: [...new Set(inodes)] };
}

function describeUnreadable(pid: number | "any", forbidden: readonly number[]): string[] {
  if (forbidden.length === 0) return [];
  const privileges = "run as the same user, or as root";
  if (pid !== "any") return [`the descriptors of process ${pid} of another user: ${privileges}`];
  return [
    `the descriptors of ${forbidden.length} processes of other users, so their sockets are unknown: ${privileges}`,
  ];
}

function noProcess(error: NodeJS.ErrnoException): TransportError {
  const { code: errno = "EIO", syscall = "open" } = error;
  return new TransportError({ errno: errno === "ENOENT" ? "ESRCH" : errno, syscall }, { cause: error });
}
