/** The tables of the dashboard for programs: as JSON, and as CSV for spreadsheets. */

import { ENDED_KEPT, MAX_TEXT, NUMBER_NAMES, SORT_COLUMNS, type SortColumn } from "./feed.ts";
import type { Monitor } from "./monitor.ts";

/** The most connections in a table. */
const MOST_ROWS = 1_000;

/** A file. With the status 400 its body says what is wrong in the query. */
export interface TableFile {
  readonly status: 200 | 400;
  readonly type: string;
  readonly body: string;
}

type Row = Readonly<Record<string, string | number | boolean | null>>;

const TABLES: Readonly<Record<string, (monitor: Monitor, query: URLSearchParams) => readonly Row[]>> = {
  connections: (monitor, query) => {
    const rows = monitor.select({
      sort: (query.get("sort") ?? "queuedBytes") as SortColumn,
      descending: query.get("descending") !== "false",
      filter: (query.get("filter") ?? "").slice(0, MAX_TEXT).toLowerCase(),
      most: MOST_ROWS,
    }).rows;
    return rows.map((row) => ({ ...row }));
  },
  ended: (monitor) =>
    monitor
      .endedAfter(0)
      .slice(-ENDED_KEPT)
      .map((row) => ({ ...row })),
  servers: (monitor) => monitor.servers().map((row) => ({ ...row })),
  groups: (monitor) => (monitor.groups() ?? []).map((row) => ({ ...row })),
  topics: (monitor) => (monitor.topics() ?? []).map((row) => ({ ...row })),
  history: (monitor) => {
    return monitor.history.after(-1).map(([second = 0, ...values]) => {
      const at = monitor.hello.startedAt + (second as number) * 1_000;
      return Object.fromEntries([["at", at], ...NUMBER_NAMES.map((name, index) => [name, values[index] ?? null])]);
    });
  },
};

/**
 * The table with a name such as `connections.csv`. Undefined if there is none. The query of `connections` may have `sort` (a column),
 * `descending=false` and `filter`; it has at most 1,000 rows. Another `sort` is the status 400.
 */
export function tableOf(monitor: Monitor, file: string, query: URLSearchParams): TableFile | undefined {
  const [name = "", form, ...more] = file.split(".");
  if (!Object.hasOwn(TABLES, name) || more.length > 0) return undefined;
  const sort = query.get("sort");
  if (name === "connections" && sort !== null && !(SORT_COLUMNS as readonly string[]).includes(sort)) {
    const body = `cannot sort by ${JSON.stringify(sort.slice(0, MAX_TEXT))}: expected one of ${SORT_COLUMNS.join(", ")}\n`;
    return { status: 400, type: "text/plain; charset=utf-8", body };
  }
  const rows = (): readonly Row[] => TABLES[name]?.(monitor, query) ?? [];
  if (form === "json") return { status: 200, type: "application/json", body: `${JSON.stringify(rows())}\n` };
  return form === "csv" ? { status: 200, type: "text/csv; charset=utf-8", body: csvOf(rows()) } : undefined;
}

/** RFC 4180. Empty without rows. */
function csvOf(rows: readonly Row[]): string {
  const [first] = rows;
  if (first === undefined) return "";
  const names = Object.keys(first);
  const lines = rows.map((row) => names.map((name) => cell(row[name] ?? "")).join(","));
  return [names.join(","), ...lines, ""].join("\r\n");
}

/** A text that begins as a formula gets an apostrophe: a spreadsheet would execute what a peer sent. */
function cell(value: string | number | boolean): string {
  if (typeof value !== "string") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
