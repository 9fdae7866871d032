/** The view of the connections that have ended, with the cause of each, and of the openings that led to none. */

import { Component } from "preact";
import { END_CAUSES } from "../../base/end-causes.ts";
import type { EndedRow } from "../feed.ts";
import { fullTime, timeOfDay, written } from "./format.ts";
import type { PageState } from "./state.ts";
import { type Column, DataTable } from "./table.tsx";

const PAGE = 50;

/** A word of the end, with the sentence that it stands for. */
export function Cause({ word }: { readonly word: keyof typeof END_CAUSES }) {
  return (
    <a href={`#/causes/${word}`} title={END_CAUSES[word]?.help}>
      {word}
    </a>
  );
}

const COLUMNS: readonly Column<EndedRow>[] = [
  {
    ...{ key: "at", label: "time" },
    value: ({ at }) => new Date(at).toISOString(),
    cell: ({ at }) => (
      <time dateTime={new Date(at).toISOString()} title={fullTime(at)}>
        {timeOfDay(at)}
      </time>
    ),
  },
  { key: "id", label: "id", value: ({ id }) => id, cell: ({ id }) => <a href={`#/connection/${id}`}>{id}</a> },
  { key: "cause", label: "cause", value: ({ cause }) => cause, cell: ({ cause }) => <Cause word={cause} /> },
  { key: "by", label: "by", value: ({ by }) => by, cell: ({ by }) => (by === "peer" ? "peer" : "this side") },
  { key: "code", label: "code", value: ({ code }) => code },
  { key: "reason", label: "reason", wide: true, value: ({ reason }) => reason },
  { key: "remote", label: "peer", value: ({ remote }) => remote },
  { key: "path", label: "path", wide: true, value: ({ path }) => path },
  { key: "age", label: "age", kind: "ms", value: ({ age }) => age },
  { key: "messagesIn", label: "msg in", kind: "count", value: (row) => row.messagesIn },
  { key: "messagesOut", label: "msg out", kind: "count", value: (row) => row.messagesOut },
  { key: "bytesIn", label: "bytes in", kind: "bytes", value: (row) => row.bytesIn },
  { key: "bytesOut", label: "bytes out", kind: "bytes", value: (row) => row.bytesOut },
  { key: "largestQueue", label: "largest queue", kind: "bytes", value: (row) => row.largestQueue },
  { key: "rtt", label: "rtt", kind: "ms", value: ({ rtt }) => rtt },
];

interface EndedState {
  by: string;
  descending: boolean;
  filter: string;
  shown: number;
}

export class Ended extends Component<{ readonly state: PageState }, EndedState> {
  override state: EndedState = { by: "at", descending: true, filter: "", shown: PAGE };

  render({ state: { history, update } }: { readonly state: PageState }, { by, descending, filter, shown }: EndedState) {
    const wanted = filter.toLowerCase();
    const matches = ({ id, remote, path, cause, reason, code, by }: EndedRow): boolean =>
      [id, remote, path, cause, reason, code, by].some((value) => String(value).toLowerCase().includes(wanted));
    const rows = sorted(wanted === "" ? history.ended : history.ended.filter(matches), by, descending);
    const refusals = Object.entries(update?.refusals ?? {}).sort(([, a], [, b]) => b - a);
    return (
      <div>
        <div class="controls">
          <h2>Ended connections</h2>
          <label>
            Filter{" "}
            <input
              type="search"
              value={filter}
              placeholder="cause, peer, path, code or reason"
              onInput={({ currentTarget }) => this.setState({ filter: currentTarget.value, shown: PAGE })}
            />
          </label>
          <span class="dim">
            the last {written(history.ended.length, "count")}
            {wanted !== "" && `, of which ${rows.length} match`}
          </span>
        </div>
        <DataTable
          name="ended"
          caption="Ended connections"
          columns={COLUMNS}
          rows={rows.slice(0, shown)}
          saved={rows}
          rowKey={({ number }) => number}
          sorting={{
            by,
            descending,
            change: (key) => this.setState({ by: key, descending: by === key ? !descending : true }),
          }}
          empty={wanted === "" ? "No connection has ended." : "No ended connection matches the filter."}
        />
        {rows.length > shown && (
          <button type="button" onClick={() => this.setState({ shown: shown + PAGE })}>
            Show {Math.min(PAGE, rows.length - shown)} more
          </button>
        )}
        <h2>Refused openings</h2>
        <DataTable
          name="refusals"
          caption="Refused openings, by reason"
          columns={[
            { key: "reason", label: "reason", value: ([reason]) => reason },
            { key: "count", label: "since the start", kind: "count", value: ([, count]) => count },
          ]}
          rows={refusals}
          rowKey={([reason]) => reason}
          empty="No opening was refused."
        />
      </div>
    );
  }
}

function sorted(rows: readonly EndedRow[], by: string, descending: boolean): readonly EndedRow[] {
  const value = COLUMNS.find(({ key }) => key === by)?.value ?? (({ at }) => at);
  const sign = descending ? -1 : 1;
  return rows.toSorted((a, b) => {
    const [one, other] = [value(a) ?? -1, value(b) ?? -1];
    return one === other ? b.number - a.number : one < other ? -sign : sign;
  });
}
