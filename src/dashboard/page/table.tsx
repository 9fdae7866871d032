/** A table that people sort by its headings and save as a file. */

import type { ComponentChildren } from "preact";
import { Amount } from "./amount.tsx";
import { csv, type FileColumn } from "./csv.ts";
import type { FigureKind } from "./format.ts";
import { save } from "./save.ts";

/** A column: a figure, or what `cell` returns. */
export interface Column<Row> extends FileColumn<Row> {
  readonly label: string;
  /** What the heading means, if it is short. */
  readonly help?: string;
  readonly kind?: FigureKind;
  readonly cell?: (row: Row) => ComponentChildren;
  /** True: its texts are long, and wrap. */
  readonly wide?: boolean;
  /** True: its texts are cut at a width. The whole text is the title. */
  readonly clipped?: boolean;
  /** True: cannot be sorted. */
  readonly fixed?: boolean;
}

export interface Sorting {
  readonly by: string;
  readonly descending: boolean;
  /** Called with the key of a column. */
  readonly change: (key: string) => void;
}

export interface TableProps<Row> {
  /** Also the name of the file. */
  readonly name: string;
  readonly caption: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly rowKey: (row: Row) => string | number;
  readonly rowClass?: (row: Row) => string;
  readonly sorting?: Sorting;
  /** All rows, if the table does not show them all. */
  readonly saved?: readonly Row[];
  readonly empty: string;
}

export function DataTable<Row>(props: TableProps<Row>) {
  const { name, caption, columns, rows, rowKey, rowClass, sorting, empty } = props;
  return (
    <>
      <section class="scroll" aria-label={caption} tabIndex={0}>
        <table class="rows">
          <caption class="unseen">{caption}</caption>
          <thead>
            <tr>
              {columns.map((column) => (
                <Heading key={column.key} column={column} sorting={sorting} />
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={rowKey(row)} class={rowClass?.(row) ?? ""}>
                {columns.map((column, at) => (
                  <Cell key={column.key} column={column} row={row} first={at === 0} />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
        {rows.length === 0 && <p class="empty">{empty}</p>}
      </section>
      <p class="files">
        <button
          type="button"
          onClick={() => save(`holdfast-${name}.csv`, "text/csv", csv(columns, props.saved ?? rows))}
        >
          CSV<span class="unseen"> of {caption}</span>
        </button>
        <button
          type="button"
          onClick={() =>
            save(`holdfast-${name}.json`, "application/json", `${JSON.stringify(props.saved ?? rows, null, 1)}\n`)
          }
        >
          JSON<span class="unseen"> of {caption}</span>
        </button>
      </p>
    </>
  );
}

function Heading<Row>({ column, sorting }: { readonly column: Column<Row>; readonly sorting: Sorting | undefined }) {
  const { key, label, help, kind, fixed } = column;
  const style = kind === undefined ? "" : "figure";
  if (sorting === undefined || fixed)
    return (
      <th scope="col" class={style} title={help}>
        {label}
      </th>
    );
  const sorted = sorting.by === key;
  return (
    <th scope="col" class={style} aria-sort={sorted ? (sorting.descending ? "descending" : "ascending") : "none"}>
      <button type="button" title={help} onClick={() => sorting.change(key)}>
        {label}
        <span class="arrow" aria-hidden="true">
          {sorted ? (sorting.descending ? "▼" : "▲") : ""}
        </span>
      </button>
    </th>
  );
}

function Cell<Row>({
  column,
  row,
  first,
}: {
  readonly column: Column<Row>;
  readonly row: Row;
  readonly first: boolean;
}) {
  const { kind, cell, wide, clipped } = column;
  const value = column.value(row);
  const content =
    cell?.(row) ?? (kind === undefined ? String(value ?? "") : <Amount value={value as number | null} kind={kind} />);
  const style = `${kind === undefined ? "" : "figure"}${wide ? " wide" : ""}${clipped ? " clipped" : ""}${value === 0 ? " zero" : ""}`;
  const title = clipped ? String(value) : undefined;
  return first ? (
    <th scope="row" class={style}>
      {content}
    </th>
  ) : (
    <td class={style} title={title}>
      {content}
    </td>
  );
}
