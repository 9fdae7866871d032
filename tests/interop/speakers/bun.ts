/** Bun as a client and as a server. */

import { obeying, tell } from "./line.ts";
import { type Deflate, decoded, encoded, type Order } from "./orders.ts";
import { sockets } from "./socket.ts";

interface BunSocket {
  readonly data: { readonly on: number; readonly protocol: string; readonly extensions: string };
  send(data: string | Uint8Array, compress?: boolean): number;
  ping(payload: Uint8Array): number;
  close(code?: number, reason?: string): void;
  terminate(): void;
}
interface BunServer {
  readonly port: number;
  upgrade(request: Request, options: { readonly headers: Headers; readonly data: BunSocket["data"] }): boolean;
}
interface BunPlatform {
  readonly version: string;
  serve(options: object): BunServer;
}
const { Bun, WebSocket } = globalThis as unknown as {
  readonly Bun: BunPlatform;
  readonly WebSocket: new (url: string, options: object) => unknown;
};

const accepted = new Map<number, BunSocket>();

function serve({ subprotocols, greeting, deflate }: Order & { readonly do: "serve" }): void {
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request: Request): Response | undefined {
      const on = Number(new URL(request.url).pathname.slice(1));
      const offered = (request.headers.get("sec-websocket-protocol") ?? "").split(/ *, */);
      const protocol = subprotocols.find((one) => offered.includes(one)) ?? "";
      const headers = new Headers(protocol === "" ? {} : { "Sec-WebSocket-Protocol": protocol });
      const compresses =
        deflate !== false && /permessage-deflate/.test(request.headers.get("sec-websocket-extensions") ?? "");
      const data = { on, protocol, extensions: compresses ? "permessage-deflate" : "" };
      return server.upgrade(request, { headers, data }) ? undefined : new Response("not upgraded", { status: 400 });
    },
    websocket: {
      idleTimeout: 0,
      perMessageDeflate: deflate && { compress: window(deflate), decompress: window(deflate) },
      open(socket: BunSocket) {
        const { on, protocol, extensions } = socket.data;
        accepted.set(on, socket);
        tell({ on, told: "open", subprotocol: protocol, extensions });
        if (greeting !== null) socket.send(greeting);
      },
      message({ data: { on } }: BunSocket, message: string | Uint8Array) {
        if (typeof message === "string") tell({ on, told: "text", text: message });
        else tell({ on, told: "binary", base64: encoded(message) });
      },
      ping({ data: { on } }: BunSocket, payload: Uint8Array) {
        tell({ on, told: "ping", base64: encoded(payload) });
      },
      pong({ data: { on } }: BunSocket, payload: Uint8Array) {
        tell({ on, told: "pong", base64: encoded(payload) });
      },
      close({ data: { on } }: BunSocket, code: number, reason: string) {
        tell({ on, told: "closed", code, reason, clean: code !== 1006 });
      },
    },
  });
  tell({ told: "serving", port: server.port });
}

/** Its own names for context takeover and window sizes. */
function window({ takeover, bits }: Deflate): string {
  if (!takeover) return "shared";
  return bits === 15 ? "256KB" : "4KB";
}

function obey(socket: BunSocket, order: Order): void {
  if (order.do === "text") socket.send(order.text, true);
  else if (order.do === "binary") socket.send(decoded(order.base64), true);
  else if (order.do === "ping") socket.ping(decoded(order.base64));
  else if (order.do === "drop") socket.terminate();
  else if (order.do === "close") socket.close(order.code, order.reason);
}

const client = sockets(tell, ({ url, subprotocols, deflate }) => {
  return new WebSocket(url, { protocols: subprotocols, perMessageDeflate: deflate !== false });
});

await obeying(Bun.version, (order) => {
  if (order.do === "serve") return serve(order);
  const socket = "on" in order ? accepted.get(order.on) : undefined;
  if (socket === undefined) client(order);
  else obey(socket, order);
});
