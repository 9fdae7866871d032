/** The systems that are compared: how two nodes of each are started, and what their clients send and receive. */

import { once } from "node:events";
import { mkdtempSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { root } from "../../tools/ready.mjs";
import { centrifugo, packages } from "../build.mjs";
import { Client, frameOf } from "./clients.mjs";
import { Program } from "./program.mjs";

const script = (path) => [process.execPath, join(root, "bench/peers", path)];

/** How many messages each system keeps where the work asks for a history, and for how many seconds. */
export const HISTORY = { messages: 1_000, seconds: 300 };

/** A port that is free now, for servers that cannot choose one by themselves. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Until a server accepts connections: Centrifugo says that it serves before it listens. */
async function accepts(port) {
  for (let tries = 1; ; tries++) {
    const socket = connect({ port, host: "127.0.0.1" });
    try {
      await once(socket, "connect");
      return;
    } catch (error) {
      if (tries === 200) throw error;
      await pause(20);
    } finally {
      socket.destroy();
    }
  }
}

/** A redis-server without persistence, in a folder of its own. */
export async function startRedis(core) {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-bench-"));
  const port = await freePort();
  const flags = ["--port", port, "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no"];
  const server = new Program(["redis-server", ...flags.map(String)], { core });
  await server.says(/Ready to accept connections/);
  return { port, url: `redis://127.0.0.1:${port}`, process: server, stop: () => server.stop() };
}

const node = async (path, { redis, history, core, flags = [], env = {} }) => {
  await packages();
  const given = { REDIS: redis.url, HISTORY: history ? JSON.stringify(HISTORY) : "", ...env };
  const server = new Program([...script(path), ...flags], { core, env: given });
  const [, port] = await server.says(/^port (\d+)$/m);
  return { port: Number(port), process: server, stop: () => server.stop() };
};

/** A publisher that is a client of a node: each message is one frame, made of the message's text. */
const byFrames = (protocol, textOf) => async (port) => {
  const client = new Client(port, protocol);
  await client.open;
  return {
    send: (messages) => client.send(Buffer.concat(messages.map((message) => frameOf(textOf(message))))),
    close: () => client.close(),
  };
};

/** A publisher that uses the HTTP interface of Centrifugo, as applications do: all messages of a moment are one request. */
async function byRequests(port) {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  socket.on("error", () => {}).resume();
  await once(socket, "connect");
  return {
    send(messages) {
      const commands = messages.map((data) => ({ publish: { channel: "room", data } }));
      const body = JSON.stringify({ commands });
      const head = `POST /api/batch HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json`;
      socket.write(`${head}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    },
    close: () => socket.destroy(),
  };
}

const SOCKET_IO = {
  ...{ path: "/socket.io/?EIO=4&transport=websocket", hello: ["40"], joined: '40{"sid"' },
  // Engine.IO has pings of its own.
  alive: frameOf("3"),
};
const socketIo = { subscriber: SOCKET_IO, publisher: byFrames(SOCKET_IO, (message) => `42["m","${message}"]`) };

export const SYSTEMS = {
  holdfast: {
    subscriber: { path: "/room" },
    publisher: byFrames({ path: "/publish" }, (message) => message),
    start: (options) => node("holdfast-room.mjs", options),
  },
  "socket.io": {
    ...socketIo,
    start: (options) => node("node/socket-io-room.mjs", { ...options, flags: ["pubsub"] }),
    history: false,
  },
  "socket.io-streams": {
    ...socketIo,
    start: (options) => node("node/socket-io-room.mjs", { ...options, flags: ["streams"] }),
    history: "always",
  },
  centrifugo: {
    subscriber: {
      path: "/connection/websocket",
      hello: ['{"id":1,"connect":{}}', '{"id":2,"subscribe":{"channel":"room"}}'],
      joined: '"id":2,"subscribe":{',
    },
    publisher: byRequests,
    async start({ redis, history, core }) {
      const binary = await centrifugo();
      const port = await freePort();
      const folder = mkdtempSync(join(tmpdir(), "holdfast-bench-"));
      const config = {
        client: { insecure: true, allowed_origins: ["*"], ping_interval: "300s", pong_timeout: "100s" },
        http_api: { insecure: true },
        http_server: { address: "127.0.0.1", port },
        engine: { type: "redis", redis: { address: redis.url } },
        channel: {
          without_namespace: history
            ? { history_size: HISTORY.messages, history_ttl: `${HISTORY.seconds}s`, force_recovery: true }
            : {},
        },
        log: { level: "info" },
      };
      writeFileSync(join(folder, "config.json"), JSON.stringify(config));
      const server = new Program([binary, "-c", join(folder, "config.json")], { core, env: { GOMAXPROCS: "1" } });
      await server.says(/serving websocket/);
      await accepts(port);
      return { port, process: server, stop: () => server.stop() };
    },
  },
};
