/** Functions that run inside the examined process: their text is sent to its inspector. */

// So each of them uses nothing but its own parameters, and changes nothing. They read properties of Node and of other libraries that
// have no public name: where one is absent, the report has less.

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

/**
 * An expression for the list of sockets, servers and other owners of active handles. Node has no public function for it, and a search
 * of the heap stops the process for a second for each million of objects or so.
 */
export const ACTIVE_HANDLES = "process._getActiveHandles()";

/** A socket that is looked for: its file descriptor, and its addresses as `addressKey` writes them. */
export interface WantedSocket {
  readonly fd: number;
  readonly key: string;
}

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
  /** True if the stream has reported the peer's FIN to the application. */
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
  /** True if only the socket under a TLSSocket was found, which says nothing about reading. */
  readonly hidden?: boolean | undefined;
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
  /** Only servers of TLS have it. */
  readonly setSecureContext?: unknown;
}

interface WebSocketInside {
  readonly readyState?: number;
  readonly isPaused?: boolean;
  readonly _socket?: unknown;
  readonly _receiver?: { readonly _bufferedBytes?: number };
  listeners?(event: string): ((...args: unknown[]) => unknown)[];
}

/** The addresses of a socket, or of Holdfast's own transport, which has no net.Socket. */
interface EndsInside {
  readonly localAddress?: string;
  readonly localPort?: number;
  readonly remoteAddress?: string;
  readonly remotePort?: number;
}

interface SocketInside extends StreamInside, EndsInside {
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

/** Of a list of objects: the facts of those that are one of these sockets. */
export function socketFacts(this: readonly SocketInside[], sockets: readonly WantedSocket[]): InsideFacts[] {
  const wanted = new Set(sockets.map(({ fd }) => fd));
  const keys = new Map(sockets.map(({ key, fd }) => [key, fd]));
  const facts = new Map<number, InsideFacts>();
  const symbolValue = (object: object, description: RegExp): unknown => {
    const symbol = Object.getOwnPropertySymbols(object).find((one) => description.test(one.description ?? ""));
    return symbol && (object as { readonly [symbol: symbol]: unknown })[symbol];
  };
  for (const socket of this) {
    // One object that is not as expected must not hide the others.
    try {
      if (socket.constructor?.name === "FastTransport") {
        const { localAddress, localPort, remoteAddress, remotePort } = socket;
        const own = keys.get(`${localAddress}|${localPort}|${remoteAddress}|${remotePort}`);
        if (own === undefined) continue;
        facts.set(own, {
          ...{ fd: own, owner: "holdfast", className: "FastTransport", paused: false, neverRead: false },
          ...{ untaken: 0, unsent: 0, bytesRead: 0, bytesWritten: 0, allowHalfOpen: true },
          ...{ ended: false, finished: false, destroyed: false, listeners: {} },
        });
        continue;
      }
      const handle = socket._handle;
      const fd = handle?.fd;
      // A TLSSocket on top of another socket has the same descriptor, and says more.
      if (handle == null || fd === undefined || !wanted.has(fd) || (facts.has(fd) && !socket.encrypted)) continue;
      const hidden = socket.server?.setSecureContext !== undefined && !socket.encrypted;
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
                  : socket.encrypted || hidden
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
        hidden,
        unanswered: http && message != null && message.writableEnded !== true,
      });
    } catch {
      // Another library has changed the object.
    }
  }
  return [...facts.values()];
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
