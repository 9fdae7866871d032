/** Manages the pending calls of a connection: each ends by result, deadline, timeout, signal or close. */

import { type ConnectionOperation, type Progress, TimeoutError } from "../../base/errors.ts";
import { isDate, reasonOf } from "../../base/forms.ts";
import {
  between,
  type Clock,
  type Deadline,
  dateOf,
  earlier,
  type Instant,
  instantOf,
  NEVER,
  reached,
} from "../../base/time.ts";
import { ListLink } from "../../engine/queue/intrusive-list.ts";
import { callEnd, callLimit, type WaitOptions } from "../../engine/time/call-bounds.ts";

/** The deadline of the connection that applies to a call. */
type Direction = "read" | "write" | "none";

/** Converts the result or the error of a pending call to the result of its promise. */
export interface ResultForm<T, R> {
  resolved(value: T): R;
  /** Maps an error to a result. Returns undefined if the promise rejects with the error. */
  rejected(error: unknown): R | undefined;
}

/** One pending call. Settles exactly once. While it is watched, it is linked to the other pending calls of its connection. */
export class PendingCall<T, R = T> extends ListLink {
  readonly promise: Promise<R>;
  readonly operation: ConnectionOperation;
  readonly direction: Direction;
  readonly since: Instant;
  /** When the limits of this call end it. */
  readonly until: Instant;
  readonly #options: WaitOptions | undefined;
  /** Undoes the work of the call. Returns false if it is too late for that. */
  readonly #withdraw: () => boolean;
  readonly #form: ResultForm<T, R> | undefined;
  #resolve!: (value: R) => void;
  #reject!: (error: unknown) => void;
  #abort: (() => void) | undefined;
  settled = false;

  constructor(
    operation: ConnectionOperation,
    direction: Direction,
    since: Instant,
    until: Instant,
    options: WaitOptions | undefined,
    withdraw: () => boolean,
    form?: ResultForm<T, R>,
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

  /** Listens to the signal of the call. */
  listenToSignal(): void {
    const signal = this.#options?.signal;
    if (signal === undefined) return;
    this.#abort = () => {
      // Work that cannot be undone continues without its caller: cancelling one call must not break the connection.
      this.#withdraw();
      this.reject(reasonOf(signal));
    };
    signal.addEventListener("abort", this.#abort, { once: true });
  }

  /** Undoes the work of the call. Returns true if that was possible. */
  withdraw(): boolean {
    return this.#withdraw();
  }

  /** The limit of this call that determines `until`. */
  limit(clock: Clock): ReturnType<typeof callLimit> {
    return callLimit(this.#options, this.since, this.until, clock);
  }

  resolve(value: T): void {
    // Without a form the promise resolves with the value itself.
    if (this.#settle()) this.#resolve(this.#form === undefined ? (value as unknown as R) : this.#form.resolved(value));
  }

  reject(error: unknown): void {
    if (!this.#settle()) return;
    const mapped = this.#form?.rejected(error);
    if (mapped !== undefined) {
      this.#resolve(mapped);
      return;
    }
    // As in `handledRejection`. Not for calls that receive: an application makes them for their result.
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
 * Returns a rejected promise that causes no unhandled rejection. The peer must not be able to end the process by going away, or
 * by not reading, while the application sends and ignores the promise. `closed` and the `overflow` event report these cases.
 */
export function handledRejection(error: unknown): Promise<never> {
  const promise = Promise.reject(error);
  promise.catch(ignore);
  return promise;
}

/** The connection, as the pending calls use it. */
export interface PendingCallsOwner {
  /** Requests a call of `expire` at `at`. */
  setCallTimer(at: Instant): void;
  /** Progress of the message that is being received, for the error of a read that timed out. */
  readonly progress: Progress;
  /** True if a read that times out inside a message leaves the connection as it is. */
  readonly keepsPartial: boolean;
  /** A call has reached a limit of its own. */
  callTimedOut(error: TimeoutError): void;
  /** A read timed out inside a message, and the connection must end because of that. */
  timedOutMidFrame(error: TimeoutError): void;
  /** A call timed out too late to be undone: part of its message may be on the wire. */
  timedOutLate(error: TimeoutError): void;
}

interface SetDeadline {
  readonly at: Instant;
  /** For the error of a call. */
  readonly date: Date;
}

/** The ring of all pending calls of one connection, and the connection's own two deadlines. */
export class PendingCalls extends ListLink {
  readonly #clock: Clock;
  readonly #owner: PendingCallsOwner;
  #readDeadline: SetDeadline | undefined;
  #writeDeadline: SetDeadline | undefined;

  constructor(clock: Clock, owner: PendingCallsOwner) {
    super();
    this.#clock = clock;
    this.#owner = owner;
  }

  setReadDeadline(deadline: Deadline | undefined): void {
    this.#readDeadline = this.#set(deadline);
    this.#setTimer();
  }

  setWriteDeadline(deadline: Deadline | undefined): void {
    this.#writeDeadline = this.#set(deadline);
    this.#setTimer();
  }

  /**
   * Creates a pending call. Throws if one of its limits is invalid. If a limit has already been reached, the returned call is
   * rejected, before any work was done. `since` is the time of the call, if that is not now.
   */
  begin<T, R = T>(
    operation: ConnectionOperation,
    direction: Direction,
    options: WaitOptions | undefined,
    withdraw: () => boolean,
    since?: Instant,
    form?: ResultForm<T, R>,
  ): PendingCall<T, R> {
    const now = this.#clock.now();
    const startedAt = since ?? now;
    const until = options === undefined ? NEVER : callEnd(options, startedAt, this.#clock);
    const call = new PendingCall<T, R>(operation, direction, startedAt, until, options, withdraw, form);
    if (options?.signal?.aborted) call.reject(reasonOf(options.signal));
    else if (reached(this.#endOf(call), now)) call.reject(this.#timeout(call, now, true));
    return call;
  }

  /** Adds `call` to the pending calls: it ends when one of its limits is reached. A call without limits sets no timer. */
  track<T, R>(call: PendingCall<T, R>): void {
    if (call.settled) return;
    this.append(call);
    call.listenToSignal();
    const end = this.#endOf(call);
    if (end !== NEVER) this.#owner.setCallTimer(earlier(end, this.#nextEnd()));
  }

  /** Ends every pending call whose limit is reached. */
  expire(now: Instant): void {
    for (const call of [...this.#pending()]) {
      if (call.settled || !reached(this.#endOf(call), now)) continue;
      const late = !call.withdraw();
      const midFrame = call.direction === "read" && this.#owner.progress.received > 0 && !this.#owner.keepsPartial;
      const error = this.#timeout(call, now, !late && !midFrame);
      if (late) this.#owner.timedOutLate(error);
      else if (midFrame) this.#owner.timedOutMidFrame(error);
      else call.reject(error);
    }
    this.#setTimer();
  }

  /** Error of the expired read deadline, for readers that make no call. Undefined if the deadline has not expired. */
  get readExpired(): TimeoutError | undefined {
    const read = this.#readDeadline;
    if (read === undefined || !reached(read.at, this.#clock.now())) return undefined;
    return this.#error("receive", "readDeadline", read.date, 0, false);
  }

  get readBounded(): boolean {
    return this.#readDeadline !== undefined;
  }

  get writeBounded(): boolean {
    return this.#writeDeadline !== undefined;
  }

  get writeExpired(): boolean {
    return this.#writeDeadline !== undefined && reached(this.#writeDeadline.at, this.#clock.now());
  }

  /** Rejects every pending call with the reason of the connection's end. */
  rejectAll(error: unknown): void {
    for (const call of [...this.#pending()]) call.reject(error);
  }

  /** In the order of the calls. The ring must not change during the iteration. */
  *#pending(): Generator<PendingCall<never>, void, undefined> {
    for (let link = this.next; link !== this; link = link.next) yield link as PendingCall<never>;
  }

  #set(deadline: Deadline | undefined): SetDeadline | undefined {
    if (deadline === undefined) return undefined;
    const at = instantOf(deadline, this.#clock.now(), this.#clock);
    return { at, date: isDate(deadline) ? deadline : dateOf(at, this.#clock) };
  }

  #deadlineOf(call: { readonly direction: Direction }): SetDeadline | undefined {
    if (call.direction === "read") return this.#readDeadline;
    return call.direction === "write" ? this.#writeDeadline : undefined;
  }

  #endOf(call: { readonly direction: Direction; readonly until: Instant }): Instant {
    return earlier(call.until, this.#deadlineOf(call)?.at ?? NEVER);
  }

  #nextEnd(): Instant {
    let next = this.#readDeadline?.at ?? NEVER;
    // An expired read deadline has already ended the pending calls. Later calls check it themselves.
    if (reached(next, this.#clock.now())) next = NEVER;
    for (const call of this.#pending()) next = earlier(next, this.#endOf(call));
    return next;
  }

  #setTimer(): void {
    this.#owner.setCallTimer(this.#nextEnd());
  }

  #timeout<T, R>(call: PendingCall<T, R>, now: Instant, retriable: boolean): TimeoutError {
    const own = this.#deadlineOf(call);
    const elapsed = between(call.since, now);
    const expired = own !== undefined && reached(own.at, now);
    const { limit, bound } = expired
      ? { limit: `${call.direction}Deadline`, bound: own.date }
      : call.limit(this.#clock);
    const error = this.#error(call.operation, limit, bound, elapsed, retriable);
    this.#owner.callTimedOut(error);
    return error;
  }

  #error(
    operation: ConnectionOperation,
    limit: string,
    bound: number | Date,
    elapsed: number,
    retriable: boolean,
  ): TimeoutError {
    const facts = { operation, limit, bound, after: elapsed, retriable };
    return new TimeoutError(operation === "receive" ? { ...facts, progress: this.#owner.progress } : facts);
  }
}
