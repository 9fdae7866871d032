/** Opens the inspector of a Node process by a signal, finds its port, and closes it again. */

import { readFile, readlink } from "node:fs/promises";
import { get } from "node:http";
import { basename } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { joinHostPort } from "../../../base/host-port.ts";
import { TransportError } from "../../../index.ts";
import { type KernelSocket, KernelSockets } from "../../../kernel/index.ts";
import { UsageError } from "../../flags.ts";
import { DevTools } from "./dev-tools.ts";

// Node listens there unless `--inspect-port` says another port.
const USUAL_PORT = 9_229;

// Milliseconds from the signal to the listening inspector. It takes 50 ms, and some seconds if the processors are very busy. An
// inspector that opens later stays open.
const OPEN_TIMEOUT = 10_000;
const CLOSE_TIMEOUT = 2_000;
const POLL = 20;

// An HTTP answer that is longer or later is none of an inspector.
const LIST_TIMEOUT = 2_000;
const MAX_LIST = 65_536;

/** An inspector that listens. */
export interface Inspector {
  readonly pid: number;
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** True if it listened before: it is then not closed. */
  readonly wasOpen: boolean;
}

/**
 * Opens the inspector of a process, or finds the one that is open. Rejects with UsageError if the process does not exist, is no
 * Node process, belongs to another user, or does not handle SIGUSR1, which would then end it; and if no inspector appears.
 */
export async function openInspector(pid: number, signal: AbortSignal): Promise<Inspector> {
  const sockets = new KernelSockets({ pid });
  // Also rejects for processes that do not exist or belong to other users.
  const { listening: before, command } = await listeningOf(sockets, pid);
  await judgeProgram(pid);
  // Node takes an option of the command line before the same one of NODE_OPTIONS.
  const options = `${command} ${await nodeOptionsOf(pid)}`;
  const port = Number(/--inspect\S*[=:](\d{1,5})\b/.exec(options)?.[1] ?? USUAL_PORT);
  // Only where an inspector is expected: to other servers of the process, the question would be a wrong request.
  const anywhere = /--inspect(-brk|-wait)?(?![-\w])/.test(options);
  const expected = before.filter(({ localPort }) => anywhere || localPort === port);
  const urls = await Promise.all(expected.map((socket) => inspectorAt(socket, signal)));
  for (const [at, socket] of expected.entries()) {
    const url = urls[at];
    if (url !== undefined) return inspectorOf(pid, socket, url, true);
  }
  await judgeSignal(pid);
  await judgePort(pid, port);
  process.kill(pid, "SIGUSR1");
  const until = performance.now() + OPEN_TIMEOUT;
  const known = new Set(before.map(({ inode }) => inode));
  // From here on the inspector may be open, so it is also waited for after Ctrl+C: what is not found cannot be closed.
  while (performance.now() < until) {
    const { listening } = await listeningOf(sockets, pid);
    for (const socket of listening.filter(({ inode }) => !known.has(inode))) {
      const url = await inspectorAt(socket);
      if (url !== undefined) return inspectorOf(pid, socket, url, false);
      // The process itself has begun to listen meanwhile.
      known.add(socket.inode);
    }
    await pause(POLL);
  }
  throw new UsageError(
    `process ${pid} has opened no inspector within ${OPEN_TIMEOUT / 1_000} s: its program handles SIGUSR1 itself, or its inspector listens on another port already`,
  );
}

/**
 * Closes the inspector. `session` is used if it still works, else a new one. Resolves with false if the inspector still listens
 * after `CLOSE_TIMEOUT`.
 */
export async function closeInspector(inspector: Inspector, session: DevTools | undefined): Promise<boolean> {
  const sessions = [async () => session, () => DevTools.open(inspector.url)];
  for (const open of sessions) {
    await using devTools = await open().catch(() => undefined);
    // The inspector closes after this call, and waits for the end of this connection, which follows at once.
    const called = devTools?.evaluate('setImmediate(() => load("inspector").close())');
    if (called !== undefined && (await called.then(() => true).catch(() => false))) break;
  }
  const until = performance.now() + CLOSE_TIMEOUT;
  const sockets = new KernelSockets({ pid: inspector.pid });
  for (;;) {
    // A process that has ended has no inspector either.
    const { listening } = await listeningOf(sockets, inspector.pid).catch(() => ({ listening: [] }));
    if (!listening.some(({ localPort }) => localPort === inspector.port)) return true;
    if (performance.now() > until) return false;
    await pause(POLL);
  }
}

function inspectorOf(pid: number, { localAddress, localPort }: KernelSocket, url: string, wasOpen: boolean): Inspector {
  return { pid, url, host: localAddress, port: localPort, wasOpen };
}

interface Listening {
  readonly listening: readonly KernelSocket[];
  readonly command: string;
}

async function listeningOf(sockets: KernelSockets, pid: number): Promise<Listening> {
  const report = await sockets.read().catch((error: unknown) => {
    if (error instanceof TransportError && error.errno === "ESRCH") throw new UsageError("the process does not exist");
    throw error;
  });
  if (!report.supported) throw new UsageError(report.reason);
  if (report.unreadable.length > 0) throw new UsageError(`cannot read ${report.unreadable.join()}`);
  const command = report.processes.find((process) => process.pid === pid)?.command ?? "";
  return { listening: report.sockets.filter(({ state }) => state === "LISTEN"), command };
}

/** The value of NODE_OPTIONS that the process was started with; empty if there is none. */
async function nodeOptionsOf(pid: number): Promise<string> {
  const environment = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
  return /(?:^|\0)NODE_OPTIONS=([^\0]*)/.exec(environment)?.[1] ?? "";
}

/** Refuses programs that have no inspector: for them SIGUSR1 may mean anything. */
async function judgeProgram(pid: number): Promise<void> {
  const program = basename(await readlink(`/proc/${pid}/exe`).catch(() => ""));
  if (!program.startsWith("node"))
    throw new UsageError(`cannot attach to process ${pid}: its program is ${program || "unknown"}, expected node`);
  if (pid === process.pid) throw new UsageError("cannot attach to the process of this command");
}

/** Refuses processes that SIGUSR1 would end, and those that cannot handle it now. */
async function judgeSignal(pid: number): Promise<void> {
  const status = await readFile(`/proc/${pid}/status`, "latin1");
  const caught = BigInt(`0x${/^SigCgt:\s*([\da-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  // SIGUSR1 is signal 10; bit 0 is signal 1. There are machines where it has another number, but no Node for them.
  if ((caught & 0x200n) === 0n)
    throw new UsageError(
      `cannot attach to process ${pid}: it does not handle SIGUSR1 (--disable-sigusr1), so that the signal would end it`,
    );
  if (/^State:\s*[TtZ]/m.test(status)) throw new UsageError(`cannot attach to process ${pid}: it is stopped`);
}

/** Refuses if another process has the port, so that Node could not open its inspector. */
async function judgePort(pid: number, port: number): Promise<void> {
  if (port === 0) return;
  const report = await new KernelSockets({ pid: "any", port }).read();
  const sockets = report.supported ? report.sockets : [];
  const other = sockets.find(
    ({ state, localAddress, pids }) =>
      state === "LISTEN" && ["127.0.0.1", "0.0.0.0", "::"].includes(localAddress) && !pids.includes(pid),
  );
  if (other === undefined) return;
  // No process is known for a socket of another user, and for one that was opened while the processes were read.
  const holder = other.pids.length === 0 ? "another process" : `process ${other.pids.join(" and ")}`;
  throw new UsageError(
    `cannot attach to process ${pid}: port ${port}, which its inspector needs, is taken by ${holder}`,
  );
}

/** The address of the inspector that listens on this socket; undefined if there is none. */
async function inspectorAt(
  { localAddress, localPort }: KernelSocket,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const host = localAddress === "0.0.0.0" ? "127.0.0.1" : localAddress === "::" ? "::1" : localAddress;
  const list = await textAt(host, localPort, signal).catch(() => "");
  // Of the address only the id is taken, so that nothing can lead elsewhere.
  const id = /"webSocketDebuggerUrl":\s*"ws:\/\/[^"/]+\/([\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})"/.exec(list)?.[1];
  return id === undefined ? undefined : `ws://${joinHostPort(host, localPort)}/${id}`;
}

function textAt(host: string, port: number, signal?: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const limit = AbortSignal.timeout(LIST_TIMEOUT);
    const either = signal === undefined ? limit : AbortSignal.any([signal, limit]);
    const request = get({ host, port, path: "/json/list", agent: false, signal: either }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
        if (text.length > MAX_LIST) request.destroy(new Error("the answer is too long"));
      });
      response.on("end", () => resolve(text)).on("error", reject);
    });
    request.on("error", reject);
  });
}
