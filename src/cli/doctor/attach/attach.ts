/** `holdfast doctor --attach`: asks the objects of a Node process why its sockets have faults. */

import { readdir, readlink } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import type { AgedSocket } from "../aged-sockets.ts";
import type { Finding } from "../diagnosis.ts";
import { addressKey } from "../tcp-info.ts";
import { type Opening, readFacts, readOpenings } from "./answers.ts";
import { DevTools, InspectorError } from "./dev-tools.ts";
import { type Explanation, explain } from "./explanation.ts";
import {
  ACTIVE_HANDLES,
  type InsideFacts,
  recordOpenings,
  socketFacts,
  stopRecording,
  type WantedSocket,
} from "./inside.ts";
import { closeInspector, type Inspector, openInspector } from "./inspector.ts";

// Sockets of one finding that are explained, so that the answer stays small.
const MAX_SOCKETS = 10_000;

// Milliseconds after which a recording ends by itself, if this process has ended without stopping it.
const GRACE = 5_000;

export interface AttachSubject {
  readonly pid: number;
  /** Milliseconds for which sockets that are opened are recorded; 0 for not at all. */
  readonly recordFor: number;
  /** True to search all objects for the sockets that the active handles do not have. */
  readonly heap: boolean;
}

export interface Inside {
  readonly pid: number;
  readonly explanations: readonly Explanation[];
  /** Undefined if nothing was recorded. */
  readonly opened: readonly Opening[] | undefined;
}

/**
 * Explains the sockets of the findings. The inspector is closed before this resolves or rejects, also if `signal` aborts; one that
 * was open before stays open. Rejects with UsageError as `openInspector`, and with InspectorError or an error of the connection if
 * the inspector does not answer as expected.
 */
export async function explainFromInside(
  subject: AttachSubject,
  findings: readonly Finding[],
  signal: AbortSignal,
): Promise<Inside> {
  const { pid, recordFor } = subject;
  const inspector = await openInspector(pid, signal);
  let devTools: DevTools | undefined;
  try {
    signal.throwIfAborted();
    devTools = await DevTools.open(inspector.url, signal);
    const explanations = await explanationsOf(devTools, subject, findings);
    const opened = recordFor === 0 ? undefined : await openingsIn(devTools, recordFor, signal);
    return { pid, explanations, opened };
  } finally {
    await leave(inspector, devTools);
  }
}

async function leave(inspector: Inspector, devTools: DevTools | undefined): Promise<void> {
  if (inspector.wasOpen) await devTools?.[Symbol.asyncDispose]();
  else if (!(await closeInspector(inspector, devTools))) {
    const { pid, host, port } = inspector;
    throw new InspectorError(`cannot close the inspector of process ${pid}: it still listens on ${host} port ${port}`);
  }
}

async function explanationsOf(
  devTools: DevTools,
  { pid, heap }: AttachSubject,
  findings: readonly Finding[],
): Promise<Explanation[]> {
  const fds = await descriptorsOf(pid);
  const held = findings.map(({ kind, sockets }) => ({
    kind,
    sockets: sockets.slice(0, MAX_SOCKETS).flatMap((socket: AgedSocket) => {
      const fd = fds.get(socket.inode);
      return fd === undefined || socket.state === "LISTEN" ? [] : [{ socket, fd }];
    }),
  }));
  const wanted = held.flatMap(({ sockets }) => sockets.map(({ fd, socket }) => ({ fd, key: keyOf(socket) })));
  const facts = wanted.length === 0 ? new Map<number, InsideFacts>() : await factsOf(devTools, wanted, heap);
  return held.flatMap(({ kind, sockets }) =>
    explain(
      kind,
      sockets.map((one) => ({ ...one, facts: facts.get(one.fd) })),
    ),
  );
}

function keyOf({ localAddress, localPort, remoteAddress, remotePort }: AgedSocket): string {
  return addressKey(localAddress, localPort, remoteAddress, remotePort);
}

/** File descriptors by the inode of the socket. */
async function descriptorsOf(pid: number): Promise<ReadonlyMap<number, number>> {
  const fds = await readdir(`/proc/${pid}/fd`);
  const links = await Promise.all(
    fds.map(async (fd) => {
      const link = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => "");
      return [Number(/^socket:\[(\d+)\]$/.exec(link)?.[1] ?? 0), Number(fd)] as const;
    }),
  );
  return new Map(links.filter(([inode]) => inode > 0));
}

async function factsOf(
  devTools: DevTools,
  wanted: readonly WantedSocket[],
  heap: boolean,
): Promise<ReadonlyMap<number, InsideFacts>> {
  const facts = readFacts(await devTools.call(await devTools.evaluate(ACTIVE_HANDLES), socketFacts, wanted));
  const rest = wanted.filter(({ fd }) => facts.get(fd)?.hidden ?? true);
  if (!heap || rest.length === 0) return facts;
  const sockets = await devTools.objectsOf(await devTools.evaluate('load("net").Socket.prototype'));
  return new Map([...facts, ...readFacts(await devTools.call(sockets, socketFacts, rest))]);
}

/** Records the sockets that are opened from now on. `signal` ends the recording earlier. */
async function openingsIn(devTools: DevTools, length: number, signal: AbortSignal): Promise<Opening[]> {
  const recording = await devTools.callForObject(
    await devTools.evaluate('load("diagnostics_channel")'),
    // The module is `this` there, so that one call passes it on.
    `function (longest) { return (${recordOpenings})(this, longest); }`,
    length + GRACE,
  );
  if (recording === undefined) throw new InspectorError("the answer has no recording");
  await pause(length, undefined, { signal });
  return readOpenings(await devTools.call(recording, stopRecording));
}
