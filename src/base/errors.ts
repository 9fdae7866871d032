/** The errors of a connection: a closed union, told apart by `code`. */

/** What was being done when the error came. `write:pong` and its like name the frame that was being written. */
export type Operation =
  | "connect:target"
  | "connect:dns"
  | "connect:queue"
  | "connect:tcp"
  | "connect:tls"
  | "connect:upgrade"
  | "accept"
  | "receive"
  | "send"
  | "ping"
  | "drain"
  | "close"
  | "live"
  | "write:data"
  | "write:ping"
  | "write:pong"
  | "write:close";

/** Who began it. */
export type Side = "local" | "peer";

/** How far opening had come. `queue` waits for other WebSockets that are being opened to the same address. */
export type Phase = "dns" | "queue" | "tcp" | "tls" | "upgrade";

// Not exported: users catch the union, and nobody throws "some connection error".
abstract class ConnectionErrorBase extends Error {
  abstract readonly code: string;
}

/** The connection is over. Every later call rejects with this same object. */
export class ClosedError extends ConnectionErrorBase {
  override readonly name = "ClosedError";
  readonly code = "CLOSED";
  /** RFC 6455 section 7.4 status code; 1006 when the end came without a closing handshake. */
  readonly closeCode: number;
  readonly reason: string;
  readonly by: Side;
  /** Whether both sides agreed to end: a whole closing handshake, or for plain TCP a FIN each way at a message boundary. */
  readonly wasClean: boolean;

  constructor(
    facts: { readonly closeCode: number; readonly reason?: string; readonly by: Side; readonly wasClean: boolean },
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

/** How much of a message has arrived, in bytes of the wire. `expected` is unknown until its length has been announced. */
export interface Progress {
  readonly received: number;
  readonly expected: number | undefined;
}

/** A bound in time was reached. Whether the connection still lives is told by `retriable`. */
export class TimeoutError extends ConnectionErrorBase {
  override readonly name = "TimeoutError";
  readonly code = "TIMEOUT";
  readonly timeout = true;
  readonly operation: Operation;
  /** The name of the option, or `deadline` or `timeout` for a bound given with the call. */
  readonly limit: string;
  /** How long it had lasted, in milliseconds. */
  readonly after: number;
  /** The configured length in milliseconds, or the deadline. */
  readonly bound: number | Date;
  /** Bytes of the message that was arriving, for a read; 0 at a message boundary. They are kept. */
  readonly partial: number;
  /** Bytes that message was announced to have, if that much was known. */
  readonly expected: number | undefined;
  /** Whether the connection is still usable, so that the same call may be made again. */
  readonly retriable: boolean;

  constructor(
    facts: {
      readonly operation: Operation;
      readonly limit: string;
      readonly bound: number | Date;
      readonly after: number;
      readonly retriable: boolean;
      readonly progress?: Progress;
    },
    options?: ErrorOptions,
  ) {
    const { operation, limit, bound, progress } = facts;
    const said = typeof bound === "number" ? `${bound} ms` : bound.toISOString();
    const inside = progress !== undefined && progress.received > 0;
    super(
      `Cannot ${operation}: ${limit} of ${said} reached after ${Math.round(facts.after)} ms${
        inside ? `, with ${progress.received} of ${progress.expected ?? "an unknown number of"} bytes of a message` : ""
      }`,
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

/** Somebody broke the protocol: the peer, unless `by` says otherwise. */
export class ProtocolError extends ConnectionErrorBase {
  override readonly name = "ProtocolError";
  readonly code = "PROTOCOL";
  readonly by: Side;
  /** The code that the Close frame carries. */
  readonly closeCode: number;
  /** The clause that was broken, such as `RFC 6455 5.1`; `unexpected-eof` for a stream that ended inside a message. */
  readonly clause: string;

  constructor(
    facts: { readonly problem: string; readonly by: Side; readonly closeCode: number; readonly clause: string },
    options?: ErrorOptions,
  ) {
    super(`Cannot go on receiving: ${facts.problem} (${facts.clause})`, options);
    this.by = facts.by;
    this.closeCode = facts.closeCode;
    this.clause = facts.clause;
  }
}

/** The connection did not come to be. `cause` holds what happened below, if anything did. */
export class HandshakeError extends ConnectionErrorBase {
  override readonly name = "HandshakeError";
  readonly code = "HANDSHAKE";
  readonly phase: Phase;
  /** The HTTP status that was answered; undefined if none was. */
  readonly status: number | undefined;
  /** The answer's header fields, names in lower case. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    facts: {
      readonly problem: string;
      readonly phase: Phase;
      readonly status?: number;
      readonly headers?: Readonly<Record<string, string>>;
    },
    options?: ErrorOptions,
  ) {
    super(`Cannot connect: ${facts.problem} (in phase ${facts.phase})`, options);
    this.phase = facts.phase;
    this.status = facts.status;
    this.headers = facts.headers ?? {};
  }
}

/** A store was full, or a message larger than what is allowed. */
export class LimitError extends ConnectionErrorBase {
  override readonly name = "LimitError";
  readonly code = "LIMIT";
  /** The name of the option that was reached. */
  readonly limit: string;
  readonly maximum: number;
  readonly actual: number;
  /** The refused message, handed back to its owner; undefined if it never was whole. */
  readonly refused: string | Uint8Array | undefined;

  constructor(
    facts: {
      readonly operation: "send" | "receive" | "accept" | "connect";
      readonly problem?: string;
      readonly limit: string;
      readonly maximum: number;
      readonly actual: number;
      readonly refused?: string | Uint8Array;
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
    this.refused = facts.refused;
  }
}

/** The operating system reported a failure: a reset, a refused connection, a broken pipe. */
export class TransportError extends ConnectionErrorBase {
  override readonly name = "TransportError";
  readonly code = "TRANSPORT";
  /** The system's name for it, such as `ECONNRESET`. */
  readonly errno: string;
  readonly syscall: string | undefined;

  constructor(facts: { readonly errno: string; readonly syscall?: string }, options?: ErrorOptions) {
    super(`Cannot ${facts.syscall ?? "use the transport"}: ${facts.errno}`, options);
    this.errno = facts.errno;
    this.syscall = facts.syscall;
  }
}

/**
 * A message was on its way when the connection ended, or when the caller's patience did: the peer may have it, or may not.
 * Only connections that reconnect tell the difference; `cause` is the end.
 */
export class InDoubtError extends ConnectionErrorBase {
  override readonly name = "InDoubtError";
  readonly code = "IN_DOUBT";
  /** The message, handed back. If it is sent again, it may arrive twice. */
  readonly doubtful: string | Uint8Array;

  constructor(facts: { readonly doubtful: string | Uint8Array }, options?: ErrorOptions) {
    super("Cannot tell what became of a message: it was on its way, and may have arrived or not", options);
    this.doubtful = facts.doubtful;
  }
}

/** A worker did not come to serve. It is no error of a connection, and so not of the union below. */
export class WorkerError extends Error {
  override readonly name = "WorkerError";
  readonly code = "WORKER";
  /** Which one, from 1. */
  readonly worker: number;
  /** The system's name for what went wrong in it, such as `EADDRINUSE`, if that is what it was. */
  readonly errno: string | undefined;

  constructor(facts: { readonly worker: number; readonly problem: string; readonly errno?: string | undefined }) {
    super(`Cannot start worker ${facts.worker}: ${facts.problem}`);
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

/** Whether `error` is one of the union above. */
export function isConnectionError(error: unknown): error is ConnectionError {
  return error instanceof ConnectionErrorBase;
}
