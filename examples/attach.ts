/** WebSocket on an HTTP server that the application has already, such as the one below Fastify, Hono or Koa. */

import { createServer } from "node:http";
import { attach, connect } from "holdfast";

const http = createServer((_request, response) => response.end("a page\n"));
await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));

const sockets = attach(http, {
  path: "/live",
  // Called before the upgrade. Its result becomes `connection.data`. A Response refuses the request.
  authorize: ({ headers }) =>
    headers["authorization"] === "Bearer sesame" ? { name: "Ali" } : new Response("no\n", { status: 401 }),
  open: (connection) => void connection.trySend(`welcome, ${connection.data.name}`),
});

const headers = { Authorization: "Bearer sesame" };
const connection = await connect(sockets.url, { headers });
console.log(await connection.receive({ timeout: 1_000 }));
console.log(await (await fetch(new URL("/", sockets.url.replace("ws:", "http:")))).text());

await sockets.close();
http.close();
