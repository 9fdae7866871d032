/** The hub of a process: its topics, and the broker that carries their messages to the hubs of other processes. */

import { judgeString } from "../base/judge.ts";
import { judgeTopicName } from "../broker/arguments.ts";
import type { HubStats, TopicFacts } from "./events.ts";
import { HubCore } from "./hub-core.ts";
import { type HubOptions, settleHub, settleTopic, type TopicOptions } from "./options.ts";
import { CHANNEL_BYTES } from "./presence-form.ts";
import { type Topic, TopicOfHub } from "./topic.ts";

/**
 * The topics of this process. Hubs that use one broker share their topics: a message that one of them publishes reaches the members of
 * all. The hub receives the messages of a topic while it has members or followers.
 */
export class Hub implements AsyncDisposable {
  readonly #core: HubCore;

  constructor(options: HubOptions = {}) {
    this.#core = new HubCore(settleHub(options));
  }

  /**
   * The topic with this name. Makes no connection and keeps no memory until it is joined. Throws TypeError or RangeError for an invalid
   * name or option: a name has 1 to 255 bytes of UTF-8, and does not begin with U+0000.
   */
  topic(name: string, options: TopicOptions = {}): Topic {
    judgeString("topic", name);
    judgeTopicName(name);
    // The hubs use such names themselves.
    if (name.startsWith("\0")) throw new RangeError("Cannot use topic: a name must not begin with U+0000");
    const settings = settleTopic(options);
    if (settings.presence) judgeTopicName(`${name}${" ".repeat(CHANNEL_BYTES)}`);
    return new TopicOfHub(this.#core, name, settings);
  }

  /** The names of the topics that have members or followers in this process. */
  get topics(): readonly string[] {
    return this.#core.names;
  }

  get stats(): HubStats {
    return this.#core.stats;
  }

  /** @internal */
  static topicsOf(hub: Hub): TopicFacts[] {
    return hub.#core.topics;
  }

  /** Ends all topics and closes the broker. Members stay connected. Pending calls reject with ClosedError. */
  close(): Promise<void> {
    return this.#core.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
