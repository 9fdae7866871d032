/**
 * One application for each framework, with a page at / and this library at /live: `node frameworks.mjs NAME WAY`. WAY is `attach`,
 * on the HTTP server of the framework, or `listen`, with the framework behind it. Prints its port. Ends at SIGTERM. The tests copy
 * this file to where the frameworks are.
 */

import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { accept, attach, listen } from "holdfast";

/** What each framework answers plain requests with: a `request` listener of node:http, or a `fetch` function. */
const HANDLERS = {
  "Express 5": async () => {
    const { default: express } = await import("express");
    const app = express();
    app.get("/", (_request, response) => response.send("page"));
    return { request: app };
  },

  "Fastify 5": async () => {
    const app = await fastifyApp();
    await app.ready();
    return { request: app.routing };
  },

  Hono: async () => ({ fetch: (await honoApp()).fetch }),

  Koa: async () => {
    const { default: Koa } = await import("koa");
    const app = new Koa();
    app.use((context) => {
      context.body = "page";
    });
    return { request: app.callback() };
  },

  NestJS: async () => {
    const app = await nestApp();
    await app.init();
    return { request: app.getHttpAdapter().getInstance() };
  },
};

/** Each returns the HTTP server of the framework, which listens on a free port of 127.0.0.1. */
const SERVERS = {
  "node:http": () => listening(createServer(page)),

  "node:https": () => listening(createSecureServer({ key: process.env.KEY, cert: process.env.CERT }, page)),

  "Express 5": async () => listening(createServer((await HANDLERS["Express 5"]()).request)),

  "Fastify 5": async () => {
    const app = await fastifyApp();
    await app.listen({ port: 0, host: "127.0.0.1" });
    return app.server;
  },

  Hono: async () => {
    const { serve } = await import("@hono/node-server");
    const { fetch } = await honoApp();
    return await new Promise((resolve) => {
      const http = serve({ fetch, port: 0, hostname: "127.0.0.1" }, () => resolve(http));
    });
  },

  Koa: async () => listening(createServer((await HANDLERS.Koa()).request)),

  NestJS: async () => {
    const app = await nestApp();
    await app.listen(0, "127.0.0.1");
    return app.getHttpServer();
  },

  /** Three other libraries that upgrade requests, on the same HTTP server. */
  "Socket.IO, ws and Vite": async () => {
    const { Server } = await import("socket.io");
    const { createServer: createVite } = await import("vite");
    const { WebSocketServer } = await import("ws");
    const http = createServer((request, response) => {
      if (request.url === "/") page(request, response);
      else vite.middlewares(request, response);
    });
    const vite = await createVite({
      ...{ configFile: false, logLevel: "silent", appType: "custom", root: import.meta.dirname },
      server: { middlewareMode: true, hmr: { server: http }, ws: { server: http }, watch: null },
      optimizeDeps: { noDiscovery: true },
    });
    new Server(http).on("connection", (socket) => socket.on("say", (text, answer) => answer(text)));
    const ws = new WebSocketServer({ noServer: true });
    ws.on("connection", (socket) => socket.on("message", (data, binary) => socket.send(data, { binary })));
    http.on("upgrade", (request, socket, head) => {
      if (request.url === "/ws") ws.handleUpgrade(request, socket, head, (opened) => ws.emit("connection", opened));
    });
    return await listening(http);
  },
};

function page(_request, response) {
  response.end("page");
}

async function listening(http) {
  return await new Promise((resolve) => http.listen(0, "127.0.0.1", () => resolve(http)));
}

async function echo(connection) {
  for await (const message of connection) await connection.send(message);
}

async function fastifyApp() {
  const { default: fastify } = await import("fastify");
  const app = fastify();
  app.get("/", async () => "page");
  return app;
}

async function honoApp() {
  const { Hono } = await import("hono");
  const app = new Hono();
  app.get("/", (context) => context.text("page"));
  return app;
}

async function nestApp() {
  await import("reflect-metadata");
  const { Controller, Get, Module } = await import("@nestjs/common");
  const { NestFactory } = await import("@nestjs/core");
  // What the decorators of TypeScript do.
  class Pages {
    page() {
      return "page";
    }
  }
  Get()(Pages.prototype, "page", Object.getOwnPropertyDescriptor(Pages.prototype, "page"));
  Controller()(Pages);
  class App {}
  Module({ controllers: [Pages] })(App);
  return await NestFactory.create(App, { logger: false });
}

/** Adds WebSockets to an HTTP server of the application. Returns its port and how it is closed. */
function added(http) {
  const server = attach(http, { path: "/live" }, echo);
  // The same by the router of the application.
  const routed = new Set();
  http.on("upgrade", (request, socket, head) => {
    if (request.url !== "/routed") return;
    accept(request, socket, head).then(
      (connection) => {
        routed.add(connection);
        echo(connection).catch(() => undefined);
      },
      () => undefined,
    );
  });
  const close = async () => {
    await Promise.all([server.close(), ...[...routed].map((connection) => connection.close(1001))]);
    http.close(() => process.exit());
    http.closeAllConnections();
  };
  return { port: http.address().port, close };
}

/** Listens with this library, and the framework answers plain requests. */
async function inFront(handler) {
  const server = await listen("ws://127.0.0.1:0", { routes: { "/live": echo, "/routed": echo }, ...handler });
  return { port: new URL(server.url).port, close: () => server.close().then(() => process.exit()) };
}

const [name, way] = process.argv.slice(2);
const { port, close } = way === "listen" ? await inFront(await HANDLERS[name]()) : added(await SERVERS[name]());
process.on("SIGTERM", close);
console.log(port);
