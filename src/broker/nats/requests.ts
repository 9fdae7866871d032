/** Requests to the NATS server, each with a time limit, and with a bound on their number and bytes. */

import { reasonOf, throwIfAborted } from "../../base/forms.ts";
import { after, between, type Instant, type Wakeup } from "../../base/time.ts";
import { systemClock } from "../../transport/clock.ts";
import { brokerClosed, brokerTimedOut, brokerUnreachable, publishInDoubt, publishRefused } from "../failures.ts";
import { createInbox, type Msg, type MsgHdrs, type NatsConnection, PermissionViolationError } from "./client.ts";
import type { ServerConnection } from "./connection.ts";

/** A request. */
export interface NatsRequest {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly headers?: MsgHdrs | undefined;
  /** Present if the request publishes a message: after a loss the server may have it. */
  readonly message?: Uint8Array | undefined;
  /** In milliseconds. */
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
  /** Takes an answer, and returns true if it is the last one. Without it the first one is. It must not throw. */
  readonly answer?: (message: Msg) => boolean;
}

interface Pending {
  readonly request: NatsRequest;
  readonly began: Instant;
  readonly resolve: (answer: Msg | undefined) => void;
  readonly reject: (error: unknown) => void;
  timer: Wakeup | undefined;
  abort: (() => void) | undefined;
  /** The caller has its result. The request still counts until the server has answered. */
  settled: boolean;
  /** True if the server was probed after the end of the call: its next answer to a probe proves that it has read the request. */
  probed: boolean;
}

/** nats.js makes a timer, two promises and a stack trace for each request, and does not end it when the connection is lost. */
export class Requests {
  readonly #server: ServerConnection;
  readonly #limits: { readonly maxInFlight: number; readonly maxInFlightBytes: number };
  readonly #pending = new Map<string, Pending>();
  #bytes = 0;
  #number = 0;
  /** Messages of this turn that await a ping. */
  #unflushed: string[] = [];
  #inbox = "";

  constructor(server: ServerConnection, limits: { readonly maxInFlight: number; readonly maxInFlightBytes: number }) {
    this.#server = server;
    this.#limits = limits;
  }

  /** Subscribes to the answers on a new connection. */
  attach(connection: NatsConnection, inboxPrefix: string | undefined): void {
    this.#inbox = `${createInbox(inboxPrefix)}.`;
    connection.subscribe(`${this.#inbox}*`, {
      callback: (error, message) => {
        if (error === null) this.#answered(message);
      },
    });
  }

  /** Sends a request by `connection`, and resolves with the last answer. */
  async send(request: NatsRequest, connection: NatsConnection = this.#server.use()): Promise<Msg> {
    return (await this.#send(request, connection, true)) as Msg;
  }

  /** Publishes a message without a log. Resolves when the server has it, which its answer to a ping proves. */
  async publish(request: NatsRequest): Promise<void> {
    await this.#send(request, this.#server.use(), false);
  }

  #send(request: NatsRequest, connection: NatsConnection, answered: boolean): Promise<Msg | undefined> {
    const { subject, payload, headers, message, timeout, signal } = request;
    throwIfAborted(signal);
    this.#judge(request, connection);
    return new Promise((resolve, reject) => {
      this.#number += 1;
      const token = this.#number.toString(36);
      const began = systemClock.now();
      const pending: Pending = {
        ...{ request, resolve, reject, began },
        ...{ timer: undefined, abort: undefined, settled: false, probed: false },
      };
      const reply = answered ? { reply: `${this.#inbox}${token}` } : {};
      this.#write(
        () => connection.publish(subject, payload, { ...reply, ...(headers && { headers }) }),
        request,
        connection,
      );
      this.#pending.set(token, pending);
      this.#bytes += payload.length;
      if (!answered) this.#flushLater(token, connection);
      if (timeout !== Number.POSITIVE_INFINITY) {
        pending.timer = systemClock.wakeAt(after(began, timeout), (now) => this.#expired(pending, now));
      }
      if (signal !== undefined) {
        pending.abort = () => {
          const reason = reasonOf(signal);
          this.#settle(pending, message === undefined ? reason : publishInDoubt(message, reason));
        };
        signal.addEventListener("abort", pending.abort, { once: true });
      }
    });
  }

  /** If nats.js throws, nothing was sent. */
  #write(publish: () => void, { payload, headers, message }: NatsRequest, connection: NatsConnection): void {
    try {
      publish();
    } catch (error) {
      const size = payload.length + String(headers ?? "").length;
      const largest = connection.info?.max_payload ?? size;
      if (size <= largest) throw brokerUnreachable(error);
      throw publishRefused("max_payload of the server, headers included", largest, size, message ?? payload);
    }
  }

  /** One ping for all messages of a turn. */
  #flushLater(token: string, connection: NatsConnection): void {
    this.#unflushed.push(token);
    if (this.#unflushed.length > 1) return;
    queueMicrotask(() => {
      const tokens = this.#unflushed;
      this.#unflushed = [];
      connection.flush().then(
        () => {
          for (const one of tokens) this.#finish(one, undefined);
        },
        // The connection was lost, and `fail` ends the calls.
        () => undefined,
      );
    });
  }

  /** The server has answered a probe: it has read all requests that ended before the probe before. Their answers may never come. */
  probed(): void {
    for (const [token, pending] of this.#pending) {
      if (pending.probed) this.#remove(token, pending);
      else if (pending.settled) pending.probed = true;
    }
  }

  /** Ends all requests: the connection was lost, or the broker was closed. */
  fail(cause: unknown, closed: boolean): void {
    for (const [token, pending] of this.#pending) {
      const { message } = pending.request;
      const error = closed ? brokerClosed() : brokerUnreachable(cause);
      this.#remove(token, pending);
      this.#settle(pending, message === undefined ? error : publishInDoubt(message, error));
    }
  }

  /** The server has refused a message: the login has no permission for its subject. Only the first such request is named. */
  refused(error: Error): void {
    if (!(error instanceof PermissionViolationError) || error.operation !== "publish") return;
    for (const [token, pending] of this.#pending) {
      if (pending.request.subject !== error.subject) continue;
      this.#remove(token, pending);
      this.#settle(pending, brokerUnreachable(error));
    }
  }

  #judge({ payload, message }: NatsRequest, connection: NatsConnection): void {
    const refused = (limit: string, maximum: number, actual: number): Error =>
      publishRefused(limit, maximum, actual, message ?? payload);
    const { maxInFlight, maxInFlightBytes } = this.#limits;
    const largest = connection.info?.max_payload ?? Number.POSITIVE_INFINITY;
    const [count, bytes] = [this.#pending.size + 1, this.#bytes + payload.length];
    if (payload.length > largest) throw refused("max_payload of the server", largest, payload.length);
    if (count > maxInFlight) throw refused("maxInFlight", maxInFlight, count);
    if (bytes > maxInFlightBytes) throw refused("maxInFlightBytes", maxInFlightBytes, bytes);
  }

  #answered(message: Msg): void {
    const token = message.subject.slice(this.#inbox.length);
    if (this.#pending.get(token)?.request.answer?.(message) !== false) this.#finish(token, message);
  }

  #finish(token: string, message: Msg | undefined): void {
    const pending = this.#pending.get(token);
    if (pending === undefined) return;
    this.#remove(token, pending);
    if (this.#end(pending)) pending.resolve(message);
  }

  #expired(pending: Pending, now: Instant): void {
    const { timeout, message } = pending.request;
    const facts = { after: between(pending.began, now), retriable: message === undefined };
    this.#settle(pending, brokerTimedOut(message === undefined ? "history" : "publish", timeout, facts));
  }

  #remove(token: string, pending: Pending): void {
    if (this.#pending.delete(token)) this.#bytes -= pending.request.payload.length;
  }

  #settle(pending: Pending, error: unknown): void {
    if (this.#end(pending)) pending.reject(error);
  }

  /** True if the call has no result yet. */
  #end(pending: Pending): boolean {
    if (pending.settled) return false;
    pending.settled = true;
    pending.timer?.cancel();
    if (pending.abort !== undefined) pending.request.signal?.removeEventListener("abort", pending.abort);
    return true;
  }
}
