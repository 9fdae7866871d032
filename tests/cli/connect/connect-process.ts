/** `holdfast connect` as a process, and servers for it. */

import { fileURLToPath } from "node:url";
import { type Connection, type ListeningServer, type ListenOptions, listen } from "../../../src/index.ts";
import { ChildProgram, type Exit } from "../../kit/child-process.ts";

export const MAIN: string = fileURLToPath(new URL("../../../src/cli/main.js", import.meta.url));

export class ConnectProcess extends ChildProgram {
  constructor(url: string, flags: readonly string[] = []) {
    super(MAIN, ["connect", url, ...flags], { stdin: "piped", stderr: "kept" });
  }

  /** Runs it to its end, with this stdin. */
  static async to(server: { readonly url: string } | string, flags: readonly string[], input = ""): Promise<Exit> {
    await using program = new ConnectProcess(typeof server === "string" ? server : server.url, flags);
    program.end(input);
    return await program.exit;
  }

  /** The lines of stdout so far, as JSON. */
  get events(): readonly Told[] {
    return eventsIn(this.stdout);
  }
}

/** A line of `--json` or of `--record`. */
export interface Told {
  readonly type: string;
  readonly at: number;
  readonly [fact: string]: unknown;
}

export function eventsIn(text: string): readonly Told[] {
  const lines = text.split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Told);
}

/** A server that sends every message back. */
export function echoServer(options: ListenOptions = {}, url: string = "ws://127.0.0.1:0"): Promise<ListeningServer> {
  return listen(url, options, async (connection) => {
    for await (const message of connection) await connection.send(message);
  });
}

/** A server whose connections are those of `handle`. */
export function serverOf(
  handle: (connection: Connection) => void | Promise<void>,
  options: ListenOptions = {},
): Promise<ListeningServer> {
  return listen("ws://127.0.0.1:0", options, async (connection) => {
    await handle(connection);
    await connection.closed;
  });
}
