/** Defines the interface through which a hub publishes, receives and reads the messages of topics on several machines. */

/**
 * A message broker, such as Redis or NATS JetStream, as a `Hub` uses it. `memoryBroker`, `redisBroker`, `natsBroker` and the broker
 * of `startWorkers` implement this interface. An application can implement it for another broker; the contract suite in
 * `tests/broker/contract.ts` is what an implementation must pass.
 *
 * A broker delivers each entry at most once, and reports every suspicion that entries are missing. It does not repair anything:
 * the hub reads what is missing from the log, or tells its members of the gap.
 */
export interface Broker extends AsyncDisposable {
  /** What this broker can promise. The hub depends on it, and the contract suite checks it. */
  readonly honours: BrokerHonours;
  /**
   * Publishes a message to all subscriptions of the topic, on all nodes, those of this broker object included. With
   * `options.history` the message is first appended to the log of the topic, and the log is trimmed to these limits.
   *
   * Resolves when the server has confirmed it. Rejects with LimitError or ClosedError if nothing was sent, and with TimeoutError or
   * InDoubtError if the server may have the message. The caller must not change the bytes afterwards.
   */
  publish(topic: string, message: Uint8Array, options: BrokerPublishOptions): Promise<Published>;
  /**
   * Calls `listener` with every entry that is published to the topic, in the order of the log, from `ready` on until `close`. After
   * a lost connection the broker subscribes again by itself. Several subscriptions to one topic are independent.
   */
  subscribe(topic: string, listener: BrokerListener): BrokerSubscription;
  /**
   * Reads entries of the log. A topic without a log has no entries, `first` 1 and `top` 0. Rejects with TimeoutError if the server
   * does not answer in time, and with ClosedError if there is no connection to it.
   */
  read(topic: string, request: ReadRequest): Promise<Slice>;
  /**
   * Gives the log a new epoch if its epoch is still `epoch`, and resolves with the epoch that it has now. The hub calls it when the
   * entries under known offsets are other ones than before: positions in the former history are not valid any more.
   */
  renew(topic: string, epoch: string): Promise<string>;
  /**
   * From now on only a publish with this attempt, or a higher one, is accepted from the producer in this topic. Resolves with false
   * if a higher attempt was claimed before. Absent if `honours.fence` is false.
   */
  claim?(topic: string, producer: string, attempt: number): Promise<boolean>;
  /**
   * Ends all subscriptions and connections. Pending calls reject with ClosedError, and publications that the server may have with
   * InDoubtError.
   */
  close(): Promise<void>;
}

/** What a broker can promise. */
export interface BrokerHonours {
  /** Whether it keeps a log of each topic, with offsets, so that missed entries can be read. */
  readonly log: boolean;
  /**
   * Whether the offsets of a topic have no holes: each is the one before plus 1. Otherwise each entry names the one before it in
   * `previous`.
   */
  readonly contiguous: boolean;
  /** What can end without loss of the log: nothing, a node (a process that uses the broker), or the broker's server. */
  readonly survives: "nothing" | "node" | "broker";
  /** Whether a message that is published twice with one `id` is stored and delivered once. */
  readonly once: boolean;
  /** Whether `claim` exists. */
  readonly fence: boolean;
}

/** Options of one message. */
export interface BrokerPublishOptions {
  /** The message is appended to the log, which keeps at most this. Without it the message is delivered, and not kept. */
  readonly history: HistoryLimits | undefined;
  /** A second message with this id within `ONCE_WINDOW` is not published, if `honours.once` and `history` are there. At most 255 bytes. */
  readonly id: string | undefined;
  /** Refuses the message if a higher attempt of this producer was claimed. Ignored if `honours.fence` is false. */
  readonly fence: { readonly producer: string; readonly attempt: number } | undefined;
  /** In milliseconds. */
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
}

/** How much of a topic the log keeps. The oldest entries are removed first. */
export interface HistoryLimits {
  readonly messages: number;
  /** The sum of the lengths of the messages, as they are published to the broker. */
  readonly bytes: number;
  /** In milliseconds, by the clock of the broker's server. */
  readonly age: number;
}

/** How long the id of a published message is remembered, in milliseconds. It is the default of NATS JetStream. */
export const ONCE_WINDOW = 120_000;

/** The place of a message in the log of its topic. */
export interface Published {
  /** Empty for a message that is not kept. */
  readonly epoch: string;
  /** From 1 on. 0 for a message that is not kept. */
  readonly offset: number;
  /** True if a message with this id was published before: `epoch` and `offset` are those of the first one. */
  readonly duplicate: boolean;
}

/** A message of a topic. */
export interface BrokerEntry {
  /**
   * Names one history of the log. It changes when the log was lost, and when the log was found to have another history than
   * before. Empty for a message that is not kept.
   */
  readonly epoch: string;
  /** From 1 on, rising. 0 for a message that is not kept. */
  readonly offset: number;
  /** The offset of the entry before this one in the topic, 0 if there was none; undefined where offsets are contiguous. */
  readonly previous: number | undefined;
  readonly message: Uint8Array;
}

/** What a subscription calls. The functions must not throw. */
export interface BrokerListener {
  /** An entry was published. */
  entry(entry: BrokerEntry): void;
  /**
   * From here on entries may be missing: the connection was lost, the server was silent for too long, or the server has dropped
   * messages. Called once until `restored` is called. Entries may still arrive between both.
   */
  interrupted(cause: unknown): void;
  /** From here on all entries arrive again. What was published in between may be missing. */
  restored(): void;
  /** Something in the topic cannot be understood, such as an entry of a later version, and was skipped. */
  invalid(error: Error, offset: number | undefined): void;
}

/** A subscription to a topic. */
export interface BrokerSubscription {
  /**
   * Resolves when the server has the subscription: all entries that are published from then on arrive. It waits as long as there is no
   * connection. Rejects with ClosedError if the subscription or the broker is closed before.
   */
  readonly ready: Promise<void>;
  /** Ends the subscription: no function of the listener is called any more. */
  close(): void;
}

/** Which entries to read: those with `after < offset < before`, the lowest first, or with `reverse` the highest first. */
export interface ReadRequest {
  /** @default 0 */
  readonly after?: number | undefined;
  /** @default Infinity */
  readonly before?: number | undefined;
  /** @default false */
  readonly reverse?: boolean | undefined;
  /** How many entries at most. With 0 only `epoch`, `first` and `top` are read. */
  readonly messages: number;
  /** How many bytes of messages at most; a first entry that is longer is read too. */
  readonly bytes: number;
  /** The limits of the topic: entries beyond them are not read, also if the broker still has them. */
  readonly history: HistoryLimits;
  /** In milliseconds. */
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
}

/** The entries that `read` found, and what the log has. All of it is from one moment. */
export interface Slice {
  readonly epoch: string;
  /** The offset of the oldest entry that is kept; `top + 1` if none is. */
  readonly first: number;
  /** The offset of the newest entry that was ever published in this epoch; 0 if none was. */
  readonly top: number;
  readonly entries: readonly BrokerEntry[];
}
