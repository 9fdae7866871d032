/** The connections of a running server, from the feed of its dashboard, as rows of `holdfast top`. */

import {
  type ConnectionRow,
  FEED_VERSION,
  type HelloMessage,
  type NextMessage,
  NUMBER_NAMES,
  type NumberName,
  type Sample,
  type SortColumn,
  type UpdateMessage,
} from "../../dashboard/feed.ts";
import { type Connection, connect, type Message } from "../../index.ts";
import { printableLine } from "../terminal.ts";
import type { TopSnapshot, TopSource } from "./source.ts";
import { scaled, shortDuration, type TopColumn, type TopRow, type TopView } from "./table.ts";

/** A column of the feed: the server sorts by its name. */
type FeedColumn = TopColumn & { readonly name: SortColumn };

export const FEED_COLUMNS: readonly FeedColumn[] = [
  { name: "id", title: "ID", unit: "number", width: 7, text: "number of the connection" },
  { name: "remote", title: "REMOTE", unit: "text", width: 22, text: "address and port of the peer" },
  { name: "path", title: "PATH", unit: "text", width: 14, text: "path of the request" },
  { name: "queuedBytes", title: "QUEUE", unit: "bytes", width: 6, text: "bytes in the send queue" },
  { name: "messagesInRate", title: "IN/S", unit: "count per second", width: 6, text: "messages received each second" },
  { name: "messagesOutRate", title: "OUT/S", unit: "count per second", width: 6, text: "messages sent each second" },
  { name: "rtt", title: "RTT", unit: "milliseconds", width: 6, text: "the last round trip of a Ping" },
  { name: "age", title: "AGE", unit: "milliseconds", width: 7, text: "time since it opened" },
  { name: "bytesInRate", title: "BYTES-IN/S", unit: "bytes per second", width: 10, text: "bytes received each second" },
  { name: "bytesOutRate", title: "BYTES-OUT/S", unit: "bytes per second", width: 11, text: "bytes sent each second" },
  { name: "inboxBytes", title: "INBOX", unit: "bytes", width: 6, text: "bytes that the application has not taken" },
  { name: "paused", title: "PAUSED", unit: "milliseconds", width: 7, text: "how long it has not read" },
  { name: "state", title: "STATE", unit: "text", width: 7, text: "OPEN, CLOSING or CLOSED" },
  { name: "peerEnded", title: "ENDED", unit: "milliseconds", width: 7, text: "how long the peer's FIN is known" },
];

// Bytes. The first update has 10 minutes of history and 500 ended connections.
const MAX_UPDATE = 16_777_216;

// Milliseconds between two questions. The feed ends a viewer that asks more than 50 times in a second, and a key can repeat as often.
const PACE = 100;

export interface FeedOptions {
  readonly token: string | undefined;
  readonly insecure: boolean;
  readonly ca: string | undefined;
}

/** The address of the feed for the URL of a server, of its dashboard or of the feed itself. Throws TypeError if it is no URL. */
export function feedUrl(url: string): string {
  const parsed = new URL(url.replace(/^http/i, "ws"));
  const path = parsed.pathname.replace(/\/+$/, "");
  parsed.pathname = path === "" ? "/dashboard/feed" : path.endsWith("/feed") ? path : `${path}/feed`;
  return parsed.href;
}

interface FeedAddress {
  readonly url: string;
  readonly options: FeedOptions;
  /** Aborts an opening. */
  readonly closing: AbortController;
}

interface OpenFeed {
  readonly connection: Connection<undefined>;
  readonly hello: HelloMessage;
}

async function openFeed({ url, options: { token, insecure, ca }, closing }: FeedAddress): Promise<OpenFeed> {
  const connection = await connect(url, {
    maxMessageSize: MAX_UPDATE,
    signal: closing.signal,
    ...(token !== undefined && { headers: [["Authorization", `Bearer ${token}`]] }),
    tls: { ...(insecure && { rejectUnauthorized: false }), ...(ca !== undefined && { ca }) },
  });
  try {
    const hello = parsed(await connection.receive());
    if (hello["type"] !== "hello" || hello["feed"] !== FEED_VERSION)
      throw new Error("the server has no feed that this version can read: use the version of the server");
    return { connection, hello: hello as unknown as HelloMessage };
  } catch (error) {
    connection.terminate();
    throw error;
  }
}

export class FeedSource implements TopSource {
  readonly columns: readonly TopColumn[] = FEED_COLUMNS;
  readonly sort = "queuedBytes";
  readonly arranged = true;
  readonly lasting = true;
  readonly #feed: FeedAddress;
  #connection: Connection<undefined>;
  #hello: HelloMessage;
  /** The newest second. An update in the same second has none. */
  #sample: Sample = [];
  /** The newest ended connection, so that the server need not send it again. */
  #ended: number | undefined;
  /** The call of `read` that waits. */
  #waiting:
    | { readonly resolve: (update: UpdateMessage) => void; readonly reject: (error: unknown) => void }
    | undefined;
  /** What the user has chosen last. */
  #view: TopView | undefined;
  #later: NodeJS.Timeout | undefined;
  /** True when the connection has ended. */
  #lost = false;

  private constructor(feed: FeedAddress, { connection, hello }: OpenFeed) {
    this.#feed = feed;
    this.#connection = connection;
    this.#hello = hello;
    void this.#receive(connection);
  }

  /** Connects. Rejects with the error of `connect`, and with an error if the server has another feed than this program. */
  static async open(url: string, options: FeedOptions): Promise<FeedSource> {
    const feed = { url: feedUrl(url), options, closing: new AbortController() };
    return new FeedSource(feed, await openFeed(feed));
  }

  /** The answer to a question that is still due is by this view then, and comes at once. */
  changed(view: TopView): void {
    this.#view = view;
    this.#later ??= setTimeout(() => {
      this.#later = undefined;
      if (this.#waiting !== undefined && this.#view !== undefined) this.#ask(this.#view);
    }, PACE);
  }

  /** After the end of the connection it opens another one. */
  async read(view: TopView): Promise<TopSnapshot> {
    if (this.#lost) await this.#reopen();
    const update = new Promise<UpdateMessage>((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
    this.#view = view;
    this.#ask(view);
    const answer = await update;
    return { summary: this.#summary(answer), rows: answer.connections.map(rowOf), total: answer.total };
  }

  async #reopen(): Promise<void> {
    const { connection, hello } = await openFeed(this.#feed);
    this.#connection = connection;
    this.#hello = hello;
    // The process may be another one, which knows nothing of the former seconds.
    this.#sample = [];
    this.#ended = undefined;
    this.#lost = false;
    void this.#receive(connection);
  }

  /** Receives all the time: after a question that came too late for its answer there is another answer, which is out of date. */
  async #receive(connection: Connection<undefined>): Promise<void> {
    try {
      for (;;) {
        const message = parsed(await connection.receive());
        if (message["type"] !== "update") continue;
        const update = message as unknown as UpdateMessage;
        this.#sample = update.samples.at(-1) ?? this.#sample;
        this.#ended = numberOf(update.ended.at(-1)?.number) ?? this.#ended;
        this.#waiting?.resolve(update);
        this.#waiting = undefined;
      }
    } catch (error) {
      this.#lost = true;
      this.#waiting?.reject(error);
      this.#waiting = undefined;
      connection.terminate();
    }
  }

  #ask(view: TopView): void {
    const column = FEED_COLUMNS.find(({ name }) => name === view.sort);
    const question: NextMessage = {
      type: "next",
      ...(this.#sample[0] != null && { second: this.#sample[0] }),
      ...(this.#ended !== undefined && { ended: this.#ended }),
      ...(column !== undefined && { sort: column.name }),
      descending: column?.unit === "text" ? view.reverse : !view.reverse,
      filter: view.filter,
    };
    this.#connection.trySend(JSON.stringify(question));
  }

  async close(): Promise<void> {
    clearTimeout(this.#later);
    this.#feed.closing.abort();
    await this.#connection.close();
  }

  #summary({ total, matching }: UpdateMessage): readonly string[] {
    const { host, pid, version, node } = this.#hello;
    const value = (name: NumberName): number => numberOf(this.#sample[NUMBER_NAMES.indexOf(name) + 1]) ?? 0;
    const bytes = (name: NumberName): string => `${scaled(value(name), 1_024)}B`;
    const count = (name: NumberName): string => scaled(value(name), 1_000);
    const filtered = matching === total ? "" : `, ${matching} with this filter`;
    const versions = [version, node].map((text) => printableLine(String(text)));
    const traffic = ["in", "out"].map((way) => {
      const [messages, length] =
        way === "in" ? (["messagesIn", "bytesIn"] as const) : (["messagesOut", "bytesOut"] as const);
      return `${way} ${count(messages)}/s ${bytes(length)}/s`;
    });
    const load = `loop p99 ${shortDuration(value("loopP99"))}, cpu ${Math.round(value("cpu"))} %, rss ${bytes("rss")}`;
    return [
      `process ${pid} on ${printableLine(String(host))}: ${total} connections${filtered}; holdfast ${versions.join(", Node ")}`,
      `${traffic.join(", ")}, queued ${bytes("queuedBytes")}, ${load}`,
    ];
  }
}

const NUMBERS_OF_ROW = FEED_COLUMNS.filter(({ unit }) => unit !== "text").map(({ name }) => name);

/** Only the values of the columns, and those only of the expected type. */
function rowOf(row: ConnectionRow): TopRow {
  const numbers = NUMBERS_OF_ROW.map((name) => [name, numberOf((row as unknown as Record<string, unknown>)[name])]);
  const { remote, path, state } = row;
  return {
    remote: String(remote),
    path: String(path),
    state: String(state),
    ...Object.fromEntries(numbers),
  };
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}

/** Throws an error for a message that is no JSON object. */
function parsed(message: Message): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(String(message));
  if (typeof value === "object" && value !== null) return value as Readonly<Record<string, unknown>>;
  throw new Error("the server sent a message that is not of a feed");
}
