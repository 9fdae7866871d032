/** The npm package `ws` as a client and as a server. */

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { type PerMessageDeflateOptions, WebSocket, WebSocketServer } from "ws";
import { obeying, tell } from "./line.ts";
import { type Deflate, decoded, encoded, type Order } from "./orders.ts";

const voices = new Map<number, WebSocket>();

function settings(deflate: Deflate | false): PerMessageDeflateOptions | false {
  if (deflate === false) return false;
  const { takeover, bits } = deflate;
  return {
    threshold: 0,
    serverNoContextTakeover: !takeover,
    clientNoContextTakeover: !takeover,
    serverMaxWindowBits: bits,
    clientMaxWindowBits: bits,
  };
}

function listenTo(socket: WebSocket, on: number): void {
  voices.set(on, socket);
  socket.on("message", (data: Buffer, binary) => {
    tell(binary ? { on, told: "binary", base64: encoded(data) } : { on, told: "text", text: data.toString() });
  });
  for (const name of ["ping", "pong"] as const) {
    socket.on(name, (payload) => tell({ on, told: name, base64: encoded(payload) }));
  }
  // The failure is reported by the close that follows.
  socket.on("error", () => undefined);
  socket.on("close", (code, reason) =>
    tell({ on, told: "closed", code, reason: reason.toString(), clean: code !== 1006 }),
  );
}

function opened({ protocol, extensions }: WebSocket, on: number): void {
  tell({ on, told: "open", subprotocol: protocol, extensions });
}

async function serve({ subprotocols, greeting, deflate }: Order & { readonly do: "serve" }): Promise<void> {
  const server = new WebSocketServer({
    port: 0,
    host: "127.0.0.1",
    perMessageDeflate: settings(deflate),
    handleProtocols: (offered) => subprotocols.find((one) => offered.has(one)) ?? false,
  });
  server.on("connection", (socket, { url = "" }) => {
    const on = Number(url.slice(1));
    listenTo(socket, on);
    opened(socket, on);
    if (greeting !== null) socket.send(greeting);
  });
  await once(server, "listening");
  tell({ told: "serving", port: (server.address() as AddressInfo).port });
}

function dial({ on, url, subprotocols, deflate }: Order & { readonly do: "dial" }): void {
  const socket = new WebSocket(url, [...subprotocols], { perMessageDeflate: settings(deflate) });
  listenTo(socket, on);
  socket.on("open", () => opened(socket, on));
}

function obey(socket: WebSocket, order: Order): void {
  if (order.do === "text") socket.send(order.text);
  else if (order.do === "binary") socket.send(decoded(order.base64));
  else if (order.do === "fragments") {
    const binary = order.type === "binary";
    for (const [index, part] of order.parts.entries()) {
      socket.send(decoded(part), { binary, fin: index === order.parts.length - 1 });
    }
  } else if (order.do === "ping") socket.ping(decoded(order.base64));
  else if (order.do === "close") socket.close(order.code, order.reason);
  else if (order.do === "drop") socket.terminate();
  // It has no other way to refuse.
  else if (order.do === "raw") (socket as unknown as { _socket: Duplex })._socket.write(decoded(order.base64));
}

const manifest = createRequire(import.meta.url).resolve("ws/package.json");
const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { readonly version: string };

await obeying(version, async (order) => {
  if (order.do === "serve") await serve(order);
  else if (order.do === "dial") dial(order);
  else {
    const socket = voices.get(order.on);
    if (socket !== undefined) obey(socket, order);
  }
});
