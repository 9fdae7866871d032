/** The commands of a broker that wait for a connection or for an answer: bounded, and each with an end. */

import { reasonOf, throwIfAborted } from "../../base/forms.ts";
import { after, between, type Clock, type Instant, type Wakeup } from "../../base/time.ts";
import { TransportError } from "../../core.ts";
import { brokerClosed, brokerTimedOut, brokerUnreachable, publishInDoubt, publishRefused } from "../failures.ts";
import { replyCode, wasNotSent } from "./client.ts";
import { SCRIPTS, type ScriptName } from "./scripts.ts";
import type { CommandConnection, RedisServer } from "./server.ts";

/** A command of Redis; with `script` it has the arguments of EVALSHA behind the name of the script. */
export interface RedisCommand {
  readonly script?: ScriptName;
  readonly args: readonly (string | Buffer)[];
}

/** A call of the broker. */
export interface Call {
  readonly operation: "publish" | "history";
  readonly partition: number;
  command(line: CommandConnection): RedisCommand;
  /** How the replies are read. */
  readonly replies: object;
  /** The message of a publish. */
  readonly message?: Uint8Array | undefined;
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
}

export interface CallsOwner {
  serverOf(partition: number): RedisServer | undefined;
  refused(server: RedisServer, cause: unknown): void;
}

/** The server has not run the command, because it cannot now. */
const NOT_NOW: ReadonlySet<string> = new Set(["ASK", "TRYAGAIN", "CLUSTERDOWN", "LOADING", "NOREPLICAS", "BUSY"]);
/** The server has not run the command, because another server has the keys, or is the master. */
const ELSEWHERE: ReadonlySet<string> = new Set(["MOVED", "READONLY"]);
/** How long a command waits before it is sent again after such an answer. */
const AGAIN_AFTER = 100;

export class Calls {
  readonly #owner: CallsOwner;
  readonly #clock: Clock;
  readonly #limits: { readonly maxPending: number; readonly maxPendingBytes: number };
  /** By partition, because one node of a cluster may have a connection and another one none; in the order in which they came. */
  readonly #waiting: Map<number, Set<PendingCall>> = new Map();
  readonly #sent: Set<PendingCall> = new Set();
  #pending = 0;
  #pendingBytes = 0;
  #again: Wakeup | undefined;
  #closed = false;
  /** Why there is no connection. */
  cause: unknown;

  constructor(owner: CallsOwner, limits: Calls["limits"], clock: Clock) {
    this.#owner = owner;
    this.#limits = limits;
    this.#clock = clock;
  }

  get limits(): { readonly maxPending: number; readonly maxPendingBytes: number } {
    return this.#limits;
  }

  /** Sends a command as soon as there is a connection, within the timeout of the call. */
  run(call: Call): Promise<unknown> {
    if (this.#closed) return Promise.reject(brokerClosed());
    return new Promise((resolve, reject) => {
      throwIfAborted(call.signal);
      const pending = new PendingCall(call, resolve, reject, this.#clock.now());
      this.#count(pending);
      const { timeout } = call;
      if (timeout !== Infinity) {
        pending.wakeup = this.#clock.wakeAt(after(pending.since, timeout), (now) => this.#late(pending, now));
      }
      if (call.signal !== undefined) pending.listen(() => this.#aborted(pending));
      // Behind those that wait: the messages of one publisher keep their order.
      if (this.#waiting.has(call.partition) || !this.#send(pending)) this.#wait(pending);
    });
  }

  /** There may be a connection for calls that wait. */
  flush(): void {
    for (const calls of this.#waiting.values()) {
      for (const pending of calls) {
        if (!this.#send(pending)) break;
        this.#stopWaiting(pending);
      }
    }
  }

  close(): void {
    this.#closed = true;
    this.#again?.cancel();
    const waiting = Array.from(this.#waiting.values(), (calls) => [...calls]).flat();
    for (const pending of [...waiting, ...this.#sent]) {
      const { message } = pending.call;
      pending.fail(pending.sent && message !== undefined ? publishInDoubt(message, brokerClosed()) : brokerClosed());
    }
    this.#waiting.clear();
  }

  #wait(pending: PendingCall): void {
    const { partition } = pending.call;
    const calls = this.#waiting.get(partition) ?? new Set();
    this.#waiting.set(partition, calls.add(pending));
  }

  /** Returns whether it was waiting. */
  #stopWaiting(pending: PendingCall): boolean {
    const { partition } = pending.call;
    const calls = this.#waiting.get(partition);
    const waited = calls?.delete(pending) === true;
    if (calls?.size === 0) this.#waiting.delete(partition);
    return waited;
  }

  /** Throws LimitError if too much is pending. */
  #count({ call: { message } }: PendingCall): void {
    const { maxPending, maxPendingBytes } = this.#limits;
    const bytes = this.#pendingBytes + (message?.length ?? 0);
    const refused = message ?? new Uint8Array();
    if (this.#pending >= maxPending) throw publishRefused("maxPending", maxPending, this.#pending + 1, refused);
    if (bytes > maxPendingBytes) throw publishRefused("maxPendingBytes", maxPendingBytes, bytes, refused);
    this.#pending += 1;
    this.#pendingBytes = bytes;
  }

  #uncount({ call: { message } }: PendingCall): void {
    this.#pending -= 1;
    this.#pendingBytes -= message?.length ?? 0;
  }

  /** Returns false if there is no connection. */
  #send(pending: PendingCall): boolean {
    const server = this.#owner.serverOf(pending.call.partition);
    const line = server?.line;
    if (server === undefined || line === undefined) return false;
    const { script, args } = pending.call.command(line);
    const command =
      script === undefined
        ? args
        : pending.unknown
          ? ["EVAL", SCRIPTS[script], ...args]
          : ["EVALSHA", line.scripts[script], ...args];
    pending.sent = true;
    this.#sent.add(pending);
    line.client.sendCommand(command, pending.call.replies).then(
      (reply) => {
        this.#over(pending);
        pending.succeed(reply);
      },
      (error) => this.#failed(pending, server, error),
    );
    return true;
  }

  #failed(pending: PendingCall, server: RedisServer, error: unknown): void {
    this.#sent.delete(pending);
    const code = replyCode(error);
    if (pending.settled || this.#closed) {
      this.#uncount(pending);
      return;
    }
    if (code === "NOSCRIPT" && !pending.unknown) {
      pending.unknown = true;
      if (this.#send(pending)) return;
    }
    if (code !== undefined && ELSEWHERE.has(code)) this.#owner.refused(server, error);
    const final = finalError(pending, code, error);
    if (final === undefined) {
      this.cause = error;
      this.#retry(pending);
    } else {
      this.#uncount(pending);
      pending.fail(final);
    }
  }

  #retry(pending: PendingCall): void {
    pending.sent = false;
    this.#wait(pending);
    this.#again ??= this.#clock.wakeAt(after(this.#clock.now(), AGAIN_AFTER), () => {
      this.#again = undefined;
      this.flush();
    });
  }

  #over(pending: PendingCall): void {
    this.#sent.delete(pending);
    this.#uncount(pending);
  }

  #late(pending: PendingCall, now: Instant): void {
    const { operation, timeout } = pending.call;
    const facts = { after: between(pending.since, now), retriable: operation === "history" };
    const waited = this.#stopWaiting(pending);
    // A command that was sent counts until the client has dropped it.
    if (waited) this.#uncount(pending);
    pending.fail(waited ? brokerUnreachable(this.cause) : brokerTimedOut(operation, timeout, facts));
  }

  #aborted(pending: PendingCall): void {
    const { message, signal } = pending.call;
    const reason = reasonOf(signal as AbortSignal);
    const waited = this.#stopWaiting(pending);
    if (waited) this.#uncount(pending);
    pending.fail(waited || message === undefined ? reason : publishInDoubt(message, reason));
  }
}

class PendingCall {
  readonly call: Call;
  readonly since: Instant;
  wakeup: Wakeup | undefined;
  settled = false;
  /** The server has it, or may have it. */
  sent = false;
  /** The server does not know the script: it gets the source. */
  unknown = false;
  readonly #resolve: (reply: unknown) => void;
  readonly #reject: (error: unknown) => void;
  #listener: (() => void) | undefined;

  constructor(call: Call, resolve: (reply: unknown) => void, reject: (error: unknown) => void, since: Instant) {
    this.call = call;
    this.#resolve = resolve;
    this.#reject = reject;
    this.since = since;
  }

  listen(aborted: () => void): void {
    this.#listener = aborted;
    this.call.signal?.addEventListener("abort", aborted, { once: true });
  }

  succeed(reply: unknown): void {
    this.#settle();
    this.#resolve(reply);
  }

  fail(error: unknown): void {
    this.#settle();
    this.#reject(error);
  }

  #settle(): void {
    this.settled = true;
    this.wakeup?.cancel();
    if (this.#listener !== undefined) this.call.signal?.removeEventListener("abort", this.#listener);
  }
}

/** The error of the call; undefined if it may be sent again: nothing was done, or it does no harm to do it twice. */
function finalError({ call: { message } }: PendingCall, code: string | undefined, error: unknown): Error | undefined {
  if (code === undefined)
    return message === undefined || wasNotSent(error) ? undefined : publishInDoubt(message, error);
  if (code === "NOSCRIPT" || NOT_NOW.has(code) || ELSEWHERE.has(code)) return undefined;
  const detail = error instanceof Error ? error.message : String(error);
  return new TransportError({ errno: code, syscall: "use Redis", detail }, { cause: error });
}
