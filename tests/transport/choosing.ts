/** A program that breaks what the fast lane stands on, as its argument says, and tells which transport is then chosen. */

import { Server, Socket } from "node:net";
import { connect, listen } from "../../src/index.js";
import { readyTransports, transportOf } from "../../src/transport/choice.js";
import { tcpSockets } from "../contract/tcp-sockets.js";

/** What a program prints. */
export interface Choice {
  readonly transport: string;
  /** What a client got back from an echo. */
  readonly echoed: unknown;
  readonly warnings: readonly { readonly name: string; readonly message: string }[];
}

type Prototype = Record<string, unknown>;

/** What a Node to come might have changed, without harm to its own sockets. */
const BROKEN: Record<string, (handle: Prototype) => void> = {
  nothing: () => undefined,
  "no buffer is taken": (handle) => {
    handle["useUserBuffer"] = () => 0;
  },
  "there is no call for a buffer": (handle) => {
    handle["useUserBuffer"] = undefined;
  },
  "what was read is not counted": (handle) => {
    Object.defineProperty(handle, "bytesRead", { get: () => 0 });
  },
  "a reset is an end": (handle) => {
    handle["reset"] = function (this: { close(closed: () => void): void }, closed: () => void) {
      this.close(closed);
      return 0;
    };
  },
  "servers accept in another way": () => {
    const { emit } = Server.prototype;
    Server.prototype.emit = function (this: Server, event: string, ...given: unknown[]) {
      const { _handle: handle } = this as unknown as { _handle: Prototype | null };
      if (event === "listening" && handle !== null) {
        const { onconnection } = handle;
        // Whatever is put in its place is not asked.
        Object.defineProperty(handle, "onconnection", { get: () => onconnection, set: () => undefined });
      }
      return Reflect.apply(emit, this, [event, ...given]);
    };
  },
  "sockets write in another way": () => {
    const write = Socket.prototype._write;
    Socket.prototype._write = function (this: Socket, ...given) {
      process.nextTick(() => write.apply(this, given));
    };
  },
  "loopback is not to be had": () => {
    const listenOn = Socket.prototype.connect;
    let first = true;
    Socket.prototype.connect = function (this: Socket, ...given: never[]) {
      if (!first) return Reflect.apply(listenOn, this, given);
      first = false;
      return this.destroy(Object.assign(new Error("connect EPERM"), { code: "EPERM", syscall: "connect" }));
    } as typeof listenOn;
  },
};

const warnings: { name: string; message: string }[] = [];
process.on("warning", ({ name, message }) => warnings.push({ name, message }));

const [what = "nothing"] = process.argv.slice(2);
const { client, accepted } = await tcpSockets();
// On the prototype of TCP's handles, which hides the one that this has in common with others.
BROKEN[what]?.(Object.getPrototypeOf((client as unknown as { _handle: Prototype })._handle));
client.destroy();
accepted.destroy();

await using server = await listen("tcp://127.0.0.1:0", { framing: "lines" }, async (connection) => {
  for await (const line of connection) await connection.send(line);
});
await using second = await listen("tcp://127.0.0.1:0", { framing: "lines" });
const connection = await connect(server.url, { framing: "lines" });
await connection.send("hello");
const echoed = await connection.receive();
await connection.close();

await readyTransports({ secure: false, socketPath: undefined });
const pair = await tcpSockets();
const transport = transportOf(pair.client);
console.log(JSON.stringify({ transport: transport.constructor.name, echoed, warnings } satisfies Choice));
transport.abort();
pair.accepted.destroy();
await second.close();
