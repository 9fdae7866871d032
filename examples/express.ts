/**
 * Express with sessions, and two WebSocket libraries on its HTTP server: Holdfast on /live, ws on /other.
 *
 * Needs: npm install express express-session ws
 */

import { createServer, type IncomingMessage, ServerResponse } from "node:http";
import express from "express";
import session from "express-session";
import { attach, Group } from "holdfast";
import { WebSocketServer } from "ws";

declare module "express-session" {
  interface SessionData {
    name: string;
  }
}

const app = express();
const sessions = session({ secret: process.env["SECRET"] ?? "change me", resave: false, saveUninitialized: false });
app.use(sessions);
app.post("/login", express.json(), (request, response) => {
  request.session.name = String(request.body?.name);
  response.send(`hello, ${request.session.name}\n`);
});

const http = createServer(app);

/** Returns the name in the session of a request: Express runs the session middleware, as for any other request. */
function sessionName(request: IncomingMessage): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const upgrade = express();
    upgrade.use(sessions);
    upgrade.use(({ session }, _response, _next) => resolve(session.name));
    upgrade.use((error: unknown, _request: express.Request, _response: express.Response, _next: express.NextFunction) =>
      reject(error),
    );
    upgrade(request, new ServerResponse(request));
  });
}

const room = new Group();
const live = attach(http, {
  path: "/live",
  messageType: "text",
  authorize: async ({ raw }) => {
    const name = raw && (await sessionName(raw));
    return name === undefined ? new Response("log in first\n", { status: 401 }) : { name };
  },
  open: (connection) => room.join(connection),
  message: ({ data }, message) => void room.send(`${data.name}: ${message}`),
});

// A listener of another library gets the upgrade requests for its own path only.
const other = new WebSocketServer({ noServer: true });
other.on("connection", (socket) => socket.on("message", (message) => socket.send(`other: ${message}`)));
http.on("upgrade", (request, socket, head) => {
  if (request.url === "/other") {
    other.handleUpgrade(request, socket, head, (opened) => other.emit("connection", opened, request));
  }
});

http.listen(Number(process.env["PORT"] ?? 9000), "127.0.0.1", () => console.log(live.url));

async function stop(): Promise<void> {
  http.close();
  for (const socket of other.clients) socket.close(1001);
  await live.close({ drain: 5_000 });
}
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void stop());
