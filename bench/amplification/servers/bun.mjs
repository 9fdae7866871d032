/** An echo server of Bun with its defaults. `deflate`: with compression. */

const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch: (request, server) => (server.upgrade(request) ? undefined : new Response("no", { status: 400 })),
  websocket: {
    perMessageDeflate: process.argv[2] === "deflate",
    message: (socket, message) => void socket.send(message),
  },
});
console.log(server.port);
