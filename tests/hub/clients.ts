/** Clients of a topic, which compare all that they are told with the histories that the log has had. */

import assert from "node:assert/strict";
import type { Gap, Position, TopicEncoder, TopicMember } from "../../src/index.ts";

/** An entry that was in the log at some time. The histories of a log are a tree: after a loss another entry has the same parent. */
export interface Grown {
  readonly offset: number;
  readonly parent: Grown | undefined;
  readonly message: Uint8Array;
}

/** All histories of a log. */
export interface Histories {
  readonly contiguous: boolean;
  /** All entries that were ever in the log. */
  readonly all: readonly Grown[];
  /**
   * True if the entry was at this position at some time; before the first entry, if the epoch has the same history as `later`.
   * Absent: that is not recorded.
   */
  wasAt?(position: Position, entry: Grown | undefined, later: Position): boolean;
}

/** The wire of the clients: everything that the hub tells, as JSON. */
export const ENCODER: TopicEncoder = {
  message: ({ message, position }) => JSON.stringify({ message, position }),
  joined: (_, position, gap) => JSON.stringify({ joined: position, gap }),
  gap: (gap) => JSON.stringify({ gap }),
  skipped: (_, position, reason) => JSON.stringify({ skipped: position, reason }),
};

interface Told {
  readonly message?: string;
  readonly position?: Position;
  readonly joined?: Position;
  readonly gap?: Gap;
  readonly skipped?: Position;
  readonly reason?: string;
}

/** The text of an entry. */
export function textOf({ message }: Grown): string {
  // The header of the hub has 14 bytes if there is no key.
  return Buffer.from(message.subarray(14)).toString();
}

/** A client, and the connection that it has now. */
export class Client {
  readonly name: string;
  readonly #histories: Histories;
  /** The last message that it has got, in the tree of all histories. */
  last: Grown | undefined;
  position: Position | undefined;
  gaps = 0;
  /** The last gap that it was told. */
  lastGap: Gap | undefined;
  readonly seen: Set<string> = new Set();
  /** Messages that it has published, and that it need not get. */
  readonly excepted: Set<string> = new Set();
  /** True if the next message need not follow the last one. */
  #jumps = true;
  /** The gap behind which no message came yet. */
  #gap: Gap | undefined;
  member: Member | undefined;

  constructor(name: string, histories: Histories) {
    this.name = name;
    this.#histories = histories;
  }

  hear(text: string): void {
    const told = JSON.parse(text) as Told;
    if (told.joined !== undefined) {
      if (told.gap !== undefined) this.hearGap(told.gap);
      else if (this.position === undefined) this.#jumps = true;
      else assert.deepEqual(told.joined, this.position, `${this.name} resumes elsewhere`);
      this.position = told.joined;
    } else if (told.gap !== undefined) this.hearGap(told.gap);
    else if (told.skipped !== undefined) {
      if (told.reason === "except") this.#hearOwn(told.skipped);
      this.position = told.skipped;
    } else {
      const { message, position } = told as Required<Told>;
      assert.equal(position.epoch, this.position?.epoch, `${this.name}: the new epoch is told before ${message}`);
      this.hearMessage(message, position);
    }
  }

  hearGap(gap: Gap): void {
    const told = `${this.name}: ${JSON.stringify(gap)} at ${JSON.stringify(this.position)}`;
    assert.equal(gap.from.offset, this.position?.offset, told);
    assert.notDeepEqual(gap, this.#gap, `${told} twice`);
    this.#gap = gap;
    this.lastGap = gap;
    // Before the first entry there is none with which a broker could link it.
    if (this.#histories.contiguous || gap.from.offset > 0) this.gaps += 1;
    this.#jumps = true;
    if (gap.reason === "trimmed" && this.#histories.contiguous)
      assert.equal(gap.count, gap.to.offset - gap.from.offset, told);
    this.position = gap.to;
  }

  hearMessage(message: string, position: Position): void {
    assert.ok(!this.seen.has(message), `${this.name} gets ${message} twice`);
    this.seen.add(message);
    const entry = this.#histories.all.find((one) => textOf(one) === message);
    assert.ok(entry !== undefined, `${message} was never published`);
    assert.equal(position.offset, entry.offset);
    this.#follow(entry, position);
  }

  /** The place of a message that it has published itself. */
  #hearOwn(position: Position): void {
    const { offset } = position;
    // Two histories can have messages of its own at one offset.
    const own = (one: Grown): boolean =>
      one.offset === offset &&
      this.excepted.has(textOf(one)) &&
      this.#histories.wasAt?.(position, one, position) !== false;
    const entry = this.#histories.all.find((one) => own(one) && (this.#jumps || one.parent === this.last));
    assert.ok(entry !== undefined, `${this.name}: entry ${offset} is skipped, and is not its own`);
    this.#follow(entry, position);
  }

  #follow(entry: Grown, position: Position): void {
    const before = this.position;
    if (before !== undefined) {
      const { name } = this;
      assert.ok(position.offset > before.offset, `${name} gets ${position.offset} behind ${before.offset}`);
      if (!this.#jumps)
        assert.ok(entry.parent === this.last, `${name}: ${textOf(entry)} does not follow the message before it`);
      else if (this.#histories.contiguous)
        assert.equal(position.offset, before.offset + 1, `${name}: the position of the gap`);
      if (this.#jumps && this.#histories.wasAt?.(before, entry.parent, position) === false)
        assert.fail(`${name}: ${textOf(entry)} does not follow the gap to ${JSON.stringify(before)}`);
    }
    this.#jumps = false;
    this.#gap = undefined;
    this.last = entry;
    this.position = position;
  }
}

/** The server's side of a connection, whose client reads when the test says so. */
export class Member implements TopicMember {
  readonly #client: Client;
  readonly #room: number;
  #queue: string[] = [];
  #drains: (() => void)[] = [];
  readonly #end = new AbortController();
  readonly #ended: () => void;
  readonly closed: Promise<unknown>;
  /** Messages that were published with this member as `except`. */
  readonly excepted: Set<string> = new Set();

  constructor(client: Client, room: number) {
    this.#client = client;
    this.#room = room;
    let ended!: () => void;
    this.closed = new Promise<void>((resolve) => {
      ended = resolve;
    });
    this.#ended = ended;
  }

  get signal(): AbortSignal {
    return this.#end.signal;
  }

  trySend(message: unknown): "sent" | "refused" {
    if (this.#end.signal.aborted || this.#queue.length >= this.#room) return "refused";
    this.#queue.push(typeof message === "string" ? message : (message as { message: string }).message);
    return "sent";
  }

  drain(): Promise<void> {
    if (this.#queue.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#drains.push(resolve));
  }

  /** The client gets what is queued. */
  read(): void {
    for (const text of this.#queue.splice(0)) {
      const { message } = JSON.parse(text) as Told;
      if (message !== undefined) assert.ok(!this.excepted.has(message), `${this.#client.name} gets its own ${message}`);
      this.#client.hear(text);
    }
    for (const drained of this.#drains.splice(0)) drained();
  }

  async close(): Promise<never> {
    this.#end.abort(new Error("closed"));
    this.#ended();
    return undefined as never;
  }
}
