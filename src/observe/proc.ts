/** Linux's `/proc`: the tables of sockets of a process's network namespace, and who holds which. */

import { readdir, readFile, readlink } from "node:fs/promises";
import { endianness } from "node:os";
import { TransportError } from "../base/errors.js";
import { type SocketRow, socketRows, type WantedPorts } from "../transport/socket-table.js";

export const LINUX: boolean = process.platform === "linux";

const LITTLE_ENDIAN = endianness() === "LE";

/** A process, and how many files it may open. */
export interface KernelProcess {
  readonly pid: number;
  /** Its command line, as far as it has one. */
  readonly command: string;
  /** Descriptors that it holds, of any kind. */
  readonly descriptors: number;
  /** How many it may hold; `Infinity` for any number, undefined where it may not be seen. */
  readonly descriptorLimit: number | undefined;
}

/** Who holds which socket. */
export interface Holders {
  readonly byInode: ReadonlyMap<number, readonly number[]>;
  readonly processes: readonly KernelProcess[];
  /** What may not be seen, in a sentence each. */
  readonly hidden: readonly string[];
}

/** The rows of both families. */
export async function tables(pid: number | "any", wanted: WantedPorts): Promise<SocketRow[]> {
  const folder = `/proc/${pid === "any" ? "self" : pid}/net`;
  const texts = await Promise.all([
    readFile(`${folder}/tcp`, "latin1"),
    // A kernel without IPv6 has none.
    readFile(`${folder}/tcp6`, "latin1").catch(() => ""),
  ]).catch((error: NodeJS.ErrnoException) => {
    throw noProcess(error);
  });
  return texts.flatMap((text) => socketRows(text, LITTLE_ENDIAN, wanted));
}

/** Looks through the descriptors of one process, or of all. */
export async function holders(pid: number | "any"): Promise<Holders> {
  const byInode = new Map<number, number[]>();
  const processes: KernelProcess[] = [];
  const shut: number[] = [];
  const pids = pid === "any" ? (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number) : [pid];
  for (const each of pids) {
    try {
      const { process, inodes } = await look(each);
      processes.push(process);
      for (const inode of inodes) byInode.set(inode, [...(byInode.get(inode) ?? []), each]);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EACCES" || code === "EPERM") shut.push(each);
      // Processes end while they are being looked at.
      else if (pid !== "any") throw noProcess(error as NodeJS.ErrnoException);
    }
  }
  return { byInode, processes, hidden: hiddenBecause(pid, shut) };
}

async function look(pid: number): Promise<{ readonly process: KernelProcess; readonly inodes: readonly number[] }> {
  const fds = await readdir(`/proc/${pid}/fd`);
  const links = await Promise.all(fds.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => "")));
  // Those that were closed meanwhile, the one by which the folder was read among them, lead nowhere.
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
  // A socket that has been duplicated has several descriptors.
  return { process, inodes: [...new Set(inodes)] };
}

function hiddenBecause(pid: number | "any", shut: readonly number[]): string[] {
  if (shut.length === 0) return [];
  const privileges = "run as the same user, or as root";
  if (pid !== "any") return [`the descriptors of process ${pid}, which is another user's: ${privileges}`];
  return [`the descriptors of ${shut.length} processes of other users, and so which sockets are theirs: ${privileges}`];
}

function noProcess(error: NodeJS.ErrnoException): TransportError {
  const { code: errno = "EIO", syscall = "open" } = error;
  return new TransportError({ errno: errno === "ENOENT" ? "ESRCH" : errno, syscall }, { cause: error });
}
