/** The errors of a connection: a closed union, distinguished by `code`. */

import { isObject } from "./forms.ts";
import type { ProtocolErrorReason } from "./protocol-reasons.ts";
import type { Refusal } from "./refusals.ts";

/**
 * The operation that was in progress when the error happened. `write:pong` and similar values name the frame that was written;
 * `publish`, `join` and `history` are operations of a topic, on its broker; `metrics` is that of a worker.
 */
export type ConnectionOperation =
  | "connect:target"
  | "connect:dns"
  | "connect:queue"
  | "connect:tcp"
  | "connect:proxy"
  | "connect:tls"
  | "connect:upgrade"
  | "accept"
  | "receive"
  | "send"
  | "ping"
  | "drain"
  | "close"
  | "lifetime"
  | "publish"
  | "join"
  | "history"
  | "metrics"
  | "write:data"
  | "write:ping"
  | "write:pong"
  | "write:close";

/** The side that caused the event: `local` is this process, `peer` is the other end of the connection. */
export type ConnectionSide = "local" | "peer";

/**
 * A phase of opening a connection. In phase `queue` the connection waits for other WebSockets that are being opened to the same
 * address (RFC 6455 4.1). In phase `proxy` the option `dial` opens the stream.
 */
export type ConnectPhase = "dns" | "queue" | "tcp" | "proxy" | "tls" | "upgrade";

// Not exported: applications use the union `ConnectionError`, and the library throws only the concrete classes below.
abstract class ConnectionErrorBase extends Error {
  abstract readonly code: string;
}

/** The connection is closed. Every later call rejects with this same object. */
export class ClosedError extends ConnectionErrorBase {
  override readonly name = "ClosedError";
  readonly code = "CLOSED";
  /** The status code of RFC 6455 section 7.4. It is 1006 if the connection ended without a closing handshake. */
  readonly closeCode: number;
  /** The reason in the Close frame; empty if there was none. */
  readonly reason: string;
  /** The side that began to close. */
  readonly by: ConnectionSide;
  /**
   * True if both sides agreed to end. For a WebSocket: the closing handshake was completed. For plain TCP: a FIN was sent in each
   * direction, at a message boundary.
   */
  readonly wasClean: boolean;

  constructor(
    facts: {
      readonly closeCode: number;
      readonly reason?: string | undefined;
      readonly by: ConnectionSide;
      readonly wasClean: boolean;
    },
    options?: ErrorOptions,
  ) {
    const reason = facts.reason ?? "";
    super(
      `Connection closed by ${facts.by === "peer" ? "the peer" : "this side"} with code ${facts.closeCode}${reason && `: ${reason}`}`,
      options,
    );
    this.closeCode = facts.closeCode;
    this.reason = reason;
    this.by = facts.by;
    this.wasClean = facts.wasClean;
  }
}

/**
 * How much of an incomplete message has arrived. Both values count bytes on the wire, framing included. `expected` is undefined
 * until the peer has announced the length of the message.
 */
export interface Progress {
  readonly received: number;
  readonly expected: number | undefined;
}

/** A time limit was reached. `retriable` says whether the call may be repeated. */
export class TimeoutError extends ConnectionErrorBase {
  override readonly name = "TimeoutError";
  readonly code = "TIMEOUT";
  readonly timeout = true;
  readonly operation: ConnectionOperation;
  /** The name of the option that set the limit. `deadline` or `timeout` if the call itself set it. */
  readonly limit: string;
  /** How long the operation had lasted when the limit was reached, in milliseconds. */
  readonly after: number;
  /** The limit: a length in milliseconds, or the deadline as a Date. */
  readonly bound: number | Date;
  /**
   * For a read: the number of bytes received of an incomplete message, framing included; 0 at a message boundary. The bytes stay
   * in the connection, so that a later read continues with them.
   */
  readonly partial: number;
  /** The announced size of that message in bytes, framing included. Undefined if the size was not known yet. */
  readonly expected: number | undefined;
  /**
   * True if the same call may be repeated: the connection is still usable, or the call was `connect` and there is no connection
   * yet.
   */
  readonly retriable: boolean;

  constructor(
    facts: {
      readonly operation: ConnectionOperation;
      readonly limit: string;
      readonly bound: number | Date;
      readonly after: number;
      readonly retriable: boolean;
      readonly progress?: Progress | undefined;
      /** What the operation waited for. Ends the message. */
      readonly detail?: string | undefined;
    },
    options?: ErrorOptions,
  ) {
    const { operation, limit, bound, progress, detail } = facts;
    const said = typeof bound === "number" ? `${bound} ms` : bound.toISOString();
    const inside = progress !== undefined && progress.received > 0;
    super(
      `Cannot ${inWords(operation)}: ${limit} of ${said} reached after ${Math.round(facts.after)} ms${
        inside ? `, with ${progress.received} of ${progress.expected ?? "an unknown number of"} bytes of a message` : ""
      }${detail === undefined ? "" : `: ${detail}`}`,
      options,
    );
    this.operation = operation;
    this.limit = limit;
    this.bound = bound;
    this.after = facts.after;
    this.retriable = facts.retriable;
    this.partial = progress?.received ?? 0;
    this.expected = progress?.expected;
  }
}

/** `connect:dns` is "connect (in phase dns)", `write:pong` is "write a pong". */
function inWords(operation: ConnectionOperation): string {
  const [action, detail] = operation.split(":");
  if (operation === "lifetime") return "keep the connection open";
  if (operation === "write:data") return "write";
  if (operation === "history" || operation === "metrics") return `read the ${operation}`;
  if (detail === undefined) return operation;
  return action === "connect" ? `connect (in phase ${detail})` : `${action} a ${detail}`;
}

/** A side violated the protocol. `by` names the side, which is nearly always the peer. */
export class ProtocolError extends ConnectionErrorBase {
  override readonly name = "ProtocolError";
  readonly code = "PROTOCOL";
  readonly by: ConnectionSide;
  /** The status code that the Close frame carries in answer to the violation. */
  readonly closeCode: number;
  /** The violated rule, for programs. A closed set: a `switch` over it can be complete. */
  readonly reason: ProtocolErrorReason;
  /** The violated clause, such as `RFC 6455 5.1`; `unexpected-eof` if the stream ended inside a message. */
  readonly clause: string;

  constructor(
    facts: {
      readonly problem: string;
      readonly by: ConnectionSide;
      readonly closeCode: number;
      readonly reason: ProtocolErrorReason;
      readonly clause: string;
    },
    options?: ErrorOptions,
  ) {
    super(`Cannot continue to receive: ${facts.problem} (${facts.clause})`, options);
    this.by = facts.by;
    this.closeCode = facts.closeCode;
    this.reason = facts.reason;
    this.clause = facts.clause;
  }
}

/** The beginning of the body of a response. */
export interface ResponseBody {
  readonly text: string;
  readonly truncated: boolean;
}

/**
 * The connection could not be opened; for `accept`, the request was refused. `cause` holds the underlying error, if there is one.
 */
export class HandshakeError extends ConnectionErrorBase {
  override readonly name = "HandshakeError";
  readonly code = "HANDSHAKE";
  /** The phase in which opening failed. */
  readonly phase: ConnectPhase;
  /** The HTTP status of the response; undefined if there was none. */
  readonly status: number | undefined;
  /** The reason for which this side, as a server, has refused the request. Undefined on a client. */
  readonly refusal: Refusal | undefined;
  /** The header fields of the response except Set-Cookie, with names in lower case. Empty if there was no response. */
  readonly headers: Readonly<Record<string, string>>;
  /** The lines of Set-Cookie of the response, one for each cookie. */
  readonly setCookie: readonly string[];
  /**
   * The body of the response as text: at most its first 1,024 bytes, and only what was received within `openTimeout`. Read as
   * UTF-8; invalid bytes become U+FFFD. A compressed body is not decompressed. Empty if there was no response or no body.
   */
  readonly body: string;
  /** True if `body` is only a part of the body: it was longer, or did not end within `openTimeout`. */
  readonly bodyTruncated: boolean;

  constructor(
    facts: {
      readonly problem: string;
      readonly phase: ConnectPhase;
      readonly status?: number | undefined;
      readonly headers?: Readonly<Record<string, string>> | undefined;
      readonly setCookie?: readonly string[] | undefined;
      readonly body?: ResponseBody | undefined;
      readonly refusal?: Refusal | undefined;
    },
    options?: ErrorOptions,
  ) {
    const action = facts.refusal === undefined ? "connect" : "accept";
    super(`Cannot ${action}: ${facts.problem} (in phase ${facts.phase})`, options);
    this.phase = facts.phase;
    this.status = facts.status;
    this.headers = facts.headers ?? {};
    this.setCookie = facts.setCookie ?? [];
    this.body = facts.body?.text ?? "";
    this.bodyTruncated = facts.body?.truncated ?? false;
    this.refusal = facts.refusal;
  }
}

/** A limit in size or number was exceeded: a queue was full, or a message was larger than allowed. */
export class LimitError extends ConnectionErrorBase {
  override readonly name = "LimitError";
  readonly code = "LIMIT";
  /** The name of the option whose limit was exceeded. */
  readonly limit: string;
  /** The limit, in the unit of the option. */
  readonly maximum: number;
  /** The value that exceeded the limit, in the same unit. */
  readonly actual: number;
  /**
   * The refused message, returned to the caller: the text, or a copy of the bytes at the time of the call. Undefined if there was no
   * whole message.
   */
  readonly returned: string | Uint8Array | undefined;

  constructor(
    facts: {
      readonly operation: "send" | "receive" | "accept" | "connect" | "publish" | "subscribe" | "join" | "read";
      readonly problem?: string | undefined;
      readonly limit: string;
      readonly maximum: number;
      readonly actual: number;
      readonly returned?: string | Uint8Array | undefined;
    },
    options?: ErrorOptions,
  ) {
    super(
      `Cannot ${facts.operation}: ${facts.problem ?? `${facts.limit} is ${facts.maximum}, and this makes ${facts.actual}`}`,
      options,
    );
    this.limit = facts.limit;
    this.maximum = facts.maximum;
    this.actual = facts.actual;
    this.returned = facts.returned;
  }
}

/** The operating system reported an error, such as a reset, a refused connection or a broken pipe. */
export class TransportError extends ConnectionErrorBase {
  override readonly name = "TransportError";
  readonly code = "TRANSPORT";
  /** The system's name of the error, such as `ECONNRESET`. */
  readonly errno: string;
  /** The system call that failed, if it is known. */
  readonly syscall: string | undefined;

  constructor(
    facts: { readonly errno: string; readonly syscall?: string; readonly detail?: string },
    options?: ErrorOptions,
  ) {
    const { errno, syscall = "use the transport", detail } = facts;
    super(`Cannot ${syscall}: ${errno}${detail === undefined ? "" : `: ${detail}`}`, options);
    this.errno = facts.errno;
    this.syscall = facts.syscall;
  }
}

/**
 * It is unknown whether the peer has received a message: its transmission had begun when the connection ended, or when the
 * timeout or deadline of the call was reached. Only reconnecting connections report this error, and brokers of topics, for which
 * the peer is the server. `cause` is the error that ended the connection or the call.
 */
export class InDoubtError extends ConnectionErrorBase {
  override readonly name = "InDoubtError";
  readonly code = "IN_DOUBT";
  /** The message, returned to the caller. If it is sent again, the peer may receive it twice. */
  readonly returned: string | Uint8Array;

  constructor(facts: { readonly returned: string | Uint8Array }, options?: ErrorOptions) {
    super(
      "Cannot find out whether the peer received a message: the connection or the call ended during its transmission",
      options,
    );
    this.returned = facts.returned;
  }
}

/** A worker process did not start to serve. This is not an error of a connection and not a member of the union below. */
export class WorkerError extends Error {
  override readonly name = "WorkerError";
  readonly code = "WORKER";
  /** The number of the worker, counted from 1. */
  readonly worker: number;
  /** The system's name of the error in the worker, such as `EADDRINUSE`. Undefined if it was not an error of the system. */
  readonly errno: string | undefined;

  constructor(
    facts: { readonly worker: number; readonly problem: string; readonly errno?: string | undefined },
    options?: ErrorOptions,
  ) {
    super(`Cannot start worker ${facts.worker}: ${facts.problem}`, options);
    this.worker = facts.worker;
    this.errno = facts.errno;
  }
}

/** Every error that a connection reports. A `switch` over `code` can be complete. */
export type ConnectionError =
  | ClosedError
  | TimeoutError
  | ProtocolError
  | HandshakeError
  | LimitError
  | TransportError
  | InDoubtError;

/** The classes of the union by their codes. A class that extends one of them has no code of its own. */
const CODES: ReadonlyMap<unknown, ConnectionError["code"]> = new Map<unknown, ConnectionError["code"]>([
  [ClosedError, "CLOSED"],
  [TimeoutError, "TIMEOUT"],
  [ProtocolError, "PROTOCOL"],
  [HandshakeError, "HANDSHAKE"],
  [LimitError, "LIMIT"],
  [TransportError, "TRANSPORT"],
  [InDoubtError, "IN_DOUBT"],
]);

const KNOWN_CODES: ReadonlySet<unknown> = new Set(CODES.values());

// Registered, so that two copies of the library in one process recognise each other's errors.
const CODE = Symbol.for("holdfast.errorCode");

Object.defineProperty(ConnectionErrorBase.prototype, CODE, {
  get(this: ConnectionErrorBase): string {
    return this.code;
  },
});

// `error instanceof ClosedError` is true also for a ClosedError that another copy has made.
Object.defineProperty(ConnectionErrorBase, Symbol.hasInstance, {
  value(this: unknown, value: unknown): boolean {
    if (Function.prototype[Symbol.hasInstance].call(this as () => void, value)) return true;
    const code = CODES.get(this);
    return code !== undefined && codeOf(value) === code;
  },
});

function codeOf(value: unknown): unknown {
  return isObject(value) ? value[CODE] : undefined;
}

/**
 * True if `error` is a member of the union `ConnectionError`, created by this copy of the library or by another copy in the
 * same process.
 */
export function isConnectionError(error: unknown): error is ConnectionError {
  return KNOWN_CODES.has(codeOf(error));
}
