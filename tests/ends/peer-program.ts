/** A process with peers of the matrix of ends. It serves and connects as its parent says, reads all, and is killed. */

import { type Connection, connect, listen } from "../../src/index.ts";
import type { Line } from "./ends.ts";
import { HELLO } from "./recorded-connection.ts";
import { optionsOf } from "./transport-options.ts";

/** What the parent sends. */
export interface Order {
  readonly line: Line;
  /** Addresses to connect to; undefined to serve. */
  readonly urls: readonly string[] | undefined;
}

async function read(connection: Connection): Promise<void> {
  await connection.send(HELLO);
  for await (const _ of connection);
}

async function obey({ line, urls }: Order): Promise<string> {
  const options = optionsOf(line);
  if (urls === undefined) return (await listen(`${line}://127.0.0.1:0`, options.server, read)).url;
  for (const url of urls) void read(await connect(url, options.client));
  return "";
}

process.on("message", (order: Order) => {
  void obey(order).then((url) => process.send?.(url));
});
