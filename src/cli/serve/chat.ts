/** The chat of `holdfast serve`: one topic, whose last messages each client gets that joins, and the list of its members. */

import {
  type Broker,
  type Connection,
  DEFAULTS,
  type Gap,
  Group,
  Hub,
  type HubEvent,
  type Message,
  type PresenceEvent,
  type Topic,
  type TopicEncoder,
  type UpgradeRequest,
} from "../../index.ts";

/** How many messages the chat keeps, and for how long, in milliseconds. */
const KEPT_MESSAGES = 50;
const KEPT_TIME = 86_400_000;

const TRY_AGAIN_LATER = 1013;

/** The list of members has at most so many names, and is sent at most once in this time, in milliseconds. */
const LISTED = 100;
const LIST_PAUSE = 100;

/** The longest name of a member, in characters. */
const LONGEST_NAME = 40;

/** Members get the messages as they are, and a line for a gap. */
const ENCODER: TopicEncoder = {
  message: ({ message }) => message,
  gap: (gap) => gapLine(gap),
};

/** The chat of this process, and through the broker of all processes that use it. */
export class Chat implements AsyncDisposable {
  /** The hub of its topic, for the dashboard. */
  readonly hub: Hub;
  readonly #topic: Topic;
  readonly #viewers = new Group();
  readonly #ending = new AbortController();
  /** The names of the members at all processes, in the order in which they came. Undefined until a client asks for them. */
  #names: string[] | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** The last thing that was reported, so that a broker that stays away is reported once. */
  #reported = "";

  /** Without a broker the chat is one of this process. `maxMessageSize`: the largest message that a client can send. */
  constructor(broker: Broker | undefined, maxMessageSize: number) {
    const observe = broker === undefined ? undefined : (event: HubEvent): void => this.#report(event);
    this.hub = new Hub({ broker, encoder: ENCODER, observe });
    const bytes = Math.max(DEFAULTS.topic.history.bytes, 2 * maxMessageSize);
    this.#topic = this.hub.topic("chat", {
      history: { messages: KEPT_MESSAGES, bytes, age: KEPT_TIME },
      presence: true,
    });
  }

  /** Adds a client, which gets the last messages. It is closed with 1013 if the broker does not answer. */
  async join(connection: Connection, request: UpgradeRequest | undefined): Promise<void> {
    try {
      const presence = { id: nameIn(request) };
      await this.#topic.join(connection, { last: KEPT_MESSAGES, presence });
    } catch (error) {
      if (connection.state !== "OPEN") return;
      this.#write(`a client could not join the chat: ${textOf(error)}`);
      await connection.close(TRY_AGAIN_LATER, "the chat is not available");
    }
  }

  /** Sends a message to all, its author too. The author gets a line if nobody got it, or if that is unknown. */
  async publish(connection: Connection, message: Message): Promise<void> {
    try {
      await this.#topic.publish(message);
    } catch (error) {
      connection.trySend(`-- your message was not confirmed: ${textOf(error)}`);
    }
  }

  /** Sends a client the list of members: now, and when it changes. */
  showMembers(connection: Connection): void {
    this.#viewers.join(connection);
    if (this.#names !== undefined) void connection.trySend(this.#list());
    else {
      this.#names = [];
      void this.#watch();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    clearTimeout(this.#timer);
    return this.hub.close();
  }

  async #watch(): Promise<void> {
    try {
      for await (const event of this.#topic.watch({ signal: this.#ending.signal })) {
        this.#apply(event);
        this.#timer ??= setTimeout(() => {
          this.#timer = undefined;
          this.#viewers.send(this.#list(), { overflow: "coalesce", key: "members" });
        }, LIST_PAUSE);
      }
    } catch (error) {
      this.#names = undefined;
      if (!this.#ending.signal.aborted) this.#write(`the members of the chat are not known: ${textOf(error)}`);
    }
  }

  #apply(event: PresenceEvent): void {
    const names = this.#names ?? [];
    if (event.type === "present") this.#names = event.members.map(({ id }) => id);
    else if (event.type === "join") names.push(event.member.id);
    else if (event.type === "leave") names.splice(names.indexOf(event.member.id), 1);
  }

  #list(): string {
    const names = this.#names ?? [];
    return JSON.stringify({ count: names.length, members: names.slice(0, LISTED) });
  }

  #report(event: HubEvent): void {
    if (event.type === "suspect") this.#write(`the broker was interrupted: ${textOf(event.cause)}`);
    if (event.type === "healed")
      this.#write(`the broker is there again; ${event.entries} messages were missing, and read`);
    if (event.type === "gap") this.#write(gapLine(event.gap).slice(3));
    if (event.type === "unreadable") this.#write(textOf(event.error));
  }

  #write(line: string): void {
    if (line === this.#reported) return;
    this.#reported = line;
    process.stderr.write(`holdfast: ${line}\n`);
  }
}

/** The name in the query of a client. */
function nameIn(request: UpgradeRequest | undefined): string {
  const name = new URLSearchParams(request?.query).get("name")?.trim().slice(0, LONGEST_NAME);
  return name === undefined || name === "" ? "guest" : name;
}

function gapLine({ count, reason }: Gap): string {
  const missing = count === undefined ? "messages" : count === 1 ? "1 message" : `${count} messages`;
  return `-- ${missing} may be missing here (${reason})`;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
