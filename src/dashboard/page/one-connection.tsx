/** The view of one connection in detail: facts, limits, kernel, events and frames. */

import type { ComponentChildren } from "preact";
import { END_CAUSES } from "../../base/end-causes.ts";
import { OPCODE_NAMES } from "../../base/opcode-names.ts";
import type { ActionMessage, ConnectionDetail, FrameRow, LimitRow, TimelineEvent } from "../feed.ts";
import { Amount } from "./amount.tsx";
import { Cause } from "./ended.tsx";
import { type FigureKind, fullTime, timeOfDay, UNKNOWN, written } from "./format.ts";
import { KERNEL_STATES } from "./kernel-states.ts";
import type { PageState } from "./state.ts";
import { DataTable } from "./table.tsx";

export type Act = (action: ActionMessage["action"]) => void;

export interface OneConnectionProps {
  readonly state: PageState;
  readonly act: Act;
  /** Asks for a confirmation, and closes then. */
  readonly close: () => void;
}

export function OneConnection({ state, act, close }: OneConnectionProps) {
  const { detail, hello } = state;
  const back = <a href="#/connections">All connections</a>;
  if (detail === undefined) return <p class="dim">Asking for connection {state.view.of}.</p>;
  if (detail === null)
    return (
      <p>
        The server does not know connection {state.view.of} any more. {back}
      </p>
    );
  const { row, ended } = detail;
  const known = state.update?.connection?.row.id === row.id;
  return (
    <>
      <div class="controls">
        <h2>
          Connection {row.id}
          <span class="dim"> {row.remote}</span>
        </h2>
        {hello?.readOnly === false && row.state !== "CLOSED" && known && (
          <Actions detail={detail} act={act} close={close} />
        )}
        <span>{back}</span>
      </div>
      {!known && <p class="warn">The server does not know this connection any more. These are the last numbers.</p>}
      {ended !== null && (
        <p class="end">
          Ended at <time title={fullTime(ended.at)}>{timeOfDay(ended.at)}</time> by{" "}
          {ended.by === "peer" ? "the peer" : "this side"}: <Cause word={ended.cause} />.{" "}
          {END_CAUSES[ended.cause]?.help} Code {ended.code}
          {ended.reason !== "" && <>, reason “{ended.reason}”</>}.
        </p>
      )}
      <div class="columns">
        <Facts detail={detail} />
        <Traffic detail={detail} />
      </div>
      <h3>Limits</h3>
      <Limits limits={detail.limits} />
      <h3>In the kernel</h3>
      <Kernel detail={detail} />
      <h3>Events</h3>
      <Events events={detail.events} openedAt={detail.openedAt} />
      <h3>Frames</h3>
      <Frames frames={state.frames} traced={detail.traced} />
    </>
  );
}

function Actions({
  detail,
  act,
  close,
}: {
  readonly detail: ConnectionDetail;
  readonly act: Act;
  readonly close: () => void;
}) {
  const button = (label: string, action: ActionMessage["action"]) => (
    <button type="button" onClick={() => act(action)}>
      {label}
    </button>
  );
  return (
    <span class="actions">
      {detail.row.kind === "websocket" && button("Ping", "ping")}
      {detail.pausedByViewer ? button("Read again", "resume") : button("Stop reading", "pause")}
      {detail.traced ? button("End trace", "untrace") : button("Trace", "trace")}
      <button type="button" class="danger" onClick={close}>
        Close…
      </button>
    </span>
  );
}

function Pairs({ all }: { readonly all: readonly (readonly [string, ComponentChildren])[] }) {
  return (
    <dl>
      {all.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value === "" ? UNKNOWN : value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Facts({ detail }: { readonly detail: ConnectionDetail }) {
  const { row, url, local, extensions, openedAt, silent, groups, pausedByViewer, ended } = detail;
  const now = (text: string): string => (ended === null ? text : UNKNOWN);
  return (
    <Pairs
      all={[
        [
          "state",
          `${row.state.toLowerCase()}${row.viewer ? ", of the dashboard" : ""}${pausedByViewer ? ", reading stopped by a viewer" : ""}`,
        ],
        ["role", row.role === "server" ? "this process accepted it" : "this process connected"],
        ["protocol", `${row.kind === "tcp" ? "TCP" : "WebSocket"}${row.secure ? " over TLS" : ""}`],
        ["address", url],
        ["local", local],
        ["subprotocol", row.subprotocol],
        ["extensions", extensions],
        ["opened", <time title={fullTime(openedAt)}>{timeOfDay(openedAt)}</time>],
        ["age", written(row.age, "ms")],
        ["silent for", now(written(silent, "ms"))],
        ["peer ended", now(row.peerEnded === null ? "no" : `for ${written(row.peerEnded, "ms")}`)],
        ["groups", now(written(groups, "count"))],
      ]}
    />
  );
}

function Traffic({ detail }: { readonly detail: ConnectionDetail }) {
  const { row, ended } = detail;
  // Of an ended connection only its totals are kept.
  const now = (text: string): string => (ended === null ? text : UNKNOWN);
  const both = (one: number, other: number, kind: FigureKind) =>
    `${written(one, kind)} in, ${written(other, kind)} out`;
  return (
    <Pairs
      all={[
        ["messages", both(row.messagesIn, row.messagesOut, "count")],
        ["messages each second", now(both(row.messagesInRate, row.messagesOutRate, "rate"))],
        ["bytes", both(row.bytesIn, row.bytesOut, "bytes")],
        ["bytes each second", now(both(row.bytesInRate, row.bytesOutRate, "byteRate"))],
        ["queued", now(`${written(row.queuedBytes, "bytes")} in ${written(row.queuedMessages, "count")} messages`)],
        ["largest queue", written(row.largestQueue, "bytes")],
        ["inbox", now(`${written(row.inboxBytes, "bytes")} in ${written(row.inboxMessages, "count")} messages`)],
        ["not read for", written(row.paused, "ms")],
        ["round trip", written(row.rtt, "ms")],
        ["memory held", now(written(detail.heldBytes, "bytes"))],
        ["dropped", now(`${written(detail.droppedMessages, "count")} messages`)],
        ["refused", now(`${written(detail.refusedMessages, "count")} messages`)],
      ]}
    />
  );
}

/** The part of a limit that is used, at which it is near. */
const NEAR = 0.75;

function Limits({ limits }: { readonly limits: readonly LimitRow[] }) {
  const used = ({ limit, used }: LimitRow): number | null =>
    limit === null || used === null ? null : limit === 0 ? 1 : Math.min(1, used / limit);
  const kind = ({ unit }: LimitRow): FigureKind => (unit === "messages" ? "count" : unit);
  return (
    <DataTable
      name="limits"
      caption="Limits of the connection, and how near they are"
      columns={[
        { key: "name", label: "limit", value: ({ name }) => name },
        {
          ...{ key: "share", label: "used" },
          value: (row) => used(row),
          cell: (row) => <Meter name={row.name} share={used(row)} />,
        },
        {
          key: "used",
          label: "now",
          kind: "count",
          value: (row) => row.used,
          cell: (row) => <Amount value={row.used} kind={kind(row)} />,
        },
        {
          ...{ key: "limit", label: "at most", kind: "count" as const },
          value: (row) => row.limit,
          cell: (row) => (row.limit === null ? "no limit" : <Amount value={row.limit} kind={kind(row)} />),
        },
        { key: "unit", label: "unit", value: ({ unit }) => unit },
      ]}
      rows={limits}
      rowKey={({ name }) => name}
      rowClass={(row) => ((used(row) ?? 0) >= NEAR ? "warn" : "")}
      empty="Not known: the connection has ended."
    />
  );
}

function Meter({ name, share }: { readonly name: string; readonly share: number | null }) {
  if (share === null) return <span class="dim">does not count now</span>;
  return (
    <span class={share >= NEAR ? "meter near" : "meter"}>
      <meter class="unseen" aria-label={name} value={share} high={NEAR} optimum={0} />
      <span class="gauge" aria-hidden="true">
        <span style={{ width: `${share * 100}%` }} />
      </span>
      {Math.round(share * 100)}&nbsp;%
    </span>
  );
}

function Kernel({ detail: { kernel } }: { readonly detail: ConnectionDetail }) {
  if (kernel === null) return <p class="dim">Not known.</p>;
  const { state, sendQueue, receiveQueue, timer, retransmits, probes } = kernel;
  return (
    <>
      <p>
        <b class={state === "CLOSE_WAIT" ? "bad" : ""}>{state}</b>: {KERNEL_STATES[state] ?? "a state of TCP"}.
      </p>
      <Pairs
        all={[
          ["not acknowledged by the peer", written(sendQueue, "bytes")],
          ["not read by this process", written(receiveQueue, "bytes")],
          ["timer", timer],
          ["retransmits", written(retransmits, "count")],
          ["probes", written(probes, "count")],
        ]}
      />
    </>
  );
}

const EVENTS: Readonly<Record<TimelineEvent["type"], string>> = {
  open: "opened",
  pause: "reading stopped: the inbox is full",
  resume: "reading continues",
  overflow: "no room in the send queue",
  peerEnded: "the peer has ended (FIN)",
  action: "action of a viewer",
  closing: "the end begins",
  close: "ended",
};

function Events({ events, openedAt }: { readonly events: readonly TimelineEvent[]; readonly openedAt: number }) {
  return (
    <DataTable
      name="events"
      caption="Events of the connection"
      columns={[
        {
          ...{ key: "at", label: "time" },
          value: ({ at }) => new Date(at).toISOString(),
          cell: ({ at }) => <time title={fullTime(at)}>{timeOfDay(at, true)}</time>,
        },
        { key: "after", label: "after opening", kind: "ms", value: ({ at }) => Math.max(0, at - openedAt) },
        { key: "event", label: "event", value: ({ type }) => EVENTS[type] ?? type },
        { key: "text", label: "details", wide: true, value: ({ text }) => text },
        { key: "count", label: "times", kind: "count", value: ({ count }) => count },
        {
          ...{ key: "last", label: "last of them" },
          value: ({ last }) => new Date(last).toISOString(),
          cell: ({ last, count }) => (count > 1 ? timeOfDay(last, true) : ""),
        },
      ]}
      rows={events}
      rowKey={({ at, type, text }) => `${at} ${type} ${text}`}
      empty="Nothing has happened."
    />
  );
}

function Frames({ frames, traced }: { readonly frames: readonly FrameRow[]; readonly traced: boolean }) {
  if (!traced && frames.length === 0)
    return <p class="dim">Not traced. A trace has the headers of the frames, without their payloads.</p>;
  return (
    <DataTable
      name="frames"
      caption="Frames of the connection, the newest first"
      columns={[
        { key: "number", label: "number", value: ({ number }) => number },
        {
          ...{ key: "at", label: "time" },
          value: ({ at }) => new Date(at).toISOString(),
          cell: ({ at }) => timeOfDay(at, true),
        },
        { key: "direction", label: "direction", value: ({ direction }) => direction },
        { key: "opcode", label: "frame", value: ({ opcode }) => OPCODE_NAMES[opcode] ?? `opcode ${opcode}` },
        { key: "length", label: "length", kind: "bytes", value: ({ length }) => length },
        {
          ...{ key: "flags", label: "flags" },
          value: ({ fin, rsv, masked }) =>
            [fin ? "" : "not final", (rsv & 4) === 0 ? "" : "compressed", masked ? "masked" : ""]
              .filter(Boolean)
              .join(", "),
        },
      ]}
      rows={frames}
      rowKey={({ number }) => number}
      empty="No frame yet."
    />
  );
}
