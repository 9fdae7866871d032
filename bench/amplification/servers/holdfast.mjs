/** An echo server of Holdfast with its defaults. `deflate`: with compression. */

import { listen } from "holdfast";

const compression = process.argv[2] === "deflate";
const server = await listen("ws://127.0.0.1:0", { compression }, async (connection) => {
  for await (const message of connection) await connection.send(message);
});
console.log(new URL(server.url).port);
