/** The view of the causes of an end: what each word means, and how often it was. */

import { Component } from "preact";
import { END_CAUSES, type EndCause, type EndCauseFacts } from "../../base/end-causes.ts";
import type { PageState } from "./state.ts";
import { DataTable } from "./table.tsx";

const ALL = Object.entries(END_CAUSES) as [EndCause, EndCauseFacts][];

export class Causes extends Component<{ readonly state: PageState }> {
  override componentDidMount(): void {
    document.querySelector(".rows tr.chosen")?.scrollIntoView({ block: "center" });
  }

  render({ state: { update, view } }: { readonly state: PageState }) {
    const ends = update?.ends ?? {};
    // The most frequent first, else in the order of the documents.
    const rows = ALL.toSorted(([a], [b]) => (ends[b] ?? 0) - (ends[a] ?? 0));
    return (
      <>
        <h2>Why connections end</h2>
        <p class="dim">
          Metrics and the log have the same words. docs/failures.md, “Causes of an end”, says what to do about each.
        </p>
        <DataTable
          name="causes"
          caption="Causes of an end"
          columns={[
            { key: "cause", label: "cause", value: ([cause]) => cause },
            { key: "count", label: "since the start", kind: "count", value: ([cause]) => ends[cause] ?? 0 },
            {
              key: "by",
              label: "ended by",
              value: ([, { by }]) => by,
              cell: ([, { by }]) => (by === "peer" ? "peer" : "this side"),
            },
            { key: "help", label: "meaning", wide: true, value: ([, { help }]) => help },
          ]}
          rows={rows}
          rowKey={([cause]) => cause}
          rowClass={([cause]) => (cause === view.of ? "chosen" : "")}
          empty=""
        />
      </>
    );
  }
}
