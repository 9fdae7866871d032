/** One viewer of the feed: answers its questions at its own pace. */

import { after, type Clock, type Instant, reached, type Wakeup } from "../base/time.ts";
import type { Connection, Message } from "../core.ts";
import type { ActionMessage, FeedMessage, NextMessage, ResultMessage } from "./feed.ts";
import { viewerMessageOf } from "./viewer-message.ts";

const POLICY_VIOLATION = 1008;

/** An answer to a changed question follows the last one after so many milliseconds: a viewer that sorts does not wait for the second. */
const SHORTEST_PAUSE = 250;

/** More messages of a viewer in one second close it. The page sends two at most, and one for each action. */
const MOST_MESSAGES = 50;

/** Actions of a viewer that are not answered yet. */
const MOST_ACTIONS = 16;

/** The dashboard, as a viewer uses it. */
interface ViewerOwner {
  readonly clock: Clock;
  update(question: NextMessage): FeedMessage;
  act(message: ActionMessage, held: Set<Connection>): Promise<ResultMessage>;
  /** The viewer leaves these connections paused. */
  release(held: Iterable<Connection>): void;
}

export class Viewer {
  readonly connection: Connection;
  readonly #owner: ViewerOwner;
  #question: NextMessage | undefined;
  /** What decides about the answer, apart from what the viewer has already. */
  #lastSubject: string | undefined;
  #notBefore: Instant;
  #wakeup: Wakeup | undefined;
  #messages = 0;
  #actions = 0;
  /** The connections that it has paused. */
  readonly #held = new Set<Connection>();

  constructor(connection: Connection, owner: ViewerOwner) {
    this.connection = connection;
    this.#owner = owner;
    this.#notBefore = owner.clock.now();
  }

  /** A message has arrived. */
  receive(data: Message): void {
    this.#messages += 1;
    const message = viewerMessageOf(data);
    if (message === undefined) void this.connection.close(POLICY_VIOLATION, "not a message of the feed");
    else if (this.#messages > MOST_MESSAGES) void this.connection.close(POLICY_VIOLATION, "too many messages");
    else if (message.type === "next") this.#ask(message);
    else void this.#act(message);
  }

  /** A second has ended. */
  secondEnded(): void {
    this.#messages = 0;
    if (this.#question !== undefined) this.#answer();
  }

  /** The viewer has left. */
  leave(): void {
    this.#wakeup?.cancel();
    this.#question = undefined;
    this.#owner.release(this.#held);
  }

  send(message: FeedMessage): void {
    if (this.connection.state === "OPEN") this.connection.trySend(JSON.stringify(message), { overflow: "close" });
  }

  #ask(question: NextMessage): void {
    this.#question = question;
    if (this.#wakeup !== undefined || subjectOf(question) === this.#lastSubject) return;
    const { clock } = this.#owner;
    if (reached(this.#notBefore, clock.now())) this.#answer();
    else
      this.#wakeup = clock.wakeAt(this.#notBefore, () => {
        this.#wakeup = undefined;
        if (this.#question !== undefined) this.#answer();
      });
  }

  #answer(): void {
    // The last answer has not left: the viewer asks without reading.
    if (this.#question === undefined || this.connection.queuedBytes > 0) return;
    const question = this.#question;
    this.#question = undefined;
    this.#wakeup?.cancel();
    this.#wakeup = undefined;
    this.#lastSubject = subjectOf(question);
    this.#notBefore = after(this.#owner.clock.now(), SHORTEST_PAUSE);
    this.send(this.#owner.update(question));
  }

  async #act(message: ActionMessage): Promise<void> {
    if (this.#actions >= MOST_ACTIONS) {
      this.send({ type: "result", request: message.request, ok: false, text: "too many actions are in progress" });
      return;
    }
    this.#actions += 1;
    const result = await this.#owner.act(message, this.#held);
    this.#actions -= 1;
    this.send(result);
  }
}

function subjectOf({ sort, descending, filter, connection }: NextMessage): string {
  return JSON.stringify([sort, descending, filter, connection]);
}
