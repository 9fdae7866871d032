/** Functions that run inside the examined process: their text is sent to its inspector. */

// So each of them uses nothing but its own parameters, and changes nothing. They read properties of Node and of other libraries that
// have no public name: where one is absent, the doctor knows less.

/** The libraries that the doctor recognises as the owner of a socket. */
export type SocketOwner =
  | "ws"
  | "socket.io"
  | "http-server"
  | "http-agent"
  | "fetch"
  | "holdfast"
  | "tls"
  | "net"
  | "unknown";

/** What the objects of the process say about one of its sockets. */
export interface InsideFacts {
  readonly fd: number;
  readonly owner: SocketOwner;
  /** Name of the class of the owner. */
  readonly className: string;
  /** True if the application, or the library that owns the socket, has stopped reading. */
  readonly paused: boolean;
  /** True if the stream has not been read at all: it has no listener for data, and was never resumed. */
  readonly neverRead: boolean;
  /** Bytes that were read and not taken. */
  readonly untaken: number;
  /** Bytes that were written and that the kernel does not have yet. */
  readonly unsent: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly allowHalfOpen: boolean;
  /** True if the application has been told of the peer's FIN. */
  readonly ended: boolean;
  /** True if the application has ended its side. */
  readonly finished: boolean;
  readonly destroyed: boolean;
  /** Number of listeners by event. */
  readonly listeners: Readonly<Record<string, number>>;
  /** Of a WebSocket: 0 to 3, as in browsers. */
  readonly readyState?: number | undefined;
  /** Of HTTP: true if the body of the request (server) or of the response (client) has not been read to its end. */
  readonly bodyUnread?: boolean | undefined;
  /** Of HTTP: true if a request waits for its response to end. */
  readonly unanswered?: boolean | undefined;
}

interface StreamInside {
  readonly readableFlowing?: boolean | null;
  readonly readableLength?: number;
  readonly readableEnded?: boolean;
  readonly complete?: boolean;
}

interface HandleInside {
  readonly fd?: number;
  readonly reading?: boolean;
  readonly [symbol: symbol]: unknown;
}

interface ServerInside {
  readonly keepAliveTimeout?: number;
  readonly _handle?: HandleInside | null;
}

interface WebSocketInside {
  readonly readyState?: number;
  readonly isPaused?: boolean;
  readonly _socket?: unknown;
  readonly _receiver?: { readonly _bufferedBytes?: number };
  listeners?(event: string): ((...args: unknown[]) => unknown)[];
}

interface SocketInside extends StreamInside {
  readonly _handle?: HandleInside | null;
  readonly _httpMessage?: { readonly writableEnded?: boolean; readonly res?: StreamInside | null } | null;
  readonly parser?: { readonly incoming?: StreamInside | null } | null;
  readonly server?: ServerInside;
  readonly encrypted?: boolean;
  readonly writableLength?: number;
  readonly writableEnded?: boolean;
  readonly bytesRead?: number;
  readonly bytesWritten?: number;
  readonly allowHalfOpen?: boolean;
  readonly destroyed?: boolean;
  readonly [symbol: symbol]: unknown;
  eventNames(): (string | symbol)[];
  listenerCount(event: string | symbol): number;
}

/** Of a list of net.Sockets: the facts of those with these file descriptors. */
export function socketFacts(this: readonly SocketInside[], fds: readonly number[]): InsideFacts[] {
  const wanted = new Set(fds);
  const facts = new Map<number, InsideFacts>();
  const symbolValue = (object: object, description: RegExp): unknown => {
    const symbol = Object.getOwnPropertySymbols(object).find((one) => description.test(one.description ?? ""));
    return symbol && (object as { readonly [symbol: symbol]: unknown })[symbol];
  };
  for (const socket of this) {
    // One object that is not as expected must not hide the others.
    try {
      const handle = socket._handle;
      const fd = handle?.fd;
      // A TLSSocket on top of another socket has the same descriptor, and says more.
      if (handle == null || fd === undefined || !wanted.has(fd) || (facts.has(fd) && !socket.encrypted)) continue;
      const ws = symbolValue(socket, /^websocket$/) as WebSocketInside | undefined;
      const message = socket._httpMessage;
      const http = socket.server?.keepAliveTimeout !== undefined && socket.parser != null;
      const agent = socket.listenerCount("agentRemove") > 0 || message?.res !== undefined;
      const body = http ? socket.parser?.incoming : message?.res;
      const engine =
        ws?.listeners?.("close").some(({ name }) => name === "bound onClose") === true &&
        ws.listeners("message").some((listener) => String(listener).includes("onData"));
      const owner =
        ws?._socket === socket
          ? engine
            ? "socket.io"
            : "ws"
          : http
            ? "http-server"
            : agent
              ? "http-agent"
              : symbolValue(handle, /^holdfast$/) !== undefined
                ? "holdfast"
                : symbolValue(socket, /^(client|parser)$/) !== undefined
                  ? "fetch"
                  : socket.encrypted
                    ? "tls"
                    : "net";
      const events = socket.eventNames().filter((name) => typeof name === "string") as string[];
      facts.set(fd, {
        ...{ fd, owner },
        className: String((owner === "ws" || owner === "socket.io" ? ws : socket)?.constructor?.name),
        // A listener for "readable" reads without flowing.
        paused:
          (socket.readableFlowing === false && socket.listenerCount("readable") === 0) ||
          ws?.isPaused === true ||
          (http && handle.reading === false),
        neverRead: socket.readableFlowing === null && socket.listenerCount("readable") === 0,
        untaken: (socket.readableLength ?? 0) + (ws?._receiver?._bufferedBytes ?? 0) + (body?.readableLength ?? 0),
        unsent: socket.writableLength ?? 0,
        bytesRead: socket.bytesRead ?? 0,
        bytesWritten: socket.bytesWritten ?? 0,
        allowHalfOpen: socket.allowHalfOpen === true,
        ended: socket.readableEnded === true,
        finished: socket.writableEnded === true,
        destroyed: socket.destroyed === true,
        listeners: Object.fromEntries(events.map((name) => [name, socket.listenerCount(name)])),
        readyState: ws?.readyState,
        bodyUnread: (http || agent) && body != null && body.readableEnded !== true && body.readableFlowing !== true,
        unanswered: http && message != null && message.writableEnded !== true,
      });
    } catch {
      // Another library has changed the object.
    }
  }
  return [...facts.values()];
}

/** Of a list of net.Sockets or net.Servers: the prototype of Node's handles of TCP sockets; null if none of them has such a handle. */
export function handlePrototype(this: readonly (SocketInside | ServerInside)[]): object | null {
  const handle = this.map(({ _handle }) => _handle).find((one) => one?.constructor?.name === "TCP");
  return handle ? Object.getPrototypeOf(handle) : null;
}

/** Of a list of handles: the facts of those with these file descriptors. They have no net.Socket: Holdfast uses handles itself. */
export function handleFacts(this: readonly HandleInside[], fds: readonly number[]): InsideFacts[] {
  const wanted = new Set(fds);
  return this.flatMap((handle) => {
    const symbol = Object.getOwnPropertySymbols(handle).find(({ description }) => description === "owner_symbol");
    const owner = symbol && (handle[symbol] as object | null | undefined);
    // V8 keeps one object of each class as a pattern for new ones. It has no owner and no native part, so that its property `fd`
    // must not be read: the process would crash.
    if (owner == null || handle.fd === undefined || !wanted.has(handle.fd)) return [];
    const className = String(owner.constructor?.name);
    return [
      {
        ...{
          fd: handle.fd,
          owner: className === "FastTransport" ? ("holdfast" as const) : ("unknown" as const),
          className,
        },
        ...{ paused: false, neverRead: false, untaken: 0, unsent: 0, bytesRead: 0, bytesWritten: 0 },
        ...{ allowHalfOpen: true, ended: false, finished: false, destroyed: false, listeners: {} },
      },
    ];
  });
}

/** The recording of sockets that are opened, as an object inside the process. */
interface Recording {
  stop(): void;
  /** Number of sockets by the stack that has opened them. */
  readonly stacks: Map<string, number>;
}

interface Channels {
  subscribe(name: string, listener: () => void): void;
  unsubscribe(name: string, listener: () => void): void;
}

/** Records the stacks of sockets that are opened. It ends by itself after `longest` milliseconds, should the doctor have gone. */
export function recordOpenings(channels: Channels, longest: number): Recording {
  const stacks = new Map<string, number>();
  const listenerOf = (kind: string) => (): void => {
    const limit = Error.stackTraceLimit;
    // Half of the frames are Node's own.
    Error.stackTraceLimit = 30;
    const { stack = "" } = new Error();
    Error.stackTraceLimit = limit;
    const frames = stack
      .split("\n")
      .filter((line) => line.startsWith("    at ") && !/\(?node:|recordOpenings/.test(line));
    // The first is this listener.
    const key = `${kind}\n${frames.slice(1, 5).join("\n")}`;
    if (stacks.has(key) || stacks.size < 100) stacks.set(key, (stacks.get(key) ?? 0) + 1);
  };
  const listeners = { "net.client.socket": listenerOf("client"), "net.server.socket": listenerOf("server") };
  const stop = (): void => {
    clearTimeout(timer);
    for (const [name, listener] of Object.entries(listeners)) channels.unsubscribe(name, listener);
  };
  const timer = setTimeout(stop, longest);
  timer.unref();
  for (const [name, listener] of Object.entries(listeners)) channels.subscribe(name, listener);
  return { stop, stacks };
}

/** Ends the recording. */
export function stopRecording(this: Recording): [stack: string, count: number][] {
  this.stop();
  return [...this.stacks];
}
