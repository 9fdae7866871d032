/** Runs `ss` of iproute2, which asks the kernel for more about TCP sockets than Node can. */

import { execFile } from "node:child_process";
import { readlink } from "node:fs/promises";
import { promisify } from "node:util";
import { type SsRow, ssRows } from "./tcp-info.ts";

const run = promisify(execFile);

// Milliseconds. It takes 10 ms with few sockets, and less than a second with 100,000.
const TIMEOUT = 5_000;

// Bytes of output: about 100,000 sockets.
const MAX_OUTPUT = 67_108_864;

// TCP, all states, numbers instead of names, facts of TCP, inodes, no heading.
const FLAGS = ["-tanieH"];

/** Which sockets are wanted. */
export interface SsSubject {
  /** The process in whose network namespace ss looks; undefined for this process's own. */
  readonly pid: number | undefined;
  /** Undefined for all local ports. */
  readonly port: number | undefined;
}

/** Resolves with the rows; with a text that says why there are none, if ss is not installed or fails. */
export async function readSs({ pid, port }: SsSubject): Promise<readonly SsRow[] | string> {
  const filter = port === undefined ? [] : ["sport", "=", `:${port}`];
  const enter = pid === undefined || (await sharesNamespace(pid)) ? [] : ["nsenter", `--net=/proc/${pid}/ns/net`];
  const [program = "", ...args] = [...enter, "ss", ...FLAGS, ...filter];
  try {
    const env = { PATH: process.env["PATH"], LC_ALL: "C" };
    const { stdout } = await run(program, args, { env, timeout: TIMEOUT, maxBuffer: MAX_OUTPUT, encoding: "latin1" });
    const rows = ssRows(stdout);
    const established = rows.filter(({ state }) => state === "ESTAB");
    const told = established.length === 0 || established.some(({ info }) => info !== undefined);
    return told ? rows : "ss may not ask the kernel here";
  } catch (error) {
    return reasonOf(program, error as NodeJS.ErrnoException & { readonly killed?: boolean });
  }
}

function reasonOf(program: string, { code, killed }: NodeJS.ErrnoException & { readonly killed?: boolean }): string {
  if (code === "ENOENT") {
    return program === "ss"
      ? "ss is not installed (package iproute2)"
      : `the process has a network of its own, and ${program} is not installed`;
  }
  if (killed === true) return `${program} took longer than ${TIMEOUT / 1_000} s`;
  return program === "ss" ? `ss failed (${code})` : "the process has a network of its own, which only root may enter";
}

async function sharesNamespace(pid: number): Promise<boolean> {
  const [own, other] = await Promise.all(["self", pid].map((id) => readlink(`/proc/${id}/ns/net`).catch(() => "")));
  return own === other || other === "";
}
