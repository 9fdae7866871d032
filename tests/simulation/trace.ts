/** The events of a run: always as a hash, and as a list if a person is to read them. */

export interface TracedEvent {
  readonly at: number;
  /** The process or link that the event belongs to. */
  readonly where: string;
  readonly what: string;
}

export class Trace {
  readonly events: TracedEvent[] | undefined;
  /** FNV-1a of all events. */
  #hash = 0x811c9dc5;
  #count = 0;

  constructor(kept: boolean) {
    this.events = kept ? [] : undefined;
  }

  note(at: number, where: string, what: string): void {
    this.#count += 1;
    const text = `${at}|${where}|${what}`;
    let hash = this.#hash;
    for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
    this.#hash = hash;
    this.events?.push({ at, where, what });
  }

  get hash(): string {
    return `${(this.#hash >>> 0).toString(16).padStart(8, "0")}-${this.#count}`;
  }
}

/** One event per line. */
export function timeline(events: readonly TracedEvent[]): string {
  const width = Math.max(0, ...events.map(({ where }) => where.length));
  return events
    .map(({ at, where, what }) => `${at.toFixed(1).padStart(10)} ms  ${where.padEnd(width)}  ${what}`)
    .join("\n");
}

const HEAD = `<!doctype html><meta charset="utf-8"><style>
body{font:13px/1.4 system-ui,sans-serif;margin:1.5em}table{border-collapse:collapse}
td,th{padding:2px 10px;vertical-align:top;text-align:left;border-left:1px solid #ddd;white-space:pre-wrap;max-width:32em}
th{position:sticky;top:0;background:#fff}td:first-child{text-align:right;color:#777}.wrong{color:#b00;font-weight:600}
</style>`;

/** One page: a column for each process or link. */
export function timelinePage(title: string, events: readonly TracedEvent[]): string {
  const lanes = [...new Set(events.map(({ where }) => where))].sort();
  const row = ({ at, where, what }: TracedEvent): string => {
    const cells = lanes.map((lane) => (lane === where ? `<td${wrong(where)}>${escaped(what)}` : "<td>"));
    return `<tr><td>${at.toFixed(1)}${cells.join("")}`;
  };
  const heads = lanes.map((lane) => `<th>${escaped(lane)}`).join("");
  return `${HEAD}<title>${escaped(title)}</title><h1>${escaped(title)}</h1><table><tr><th>ms${heads}\n${events.map(row).join("\n")}</table>\n`;
}

const wrong = (where: string): string => (where === "oracle" ? ' class="wrong"' : "");

const escaped = (text: string): string => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
