/** The chat of `holdfast serve`: one topic, whose last messages everybody gets who joins. */

import {
  type Broker,
  type Connection,
  DEFAULTS,
  type Gap,
  Hub,
  type HubEvent,
  type Message,
  type Topic,
  type TopicEncoder,
} from "../../index.ts";

/** How many messages the chat keeps, and for how long, in milliseconds. */
const KEPT_MESSAGES = 50;
const KEPT_TIME = 86_400_000;

const TRY_AGAIN_LATER = 1013;

/** Members get the messages as they are, and a line for a gap. */
const ENCODER: TopicEncoder = {
  message: ({ message }) => message,
  gap: (gap) => gapLine(gap),
};

/** The chat of this process, and through the broker of all processes that use it. */
export class Chat implements AsyncDisposable {
  readonly #hub: Hub;
  readonly #topic: Topic;
  /** The last thing that was reported, so that a broker that stays away is reported once. */
  #reported = "";

  /** Without a broker the chat is one of this process. `maxMessageSize`: the largest message that a client can send. */
  constructor(broker: Broker | undefined, maxMessageSize: number) {
    const observe = broker === undefined ? undefined : (event: HubEvent): void => this.#report(event);
    this.#hub = new Hub({ broker, encoder: ENCODER, observe });
    const bytes = Math.max(DEFAULTS.topic.history.bytes, 2 * maxMessageSize);
    this.#topic = this.#hub.topic("chat", { history: { messages: KEPT_MESSAGES, bytes, age: KEPT_TIME } });
  }

  /** Adds a client, which gets the last messages. It is closed with 1013 if the broker does not answer. */
  async join(connection: Connection): Promise<void> {
    try {
      await this.#topic.join(connection, { last: KEPT_MESSAGES });
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

  [Symbol.asyncDispose](): Promise<void> {
    return this.#hub.close();
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

function gapLine({ count, reason }: Gap): string {
  const missing = count === undefined ? "messages" : count === 1 ? "1 message" : `${count} messages`;
  return `-- ${missing} may be missing here (${reason})`;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
