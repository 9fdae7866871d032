/** The connection of the page to the feed: asks at the pace of the page, and connects again when it is lost. */

import type { ActionMessage, FeedMessage, HelloMessage, NextMessage, ResultMessage, UpdateMessage } from "../feed.ts";
import type { FeedLink } from "./state.ts";

export interface FeedEvents {
  link(link: FeedLink): void;
  hello(message: HelloMessage): void;
  update(message: UpdateMessage): void;
  result(message: ResultMessage): void;
}

const SHORTEST_PAUSE = 500;
const LONGEST_PAUSE = 10_000;
/** An update comes each second. A server without an answer for this time is lost, although its machine has not said so. */
const LONGEST_ANSWER = 10_000;
/** Of an answer that is not the feed, in characters. */
const LONGEST_TEXT = 200;

export class FeedClient {
  readonly #url: string;
  readonly #events: FeedEvents;
  readonly #question: () => NextMessage;
  #socket: WebSocket | undefined;
  #open = false;
  #failures = 0;
  #lostAt: number | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #overdue: ReturnType<typeof setTimeout> | undefined;
  #requests = 0;

  /** `question` is called for each question: what the page shows decides what it asks for. */
  constructor(url: string, events: FeedEvents, question: () => NextMessage) {
    this.#url = url;
    this.#events = events;
    this.#question = question;
  }

  connect(): void {
    clearTimeout(this.#retry);
    if (this.#socket !== undefined) return;
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    let greeted = false;
    this.#expectAnswer();
    socket.onmessage = ({ data }: MessageEvent<string>) => {
      if (socket !== this.#socket) return;
      clearTimeout(this.#overdue);
      const message = JSON.parse(data) as FeedMessage;
      if (message.type === "hello") {
        greeted = this.#open = true;
        this.#failures = 0;
        this.#lostAt = undefined;
        this.#events.hello(message);
        this.#events.link({ state: "open" });
        this.ask();
      } else if (message.type === "update") this.#events.update(message);
      else if (message.type === "result") this.#events.result(message);
    };
    socket.onclose = () => {
      if (socket === this.#socket) this.#lost(greeted);
    };
  }

  /** Asks for the next update, in place of an earlier question without an answer. */
  ask(): void {
    if (!this.#open) return;
    this.#socket?.send(JSON.stringify(this.#question()));
    this.#expectAnswer();
  }

  /** Returns the number that the result will have, or undefined while the connection is lost. */
  act(action: Omit<ActionMessage, "type" | "request">): number | undefined {
    if (!this.#open) return undefined;
    this.#requests += 1;
    this.#socket?.send(JSON.stringify({ type: "action", request: this.#requests, ...action } satisfies ActionMessage));
    return this.#requests;
  }

  #expectAnswer(): void {
    clearTimeout(this.#overdue);
    const socket = this.#socket;
    this.#overdue = setTimeout(() => {
      if (socket !== this.#socket) return;
      socket?.close();
      this.#lost(this.#open);
    }, LONGEST_ANSWER);
  }

  #lost(wasOpen: boolean): void {
    clearTimeout(this.#overdue);
    this.#socket = undefined;
    this.#open = false;
    this.#lostAt ??= Date.now();
    // Random, so that the pages of a restarted server do not connect all at once.
    const pause = Math.min(LONGEST_PAUSE, SHORTEST_PAUSE * 2 ** this.#failures) * (0.5 + Math.random() / 2);
    this.#failures += 1;
    this.#retry = setTimeout(() => this.connect(), pause);
    this.#events.link({ state: "lost", since: this.#lostAt });
    // A browser does not say why an opening failed. The answer to an ordinary request does.
    if (!wasOpen) void this.#inquire(this.#lostAt);
  }

  async #inquire(since: number): Promise<void> {
    let [status, text] = [0, ""];
    try {
      const answer = await fetch(this.#url.replace(/^ws/, "http"), { cache: "no-store" });
      [status, text] = [answer.status, (await answer.text()).trim().slice(0, LONGEST_TEXT)];
    } catch {
      return;
    }
    if (this.#open || this.#lostAt !== since) return;
    // 426: the feed would have answered a WebSocket. It was only late.
    if (status !== 426) this.#events.link({ state: "refused", status, text });
  }
}
