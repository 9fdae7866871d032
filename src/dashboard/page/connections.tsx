/** The view of the open connections: the first 50 by any column. */

import type { ConnectionRow, SortColumn } from "../feed.ts";
import { written } from "./format.ts";
import type { PageState } from "./state.ts";
import { type Column, DataTable } from "./table.tsx";

type Columns = readonly Column<ConnectionRow>[];

const figures = (kind: "count" | "bytes", all: readonly [SortColumn & keyof ConnectionRow, string][]): Columns =>
  all.map(([key, label]) => ({ key, label, kind, value: (row) => row[key] as number }));

const RATES: Columns = [
  ...figures("count", [
    ["messagesInRate", "msg/s in"],
    ["messagesOutRate", "msg/s out"],
  ]),
  ...figures("bytes", [
    ["bytesInRate", "bytes/s in"],
    ["bytesOutRate", "bytes/s out"],
  ]),
];
const TOTALS: Columns = [
  ...figures("count", [
    ["messagesIn", "msg in"],
    ["messagesOut", "msg out"],
  ]),
  ...figures("bytes", [
    ["bytesIn", "bytes in"],
    ["bytesOut", "bytes out"],
  ]),
];
const BEFORE: Columns = [
  { key: "id", label: "id", value: ({ id }) => id, cell: ({ id }) => <a href={`#/connection/${id}`}>{id}</a> },
  { key: "remote", label: "peer", value: ({ remote }) => remote },
  {
    key: "path",
    clipped: true,
    label: "path",
    value: ({ path }) => path,
    cell: ({ path, subprotocol }) => (subprotocol === "" ? path : `${path} [${subprotocol}]`),
  },
  {
    ...{ key: "kind", label: "kind", help: "protocol; “client”: this process has connected" },
    value: ({ kind }) => kind,
    cell: ({ kind, role, secure, viewer }) =>
      `${kind === "tcp" ? "tcp" : "ws"}${secure ? ", TLS" : ""}${role === "client" ? ", client" : ""}${viewer ? ", dashboard" : ""}`,
  },
  { key: "state", label: "state", value: ({ state }) => state, cell: ({ state }) => state.toLowerCase() },
  { key: "age", label: "age", kind: "ms", value: ({ age }) => age },
];
const AFTER: Columns = [
  {
    key: "queuedBytes",
    label: "queued",
    help: "bytes in the send queue",
    kind: "bytes",
    value: (row) => row.queuedBytes,
  },
  {
    key: "queuedMessages",
    label: "msg",
    help: "messages in the send queue",
    kind: "count",
    value: (row) => row.queuedMessages,
  },
  {
    key: "largestQueue",
    label: "largest",
    help: "most bytes that were in the send queue",
    kind: "bytes",
    value: (row) => row.largestQueue,
  },
  {
    key: "inboxBytes",
    label: "inbox",
    help: "bytes received that the application has not taken",
    kind: "bytes",
    value: (row) => row.inboxBytes,
  },
  { key: "rtt", label: "rtt", help: "last round trip of a Ping", kind: "ms", value: ({ rtt }) => rtt },
  {
    key: "paused",
    label: "not read",
    help: "the inbox is full, or reading is paused",
    kind: "ms",
    value: ({ paused }) => paused,
  },
  {
    key: "peerEnded",
    label: "FIN",
    help: "how long ago the peer has ended: since the FIN of the peer",
    kind: "ms",
    value: ({ peerEnded }) => peerEnded,
  },
];

/** As in the style sheet. */
const NARROW = "(max-width: 40rem)";

export interface ConnectionsProps {
  readonly state: PageState;
  /** The question has changed. */
  readonly changed: () => void;
}

export function Connections({ state, changed }: ConnectionsProps) {
  const { update, totals } = state;
  if (update === undefined) return null;
  const { connections, matching, total } = update;
  const change = (act: () => void) => (): void => {
    act();
    changed();
  };
  const all =
    state.filter === ""
      ? `${written(total, "count")} connections`
      : `${written(matching, "count")} of ${written(total, "count")} match`;
  return (
    <>
      <div class="controls">
        <h2>Connections</h2>
        <label>
          Filter{" "}
          <input
            type="search"
            value={state.filter}
            placeholder="peer, path, id or state"
            onInput={({ currentTarget: { value } }) => change(() => (state.filter = value))()}
          />
        </label>
        <label>
          <input type="checkbox" checked={totals} onChange={change(() => (state.totals = !totals))} /> totals instead of
          rates
        </label>
        <span class="dim">
          {all}
          {matching > connections.length && `; the first ${connections.length}`}
        </span>
      </div>
      <DataTable
        name="connections"
        caption="Connections"
        columns={inOrder([...BEFORE, ...(totals ? TOTALS : RATES), ...AFTER], state.sort)}
        rows={connections}
        rowKey={({ id }) => id}
        rowClass={({ peerEnded, paused }) => (peerEnded !== null ? "bad" : paused !== null ? "warn" : "")}
        sorting={{
          by: state.sort,
          descending: state.descending,
          change: (key) => change(() => state.sortBy(key as SortColumn))(),
        }}
        empty={state.filter === "" ? "There is no connection." : "No connection matches the filter."}
      />
    </>
  );
}

/** On a narrow screen the column by which the table is sorted stands beside the first, so that it can be seen. */
function inOrder(columns: Columns, sort: SortColumn): Columns {
  if (!matchMedia(NARROW).matches) return columns;
  const isFirst = ({ key }: { readonly key: string }): boolean => key === "id" || key === sort;
  return [...columns.filter(isFirst), ...columns.filter((column) => !isFirst(column))];
}
