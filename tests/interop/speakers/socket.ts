/** The WebSocket class of the platform, a browser or a runtime: a client that carries out orders. */

import { decoded, encoded, type Order, type Tell } from "./orders.ts";

interface Happened {
  readonly data?: string | ArrayBuffer;
  readonly code?: number;
  readonly reason?: string;
  readonly wasClean?: boolean;
}

interface PlatformSocket {
  binaryType: string;
  readonly protocol: string;
  readonly extensions: string;
  send(data: string | Uint8Array): void;
  close(code?: number, reason?: string): void;
  addEventListener(name: string, listener: (event: Happened) => void): void;
  // Bun has more than the standard.
  ping?(payload: Uint8Array): void;
  terminate?(): void;
}

type Platform = new (url: string, protocols?: unknown) => PlatformSocket;

/** Carries out the orders of a client. `platform` is for constructors with other arguments. */
export function sockets(
  tell: Tell,
  open: (order: Order & { readonly do: "dial" }) => unknown = dialled,
): (order: Order) => void {
  const opened = new Map<number, PlatformSocket>();
  return (order) => {
    if (order.do === "dial") {
      const socket = open(order) as PlatformSocket;
      opened.set(order.on, socket);
      listenTo(socket, order.on, tell);
    } else if (order.do !== "serve") {
      const socket = opened.get(order.on);
      if (socket !== undefined) obey(socket, order);
    }
  };
}

function dialled({ url, subprotocols }: Order & { readonly do: "dial" }): PlatformSocket {
  const { WebSocket } = globalThis as unknown as { readonly WebSocket: Platform };
  return new WebSocket(url, subprotocols);
}

function listenTo(socket: PlatformSocket, on: number, tell: Tell): void {
  socket.binaryType = "arraybuffer";
  let opened = false;
  socket.addEventListener("open", () => {
    opened = true;
    tell({ on, told: "open", subprotocol: socket.protocol, extensions: socket.extensions });
  });
  socket.addEventListener("message", ({ data }) => {
    if (typeof data === "string") tell({ on, told: "text", text: data });
    else tell({ on, told: "binary", base64: encoded(new Uint8Array(data ?? new ArrayBuffer(0))) });
  });
  for (const name of ["ping", "pong"] as const) {
    // Only Bun has these events.
    socket.addEventListener(name, ({ data }) => {
      tell({ on, told: name, base64: encoded(new Uint8Array((data ?? new ArrayBuffer(0)) as ArrayBuffer)) });
    });
  }
  // A later failure is reported by the close that follows. Node 20 has none for a socket that never opened.
  socket.addEventListener("error", () => {
    if (!opened) tell({ on, told: "closed", code: 1006, reason: "refused", clean: false });
  });
  socket.addEventListener("close", ({ code = 0, reason = "", wasClean = false }) => {
    tell({ on, told: "closed", code, reason, clean: wasClean });
  });
}

function obey(socket: PlatformSocket, order: Order): void {
  if (order.do === "text") socket.send(order.text);
  else if (order.do === "binary") socket.send(decoded(order.base64));
  else if (order.do === "ping") socket.ping?.(decoded(order.base64));
  else if (order.do === "drop") socket.terminate?.();
  else if (order.do === "close") {
    if (order.code === undefined) socket.close();
    else socket.close(order.code, order.reason);
  }
}
