/** WebSocket beside an HTTP server that somebody else owns: Express, Fastify, Hono and Koa all run on one. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { attach, connect } from "holdfast";

const http = createServer((_request, response) => response.end("a page\n"));
await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
const { port } = http.address() as AddressInfo;

const sockets = attach(http, {
  path: "/live",
  // Asked before the upgrade. What it returns becomes `connection.data`, unless it is a refusal.
  authorize: ({ headers }) =>
    headers["authorization"] === "Bearer sesame" ? { name: "Ali" } : new Response("no\n", { status: 401 }),
  open: (connection) => void connection.trySend(`welcome, ${connection.data.name}`),
});

const headers = { Authorization: "Bearer sesame" };
const connection = await connect(`ws://127.0.0.1:${port}/live`, { headers });
console.log(await connection.receive({ timeout: 1_000 }));
console.log(await (await fetch(`http://127.0.0.1:${port}/`)).text());

await sockets.close();
http.close();
