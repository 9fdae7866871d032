/** Programs that leak sockets, each in a way that is common, and still serve: the first argument names the program. */

import { createServer as createHttp, get } from "node:http";
import { createRequire } from "node:module";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { createServer as createTls } from "node:tls";
import { type WebSocket, WebSocketServer } from "ws";
import { listen } from "../../../src/index.ts";

const PEERS = new URL("../../../../.cache/peers/node_modules/", import.meta.url);

const [kind = "", url = ""] = process.argv.slice(2);

function announce(server: Server): void {
  server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port));
}

const PROGRAMS: Readonly<Record<string, () => void>> = {
  // Reads to the end, and forgets that allowHalfOpen leaves the other end to the application.
  net: () => announce(createServer({ allowHalfOpen: true }, (socket) => socket.resume().write("hello"))),
  // The same on TLS.
  tls: () => {
    const form = { ciphers: "PSK", minVersion: "TLSv1.2", maxVersion: "TLSv1.2", allowHalfOpen: true } as const;
    announce(createTls({ ...form, pskCallback: () => Buffer.alloc(16, 1) }, (socket) => void socket.resume()));
  },
  // Pauses a client that sends too much, and forgets it.
  ws: () => {
    const server = createHttp((_, response) => void response.end("hello"));
    new WebSocketServer({ server }).on("connection", (client: WebSocket) => {
      client.send("hello");
      client.once("message", () => client.pause());
    });
    announce(server);
  },
  // Neither reads the body of a request nor answers it.
  "http-server": () =>
    announce(createHttp((request, response) => void (request.method === "GET" && response.end("hello")))),
  // Asks for a document, and looks at the status only.
  "http-agent": () => {
    announce(createServer((socket) => socket.end("hello")));
    for (let request = 0; request < 3; request += 1) get(url, () => undefined);
  },
  // Asks for a document, and keeps the response.
  fetch: () => {
    announce(createServer((socket) => socket.end("hello")));
    void fetch(url).then((response) => setInterval(() => response.status, 60_000));
  },
  // Takes a connection, and does nothing with it.
  unread: () => announce(createServer(() => undefined)),
  // Pauses the transport of each client, as a limit of its own.
  "socket.io": () => {
    const { Server: SocketIo } = createRequire(PEERS)("socket.io");
    const server = createHttp();
    // On a busy machine its own limit must not end the client before the doctor has looked.
    new SocketIo(server, { pingInterval: 600_000 }).on(
      "connection",
      (client: { conn: { transport: { socket: WebSocket } } }) => client.conn.transport.socket.pause(),
    );
    announce(server);
  },
  // Opens connections to a port, one after the other.
  opener: () => {
    announce(createServer((socket) => socket.end("hello")));
    setInterval(function openAgain() {
      connect(Number(url), "127.0.0.1").on("error", () => undefined);
    }, 20);
  },
  // A handler that never takes a message.
  holdfast: () => {
    void listen("tcp://127.0.0.1:0", { framing: "lines" }, async (connection) => {
      await connection.send("hello");
      await connection.closed;
    }).then((server) => console.log(new URL(server.url).port));
  },
  // Handles the signal of the inspector itself: with a server that answers in a hostile way.
  hostile: () => {
    announce(createServer((socket) => socket.end("hello")));
    process.on("SIGUSR1", () => {
      const server = createServer((socket) => {
        socket.on("error", () => undefined);
        socket.write("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n");
        const more = (): void =>
          void (
            socket.destroyed || (socket.write(url.repeat(1_000)) ? setImmediate(more) : socket.once("drain", more))
          );
        more();
      });
      server.listen(0, "127.0.0.1");
    });
  },
  // The same, with a server that looks like an inspector and answers nothing that was asked.
  impostor: () => {
    announce(createServer((socket) => socket.end("hello")));
    process.on("SIGUSR1", () => {
      const server = createHttp((_, response) => {
        const { port } = server.address() as AddressInfo;
        const id = "01234567-89ab-cdef-0123-456789abcdef";
        response.end(JSON.stringify([{ webSocketDebuggerUrl: `ws://127.0.0.1:${port}/${id}` }]));
      });
      new WebSocketServer({ server }).on("connection", (client) =>
        client.on("message", () => {
          for (let event = 0; event < 1_001; event += 1) client.send(url);
        }),
      );
      server.listen(0, "127.0.0.1");
    });
  },
};

PROGRAMS[kind]?.();
