/** All facts about one connection. */

import { joinHostPort } from "../base/host-port.ts";
import type { Clock, Connection } from "../core.ts";
import { Inspection } from "../core.ts";
import type { ConnectionDetail, ConnectionRow, EndedRow, KernelRow, LimitRow, TimelineEvent } from "./feed.ts";
import type { Frames } from "./frames.ts";
import type { Journal, RememberedEnd } from "./journal.ts";
import type { KernelView } from "./kernel-view.ts";
import type { ConnectionPace } from "./pace.ts";
import { rounded, rowOf, shortened } from "./rows.ts";

interface DetailSources {
  readonly clock: Clock;
  readonly journal: Journal;
  readonly frames: Frames;
  readonly kernel: KernelView;
}

/** The details of an open connection. */
export function detailOf(
  { clock, journal, frames, kernel }: DetailSources,
  connection: Connection,
  seen: { readonly pace: ConnectionPace | undefined; readonly viewer: boolean },
  frame: number,
): ConnectionDetail | null {
  const inspection = Inspection.of(connection);
  if (inspection === undefined) return null;
  const { localAddress, localPort, url, extensions } = connection;
  const row = rowOf({ inspection, ...seen });
  const openedAt = Math.round(clock.wallTime() - inspection.age);
  return {
    row,
    url: shortened(url.replace(/\?.*/s, "")),
    local: localAddress === "" ? "" : joinHostPort(localAddress, localPort),
    extensions: shortened(extensions),
    openedAt,
    silent: Math.round(inspection.silentFor),
    heldBytes: inspection.heldBytes,
    droppedMessages: inspection.droppedMessages,
    refusedMessages: inspection.refusedMessages,
    pausedByViewer: inspection.readingHeld,
    groups: inspection.groups,
    events: [opening(openedAt), ...journal.eventsOf(connection)],
    limits: inspection.limits().map(({ name, unit, limit, used }): LimitRow => {
      return { name, unit, limit: limit === Infinity ? null : limit, used: rounded(used) };
    }),
    kernel: kernel.rowOf(connection),
    traced: frames.has(connection),
    frames: frames.after(connection, frame),
    ended: null,
  };
}

/** The details of an ended connection: what the journal has kept. The rest is 0 or empty. */
export function endedDetail({ row: ended, events }: RememberedEnd): ConnectionDetail {
  const openedAt = ended.at - ended.age;
  return {
    row: closedRow(ended),
    ...{
      url: "",
      local: "",
      extensions: "",
      openedAt,
      silent: 0,
      heldBytes: 0,
      droppedMessages: 0,
      refusedMessages: 0,
    },
    ...{ pausedByViewer: false, groups: 0, events: [opening(openedAt), ...events], limits: [] },
    ...{ kernel: null as KernelRow | null, traced: false, frames: [], ended },
  };
}

function opening(at: number): TimelineEvent {
  return { at, last: at, count: 1, type: "open", text: "" };
}

function closedRow(ended: EndedRow): ConnectionRow {
  const { id, role, kind, remote, path, age, messagesIn, messagesOut, bytesIn, bytesOut, largestQueue, rtt } = ended;
  return {
    ...{ id, role, kind, remote, path, subprotocol: "", secure: false, state: "CLOSED", age },
    ...{ messagesIn, messagesOut, bytesIn, bytesOut, largestQueue, rtt },
    ...{ messagesInRate: 0, messagesOutRate: 0, bytesInRate: 0, bytesOutRate: 0 },
    ...{ queuedBytes: 0, queuedMessages: 0, inboxBytes: 0, inboxMessages: 0 },
    ...{ paused: null, peerEnded: null, viewer: false },
  };
}
