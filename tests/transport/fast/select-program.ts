/** A program that breaks a requirement of the fast transport, as its argument says, and prints which transport is then selected. */

import { Server, Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { connect, listen } from "../../../src/index.ts";
import { prepareTransports, sharedTransportOf, transportOf } from "../../../src/transport/fast/select.ts";
import { tcpSockets } from "../../kit/tcp-sockets.ts";

/** What a program prints. */
export interface Choice {
  readonly transport: string;
  /** The transport of a socket that its owner keeps, without TLS and with it. */
  readonly shared: string;
  readonly tls: string;
  /** What a client got back from an echo. */
  readonly echoed: unknown;
  readonly warnings: readonly { readonly name: string; readonly message: string }[];
}

type Prototype = Record<string, unknown>;

/** Changes that a future Node could make without harm to its own sockets. */
const BROKEN: Record<string, (handle: Prototype, tls: Prototype) => void> = {
  nothing: () => undefined,
  "TLS takes no buffer": (_, tls) => {
    tls["useUserBuffer"] = () => 0;
  },
  "TLS reads in another way": (_, tls) => {
    // Whatever is put in its place is not asked.
    Object.defineProperty(tls, "onread", { get: () => undefined, set: () => undefined });
  },
  "no buffer is taken": (handle) => {
    handle["useUserBuffer"] = () => 0;
  },
  "there is no call for a buffer": (handle) => {
    handle["useUserBuffer"] = undefined;
  },
  "read bytes are not counted": (handle) => {
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
        // A replacement is not called.
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
const prototypeOf = (socket: Socket): Prototype =>
  Object.getPrototypeOf((socket as unknown as { _handle: Prototype })._handle);
BROKEN[what]?.(prototypeOf(client), prototypeOf(new TLSSocket(client)));
client.destroy();
accepted.destroy();

await using server = await listen("tcp://127.0.0.1:0", { framing: "lines" }, async (connection) => {
  for await (const line of connection) await connection.send(line);
});
await using second = await listen("tcp://127.0.0.1:0", { framing: "lines", open: () => undefined });
const connection = await connect(server.url, { framing: "lines", open: () => undefined });
await connection.send("hello");
const echoed = await connection.receive();
await connection.close();

await prepareTransports({ secure: false, socketPath: undefined });
const pair = await tcpSockets();
const transport = transportOf(pair.client);
const shared = sharedTransportOf(pair.accepted);
await prepareTransports({ secure: true, socketPath: undefined });
const below = await tcpSockets();
const tls = sharedTransportOf(new TLSSocket(below.client));
const [transportName, sharedName, tlsName] = [transport, shared, tls].map((one) => one.constructor.name);
console.log(
  JSON.stringify({ transport: transportName!, shared: sharedName!, tls: tlsName!, echoed, warnings } satisfies Choice),
);
for (const one of [transport, shared, tls]) one.abort();
below.accepted.destroy();
await second.close();
