/** What the page shows: one object, which changes only here. */

import type {
  ConnectionDetail,
  FrameRow,
  HelloMessage,
  NextMessage,
  ResultMessage,
  SortColumn,
  UpdateMessage,
} from "../feed.ts";
import { type EndBins, endsByCause } from "./end-bins.ts";
import { FeedHistory } from "./history.ts";

/** The connection to the feed. `refused`: the server answers, but not with the feed. `status` and `text` are its answer. */
export type FeedLink =
  | { readonly state: "connecting" }
  | { readonly state: "open" }
  | { readonly state: "lost"; readonly since: number }
  | { readonly state: "refused"; readonly status: number; readonly text: string };

export type ViewName = "overview" | "connections" | "ended" | "system" | "causes" | "connection";

/** A part of the page, as the fragment of its address names it. */
export interface View {
  readonly name: ViewName;
  /** The id of the connection, or the cause. */
  readonly of: string;
}

const VIEWS: readonly string[] = ["overview", "connections", "ended", "system", "causes", "connection"];
/** The frames that the page keeps of a traced connection. */
const FRAMES = 200;
const NOTICES = 3;

export interface PageNotice {
  readonly key: number;
  readonly text: string;
  readonly bad: boolean;
}

export class PageState {
  link: FeedLink = { state: "connecting" };
  hello: HelloMessage | undefined;
  update: UpdateMessage | undefined;
  view: View = { name: "overview", of: "" };
  /** False: the user has paused the stream. */
  streaming = true;
  sort: SortColumn = "queuedBytes";
  descending = true;
  filter = "";
  /** Which numbers the table of connections has. */
  totals = false;
  /** The frames of the connection in view, the newest first. */
  frames: readonly FrameRow[] = [];
  /** The last details of the connection in view. They stay when the server no longer has them. */
  detail: ConnectionDetail | null | undefined;
  notices: readonly PageNotice[] = [];
  /** The Unix times in seconds of the history. A new array with each update. */
  times: readonly number[] = [];
  /** The ends of the history by cause. A new object with each update. */
  ends: EndBins = { times: [], lines: [] };
  /** The Unix time in seconds to which the pointer points in a chart. */
  pointed: number | null = null;
  readonly history: FeedHistory = new FeedHistory();
  readonly #waiting = new Map<number, string>();
  #noticed = 0;

  /** The id of the connection in view. */
  get connection(): number | undefined {
    return this.view.name === "connection" ? Number(this.view.of) : undefined;
  }

  /** The Unix time in milliseconds of second 0. */
  get startedAt(): number {
    return this.hello?.startedAt ?? 0;
  }

  /** What to ask for next. */
  get question(): NextMessage {
    const { history, connection } = this;
    return {
      type: "next",
      ...(history.newest !== undefined && { second: history.newest }),
      ...(history.newestEnded !== undefined && { ended: history.newestEnded }),
      sort: this.sort,
      descending: this.descending,
      ...(this.filter !== "" && { filter: this.filter }),
      ...(connection !== undefined && { connection }),
      ...(this.frames[0] !== undefined && { frame: this.frames[0].number }),
    };
  }

  /** A process that has begun again has other numbers. */
  greet(hello: HelloMessage): void {
    const before = this.hello;
    this.hello = hello;
    this.#waiting.clear();
    if (before === undefined || before.instance === hello.instance) return;
    this.history.clear();
    this.update = undefined;
    this.detail = undefined;
    this.frames = [];
    this.notice(`The server has started again: process ${hello.pid} on ${hello.host}. Its numbers begin anew.`);
  }

  take(update: UpdateMessage): void {
    this.update = update;
    this.history.add(update);
    this.times = this.history.seconds.map((second) => this.startedAt / 1_000 + second);
    this.ends = endsByCause(this.history, this.startedAt);
    const { connection } = update;
    if (this.connection === undefined) return;
    if (connection?.row.id === this.connection) {
      this.detail = connection;
      const known = this.frames[0]?.number ?? -1;
      const later = connection.frames.filter(({ number }) => number > known).reverse();
      if (later.length > 0) this.frames = [...later, ...this.frames].slice(0, FRAMES);
    } else if (this.detail === undefined) this.detail = null;
  }

  /** Shows the view that a fragment names. Returns whether another question is needed. */
  go(fragment: string): boolean {
    const [path = "", query = ""] = fragment.replace(/^#\/?/, "").split("?");
    const [name = "", ...rest] = path.split("/");
    const view = { name: (VIEWS.includes(name) ? name : "overview") as ViewName, of: rest.join("/") };
    const same = view.name === this.view.name && view.of === this.view.of;
    this.view = view;
    const sort = /^sort=(\w+)$/.exec(query)?.[1];
    if (sort !== undefined) [this.sort, this.descending] = [sort as SortColumn, true];
    if (!same) [this.detail, this.frames] = [undefined, []];
    return !same || sort !== undefined;
  }

  /** Another column sorts it from its largest value; the same one again in the other direction. */
  sortBy(column: SortColumn): void {
    this.descending = this.sort === column ? !this.descending : !TEXTS.includes(column);
    this.sort = column;
  }

  /** Notes what a result of this number is about. */
  await(request: number | undefined, what: string): void {
    if (request === undefined) this.notice(`${what}: not done, the server cannot be reached`, true);
    else this.#waiting.set(request, what);
  }

  result({ request, ok, text }: ResultMessage): void {
    const what = this.#waiting.get(request);
    this.#waiting.delete(request);
    if (what !== undefined) this.notice(`${what}: ${text || (ok ? "done" : "not done")}`, !ok);
  }

  notice(text: string, bad = false): void {
    this.#noticed += 1;
    this.notices = [...this.notices, { key: this.#noticed, text, bad }].slice(-NOTICES);
  }

  dismiss(key: number): void {
    this.notices = this.notices.filter((one) => one.key !== key);
  }
}

const TEXTS: readonly SortColumn[] = ["id", "role", "kind", "remote", "path", "state"];
