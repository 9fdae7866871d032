/** A program of another project as a peer: it receives orders from the test, and reports what happened. */

import type { Happening, Order, Saying, Setting, Tell } from "./speakers/orders.ts";

/** How orders reach a peer. */
export interface Line {
  readonly order: (order: Order) => void;
  readonly end: () => Promise<void>;
}

/** Opens a line: `tell` is called with each report of the peer, `gone` after the last one. */
export type Open = (tell: Tell, gone: (why: Error) => void) => Promise<Line>;

function encoded(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
}

interface Waiting<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (why: Error) => void;
}

/** A queue of reports that are taken one by one. */
class Queue<T> {
  readonly #come: T[] = [];
  readonly #waiting: Waiting<T>[] = [];
  #ended: Error | undefined;

  push(value: T): void {
    const first = this.#waiting.shift();
    if (first === undefined) this.#come.push(value);
    else first.resolve(value);
  }

  end(why: Error): void {
    this.#ended ??= why;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#ended);
  }

  async take(): Promise<T> {
    if (this.#come.length > 0) return this.#come.shift() as T;
    if (this.#ended !== undefined) throw this.#ended;
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }
}

type Opened = Happening & { readonly told: "open" };
type Closed = Happening & { readonly told: "closed" };

/** One connection of a peer. */
export class ForeignConnection {
  readonly #say: (saying: Saying) => void;
  readonly #opened = new Queue<Opened>();
  readonly #messages = new Queue<string | Buffer>();
  readonly #pings = new Queue<Buffer>();
  readonly #pongs = new Queue<Buffer>();
  readonly #closed = new Queue<Closed>();

  constructor(say: (saying: Saying) => void) {
    this.#say = say;
  }

  send(message: string | Uint8Array): void {
    if (typeof message === "string") this.#say({ do: "text", text: message });
    else this.#say({ do: "binary", base64: encoded(message) });
  }

  fragments(type: "text" | "binary", ...parts: Uint8Array[]): void {
    this.#say({ do: "fragments", type, parts: parts.map(encoded) });
  }

  sendPing(payload: Uint8Array): void {
    this.#say({ do: "ping", base64: encoded(payload) });
  }

  close(code?: number, reason?: string): void {
    this.#say({ do: "close", ...(code !== undefined && { code }), ...(reason !== undefined && { reason }) });
  }

  raw(bytes: Uint8Array): void {
    this.#say({ do: "raw", base64: encoded(bytes) });
  }

  drop(): void {
    this.#say({ do: "drop" });
  }

  open(): Promise<Opened> {
    return this.#opened.take();
  }

  message(): Promise<string | Buffer> {
    return this.#messages.take();
  }

  ping(): Promise<Buffer> {
    return this.#pings.take();
  }

  pong(): Promise<Buffer> {
    return this.#pongs.take();
  }

  closed(): Promise<Closed> {
    return this.#closed.take();
  }

  told(happening: Happening): void {
    if (happening.told === "open") this.#opened.push(happening);
    else if (happening.told === "text") this.#messages.push(happening.text);
    else if (happening.told === "binary") this.#messages.push(Buffer.from(happening.base64, "base64"));
    else if (happening.told === "ping") this.#pings.push(Buffer.from(happening.base64, "base64"));
    else if (happening.told !== "closed") this.#pongs.push(Buffer.from(happening.base64, "base64"));
    else {
      this.#closed.push(happening);
      this.gone(new Error(`the peer was told the end: ${happening.code} ${happening.reason}`));
    }
  }

  gone(why: Error): void {
    for (const queue of [this.#opened, this.#messages, this.#pings, this.#pongs, this.#closed]) queue.end(why);
  }
}

/** One peer, as a client or as a server, with all its connections. */
export class ForeignPeer implements AsyncDisposable {
  readonly #talkers = new Map<number, ForeignConnection>();
  readonly #versions = new Queue<string>();
  readonly #ports = new Queue<number>();
  #line: Line | undefined;
  #next = 1;
  #gone: Error | undefined;
  version = "";

  static async start(open: Open): Promise<ForeignPeer> {
    const foreign = new ForeignPeer();
    foreign.#line = await open(
      (told) => {
        if (told.told === "ready") foreign.#versions.push(told.version);
        else if (told.told === "serving") foreign.#ports.push(told.port);
        else foreign.#talkers.get(told.on)?.told(told);
      },
      (why) => {
        foreign.#gone ??= why;
        for (const queue of [foreign.#versions, foreign.#ports]) queue.end(why);
        for (const talker of foreign.#talkers.values()) talker.gone(why);
      },
    );
    foreign.version = await foreign.#versions.take();
    return foreign;
  }

  /** Makes it listen, on a port that it chooses. Each of its connections begins with the greeting, if there is one. */
  async serve(setting: Setting, greeting: string | null): Promise<number> {
    this.#line?.order({ do: "serve", greeting, ...setting });
    return this.#ports.take();
  }

  /** Makes it connect. */
  dial(url: string, setting: Setting): ForeignConnection {
    const { on, talker } = this.expected();
    this.#line?.order({ do: "dial", on, url, port: Number(new URL(url).port), ...setting });
    return talker;
  }

  /** The connection that will request the path `/on`. */
  expected(): { readonly on: number; readonly talker: ForeignConnection } {
    const on = this.#next;
    this.#next += 1;
    const talker = new ForeignConnection((saying) => this.#line?.order({ on, ...saying }));
    this.#talkers.set(on, talker);
    if (this.#gone !== undefined) talker.gone(this.#gone);
    return { on, talker };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#line?.end();
  }
}
