/** The calls that wait, and the ways in which each of them ends: by result, deadline, timeout, signal or close. */

import { type Operation, type Progress, TimeoutError } from "../base/errors.js";
import { after, between, type Clock, earlier, type Instant, instantOf, NEVER, reached } from "../base/time.js";
import { Link } from "../engine/ring.js";

/** How long a call may wait. Whichever comes first counts. */
export interface WaitOptions {
  /** Longest wait, in milliseconds; `Infinity` for no limit. @default Infinity */
  readonly timeout?: number;
  /** The moment by which it must be done. One that has passed fails before anything is read or written. */
  readonly deadline?: Date;
  /** Ends the wait when it aborts: the call rejects with the signal's own reason, and the connection is not affected. */
  readonly signal?: AbortSignal;
}

/** Which of the connection's own deadlines a call answers to. */
type Direction = "read" | "write" | "none";

/** What a call makes of its outcome, where its promise gives something else. */
export interface Form<T, R> {
  resolved(value: T): R;
  /** What an error stands for; undefined if the promise rejects with it. */
  rejected(error: unknown): R | undefined;
}

/** One call that waits. Settles exactly once. While it is watched it is linked to the others of its connection. */
export class Wait<T, R = T> extends Link {
  readonly promise: Promise<R>;
  readonly operation: Operation;
  readonly direction: Direction;
  readonly since: Instant;
  /** When the bounds given with the call end it. */
  readonly until: Instant;
  readonly #options: WaitOptions | undefined;
  /** Takes the call's work back; false if it is too late for that. */
  readonly #withdraw: () => boolean;
  readonly #form: Form<T, R> | undefined;
  #resolve!: (value: R) => void;
  #reject!: (error: unknown) => void;
  #abort: (() => void) | undefined;
  settled = false;

  constructor(
    operation: Operation,
    direction: Direction,
    since: Instant,
    until: Instant,
    options: WaitOptions | undefined,
    withdraw: () => boolean,
    form?: Form<T, R>,
  ) {
    super();
    this.operation = operation;
    this.direction = direction;
    this.since = since;
    this.until = until;
    this.#options = options;
    this.#withdraw = withdraw;
    this.#form = form;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Listens to its signal. */
  watch(): void {
    const signal = this.#options?.signal;
    if (signal === undefined) return;
    this.#abort = () => {
      // What cannot be taken back goes on without its caller: to cancel one call must not break the connection.
      this.#withdraw();
      this.reject(signal.reason);
    };
    signal.addEventListener("abort", this.#abort, { once: true });
  }

  /** Whether the work could be taken back. */
  withdraw(): boolean {
    return this.#withdraw();
  }

  /** The bound given with the call that `until` stands for. */
  get bound(): { readonly limit: string; readonly value: number | Date } {
    const { timeout = Infinity, deadline } = this.#options ?? {};
    // Added as it was for `until`: to subtract would not give `timeout` back, since instants are fractions.
    return deadline === undefined || after(this.since, timeout) === this.until
      ? { limit: "timeout", value: timeout }
      : { limit: "deadline", value: deadline };
  }

  resolve(value: T): void {
    // Without a form the promise gives what it is resolved with.
    if (this.#settle()) this.#resolve(this.#form === undefined ? (value as unknown as R) : this.#form.resolved(value));
  }

  reject(error: unknown): void {
    if (!this.#settle()) return;
    const stood = this.#form?.rejected(error);
    if (stood !== undefined) {
      this.#resolve(stood);
      return;
    }
    // As in `rejected`; but whoever receives does it for what it gives.
    if (this.direction !== "read") this.promise.catch(ignore);
    this.#reject(error);
  }

  #settle(): boolean {
    if (this.settled) return false;
    this.settled = true;
    if (this.#abort !== undefined) this.#options?.signal?.removeEventListener("abort", this.#abort);
    this.unlink();
    return true;
  }
}

function ignore(): void {}

/**
 * A rejection that is no one's unless somebody handles it. The peer must not be able to end the process by going away, or
 * by not reading, while something is sent whose promise was dropped: of that `closed` and the `overflow` event tell.
 */
export function rejected(error: unknown): Promise<never> {
  const promise = Promise.reject(error);
  promise.catch(ignore);
  return promise;
}

/** What the calls of one connection need of it. */
export interface WaitsOwner {
  /** Asks to be told by `expire` at `at`. */
  wakeWaitsAt(at: Instant): void;
  /** What is arriving, for the error of a read that ran out of time. */
  readonly progress: Progress;
  /** Whether a read that runs out of time inside a message leaves the connection as it is. */
  readonly keepsPartial: boolean;
  /** A read ran out of time inside a message, and the connection is to end by that. */
  timedOutMidFrame(error: TimeoutError): void;
  /** A call ran out of time too late to be taken back: part of it may be on the wire. */
  timedOutLate(error: TimeoutError): void;
}

interface Deadline {
  readonly at: Instant;
  readonly date: Date;
}

/** The ring of all calls of one connection that wait, and the connection's own two deadlines. */
export class Waits extends Link {
  readonly #clock: Clock;
  readonly #owner: WaitsOwner;
  #read: Deadline | undefined;
  #write: Deadline | undefined;

  constructor(clock: Clock, owner: WaitsOwner) {
    super();
    this.#clock = clock;
    this.#owner = owner;
  }

  setReadDeadline(date: Date | undefined): void {
    this.#read = this.#deadline(date);
    this.#rearm();
  }

  setWriteDeadline(date: Date | undefined): void {
    this.#write = this.#deadline(date);
    this.#rearm();
  }

  /**
   * A call that is to wait. Throws if a bound given with it is not one; the answer is already rejected if a bound has
   * passed, before any work was done. `since` is when the call was made, if that is not now.
   */
  begin<T, R = T>(
    operation: Operation,
    direction: Direction,
    options: WaitOptions | undefined,
    withdraw: () => boolean,
    since?: Instant,
    form?: Form<T, R>,
  ): Wait<T, R> {
    const now = this.#clock.now();
    const made = since ?? now;
    const until = options === undefined ? NEVER : untilOf(options, made, this.#clock);
    const wait = new Wait<T, R>(operation, direction, made, until, options, withdraw, form);
    if (options?.signal?.aborted) wait.reject(options.signal.reason);
    else if (reached(this.#due(wait), now)) wait.reject(this.#timeout(wait, now, true));
    return wait;
  }

  /** From here on `wait` is ended when its time comes. Costs nothing for a call without bounds. */
  watch<T, R>(wait: Wait<T, R>): void {
    if (wait.settled) return;
    this.append(wait);
    wait.watch();
    const due = this.#due(wait);
    if (due !== NEVER) this.#owner.wakeWaitsAt(earlier(due, this.#next()));
  }

  /** Ends every wait whose time has come. */
  expire(now: Instant): void {
    for (const wait of [...this.#waiting()]) {
      if (wait.settled || !reached(this.#due(wait), now)) continue;
      const late = !wait.withdraw();
      const midFrame = wait.direction === "read" && this.#owner.progress.received > 0 && !this.#owner.keepsPartial;
      const error = this.#timeout(wait, now, !late && !midFrame);
      if (late) this.#owner.timedOutLate(error);
      else if (midFrame) this.#owner.timedOutMidFrame(error);
      else wait.reject(error);
    }
    this.#rearm();
  }

  /** Whether the read deadline has passed, for readers that make no call; the error to end them with. */
  get readExpired(): TimeoutError | undefined {
    const read = this.#read;
    if (read === undefined || !reached(read.at, this.#clock.now())) return undefined;
    return this.#error("receive", "readDeadline", read.date, 0, false);
  }

  get writeBounded(): boolean {
    return this.#write !== undefined;
  }

  get writeExpired(): boolean {
    return this.#write !== undefined && reached(this.#write.at, this.#clock.now());
  }

  /** Rejects every wait with the reason of the connection's end. */
  end(error: unknown): void {
    for (const wait of [...this.#waiting()]) wait.reject(error);
  }

  /** In the order in which they were begun. None may join or leave meanwhile. */
  *#waiting(): Generator<Wait<never>, void, undefined> {
    for (let link = this.next; link !== this; link = link.next) yield link as Wait<never>;
  }

  #deadline(date: Date | undefined): Deadline | undefined {
    return date === undefined ? undefined : { at: instantOf(date, this.#clock), date };
  }

  #own(wait: { readonly direction: Direction }): Deadline | undefined {
    if (wait.direction === "read") return this.#read;
    return wait.direction === "write" ? this.#write : undefined;
  }

  #due(wait: { readonly direction: Direction; readonly until: Instant }): Instant {
    return earlier(wait.until, this.#own(wait)?.at ?? NEVER);
  }

  #next(): Instant {
    let next = this.#read?.at ?? NEVER;
    // A read deadline that has passed has been told to whoever waited; later calls see it for themselves.
    if (reached(next, this.#clock.now())) next = NEVER;
    for (const wait of this.#waiting()) next = earlier(next, this.#due(wait));
    return next;
  }

  #rearm(): void {
    this.#owner.wakeWaitsAt(this.#next());
  }

  #timeout<T, R>(wait: Wait<T, R>, now: Instant, retriable: boolean): TimeoutError {
    const own = this.#own(wait);
    const lasted = between(wait.since, now);
    if (own !== undefined && reached(own.at, now)) {
      return this.#error(wait.operation, `${wait.direction}Deadline`, own.date, lasted, retriable);
    }
    const { limit, value } = wait.bound;
    return this.#error(wait.operation, limit, value, lasted, retriable);
  }

  #error(operation: Operation, limit: string, bound: number | Date, lasted: number, retriable: boolean): TimeoutError {
    const facts = { operation, limit, bound, after: lasted, retriable };
    return new TimeoutError(operation === "receive" ? { ...facts, progress: this.#owner.progress } : facts);
  }
}

function untilOf(options: WaitOptions, since: Instant, clock: Clock): Instant {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`Cannot use ${options === null ? "null" : typeof options} as options: expected an object`);
  }
  const { timeout = Infinity, deadline, signal } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(`Cannot use signal: expected an AbortSignal, got ${signal === null ? "null" : typeof signal}`);
  }
  if (typeof timeout !== "number") {
    throw new TypeError(`Cannot use timeout: expected milliseconds, got ${typeof timeout}`);
  }
  if (!(timeout >= 0)) throw new RangeError(`Cannot use timeout ${timeout}: expected 0 ms or more, or Infinity`);
  const byTimeout = after(since, timeout);
  return deadline === undefined ? byTimeout : earlier(byTimeout, instantOf(deadline, clock));
}
