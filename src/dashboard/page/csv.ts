/** The rows of a table as a text of CSV. */

/** A column of a file: its name, and its value in each row. */
export interface FileColumn<Row> {
  readonly key: string;
  value(row: Row): string | number | boolean | null;
}

/** RFC 4180, with a line of names. */
export function csv<Row>(columns: readonly FileColumn<Row>[], rows: readonly Row[]): string {
  const lines = [columns.map(({ key }) => key), ...rows.map((row) => columns.map((column) => column.value(row)))];
  return lines.map((cells) => `${cells.map(csvCell).join(",")}\r\n`).join("");
}

function csvCell(value: string | number | boolean | null): string {
  if (value === null) return "";
  if (typeof value !== "string") return String(value);
  // A spreadsheet would compute a text of a peer that begins so.
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
