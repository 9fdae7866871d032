/** The self-test of the transports on TCP handles, on three pairs of sockets, because a version of Node can change its internals. */

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { PassThrough } from "node:stream";
import { joinHostPort } from "../../base/host-port.ts";
import { systemClock } from "../clock.ts";
import { systemError } from "../errors-without-stack.ts";
import { handleOf, loadInternals, writeHandle } from "../internals/tcp.ts";
import { networkPermitted } from "../permission.ts";
import type { Transport } from "../transport.ts";
import { type AcceptedHandle, AcceptedHandles } from "./accepted-handles.ts";
import { ALL, EARLY, EventRecorder, LATER, SelfTestImpossible, turns, withinTimeLimit } from "./self-test-events.ts";
import { SharedHandleTransport } from "./shared-handle.ts";
import { FastTransport } from "./transport.ts";

/**
 * Resolves if the fast transport and shared handles work here. Rejects with the fault that it found, or with
 * `SelfTestImpossible`. Leaves no socket open.
 */
export async function testFastTransport(): Promise<void> {
  if (!networkPermitted()) throw new SelfTestImpossible();
  loadInternals();
  const sockets = new SelfTestSockets();
  const run = async (): Promise<void> => {
    const [a, b] = await sockets.openPair(EXPECTED_EVENTS[0], EXPECTED_EVENTS[1], viaSocket);
    const [c, d] = await sockets.openPair(EXPECTED_EVENTS[2], EXPECTED_EVENTS[3], viaHandle);
    const [e, f] = await sockets.openPair(EXPECTED_EVENTS[4], EXPECTED_EVENTS[5], shared);
    await exchange([a, b, c, d]);
    await exchangeWithPause([e, f]);
    await sockets.close();
  };
  try {
    await withinTimeLimit(run());
  } finally {
    void sockets.close();
  }
}

/** Creates the transports of a connection. */
interface MakeTransport {
  readonly client: (socket: Socket) => Transport | undefined;
  /** Of the server, from an accepted connection and its first bytes. */
  readonly accepted: (accepted: AcceptedHandle, bytes: Buffer) => Transport | undefined;
}

const socketOf = (accepted: AcceptedHandle, bytes: Buffer): Socket => {
  const socket = accepted.toSocket();
  socket.unshift(bytes);
  return socket;
};

/** The path of a connection that node:http reads: net.Socket first, then fast transport. */
const viaSocket: MakeTransport = {
  client: (socket) => FastTransport.fromStream(socket),
  accepted: (accepted, bytes) => FastTransport.fromStream(socketOf(accepted, bytes)),
};

const viaHandle: MakeTransport = {
  client: viaSocket.client,
  accepted: (accepted, bytes) => FastTransport.fromAccepted(accepted, EARLY, bytes),
};

/** The path of a connection whose socket belongs to an HTTP server of the application. */
const shared: MakeTransport = {
  client: (socket) => SharedHandleTransport.fromStream(socket),
  accepted: (accepted, bytes) => SharedHandleTransport.fromStream(socketOf(accepted, bytes)),
};

/** The server of the self-test, and its clients. */
class SelfTestSockets {
  readonly #server = createServer({ allowHalfOpen: true });
  readonly #transports: Transport[] = [];
  readonly #clients: Socket[] = [];
  #acceptedHandles: AcceptedHandles | undefined;
  #onFirstBytes: (accepted: AcceptedHandle, bytes: Buffer) => void = (accepted) => accepted.drop();

  /** Opens a connection and returns both ends. The client writes before the connection is established. */
  async openPair(
    expected: string,
    acceptedExpected: string,
    make: MakeTransport,
  ): Promise<[EventRecorder, EventRecorder]> {
    const server = this.#server;
    const acceptedBy = this.#recordAccepted(acceptedExpected, make);
    let client: Socket;
    try {
      // Exclusive: in a worker of a cluster the port would be shared otherwise, and another worker would receive the connections.
      if (!server.listening) await once(server.listen({ port: 0, host: "127.0.0.1", exclusive: true }), "listening");
      this.#acceptedHandles ??= this.#readAccepted();
      client = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true });
      this.#clients.push(client);
      const connected = once(client, "connect");
      // After the tick in which Node starts to connect to an IP address.
      const written = new Promise<void>((resolve) => inNextTick(() => resolve(writeWhileConnecting(client, EARLY))));
      await Promise.all([connected, written]);
    } catch (error) {
      throw (error as NodeJS.ErrnoException).syscall === undefined
        ? error
        : new SelfTestImpossible("", { cause: error });
    }
    const address = `127.0.0.1:${client.localPort}`;
    return [this.#recorder(make.client(client), expected), await acceptedBy(address)];
  }

  /** Closes all connections. Resolves when the server's connection count is 0. */
  async close(): Promise<void> {
    for (const transport of this.#transports) transport.abort();
    // Connections that the test did not open: any process on this machine can connect to the port.
    this.#acceptedHandles?.drop();
    for (const client of this.#clients) client.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #readAccepted(): AcceptedHandles {
    return new AcceptedHandles(this.#server, {
      clock: systemClock,
      openTimeout: Infinity,
      prepare: () => undefined,
      firstBytes: (accepted, bytes) => this.#onFirstBytes(accepted, bytes),
      ended: (accepted) => accepted.drop(),
    });
  }

  /**
   * Creates a transport for every connection that sends bytes. Which one belongs to the client is known only when the client is
   * connected and has an address.
   */
  #recordAccepted(expected: string, make: MakeTransport): (address: string) => Promise<EventRecorder> {
    const recorders = new Map<string, EventRecorder>();
    let onRecorder = (): void => undefined;
    const failed = new Promise<never>((_, reject) => {
      this.#server.on("connection", (socket: Socket) => {
        if (this.#acceptedHandles?.creatingSocket) return;
        socket.destroy();
        reject(new Error("a server accepted a connection in another way"));
      });
      this.#onFirstBytes = (accepted, bytes) => {
        const { remoteAddress, remotePort } = accepted.endpoints();
        try {
          recorders.set(
            joinHostPort(remoteAddress, remotePort),
            this.#recorder(make.accepted(accepted, bytes), expected),
          );
        } catch (error) {
          reject(error);
        }
        onRecorder();
      };
    });
    failed.catch(() => undefined);
    return (address) => {
      const found = new Promise<EventRecorder>((resolve) => {
        onRecorder = () => {
          const recorder = recorders.get(address);
          if (recorder !== undefined) resolve(recorder);
        };
        onRecorder();
      });
      return Promise.race([found, failed]);
    };
  }

  #recorder(transport: Transport | undefined, expected: string): EventRecorder {
    if (transport === undefined) throw new Error("a net.Socket is not suitable");
    this.#transports.push(transport);
    return new EventRecorder(transport, expected);
  }
}

// Not by process.nextTick(), which may be fake in a test. A stream reports its end in a tick of Node.
function inNextTick(call: () => void): void {
  new PassThrough().destroy().once("close", call);
}

/** Writes on a socket that is still connecting, where a write must wait. */
function writeWhileConnecting(socket: Socket, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const native = handleOf(socket);
    const onWritten = (status: number): void => {
      if (status === 0) resolve();
      else reject(systemError(status, "write"));
    };
    const status = native === null ? 0 : writeHandle(native, bytes, { onWritten });
    if (status !== "pending") reject(new Error(`a write that has to wait returned ${status}`));
  });
}

/** The events that each end must receive, in this order. */
const EXPECTED_EVENTS = [
  " written ended closed",
  " written ended closed",
  " closed",
  " closed by ECONNRESET of read",
  " written ended closed",
  " written written ended closed",
] as const;

async function exchange([a, b, c, d]: readonly [
  EventRecorder,
  EventRecorder,
  EventRecorder,
  EventRecorder,
]): Promise<void> {
  // Data in both directions, then a FIN in both directions.
  a.write(LATER);
  await b.until(() => b.received === ALL);
  b.write(Buffer.from(ALL));
  await a.until(() => a.received === ALL);
  a.transport.end();
  await b.until(() => b.log === " written ended");
  b.transport.end();
  // On the other pair, a reset after an answer.
  await d.until(() => d.received === "early,");
  await c.until(() => c.received === "early,");
  c.transport.abort();
  for (const recorder of [a, b, c, d]) await recorder.until(() => recorder.log === recorder.expected);
}

/**
 * The same on a shared handle, and a pause: bytes that are read during it pass through the socket. `b` has received the first
 * bytes.
 */
export async function exchangeWithPause([a, b]: readonly [EventRecorder, EventRecorder]): Promise<void> {
  await b.until(() => b.received === String(EARLY));
  b.transport.pause();
  a.write(LATER);
  await turns(3);
  b.transport.resume();
  await b.until(() => b.received === ALL);
  b.write(EARLY);
  await a.until(() => a.received === String(EARLY));
  b.write(LATER);
  await a.until(() => a.received === ALL);
  a.transport.end();
  await b.until(() => b.log.endsWith(" ended"));
  b.transport.end();
  for (const recorder of [a, b]) await recorder.until(() => recorder.log === recorder.expected);
}
