/** The self-test of shared TLS handles, on a pair of sockets, as `self-test.ts` tests those of TCP. */

import { once } from "node:events";
import { type AddressInfo, connect, type Socket } from "node:net";
import { createServer, type Server, connect as secureConnect } from "node:tls";
import { loadInternals } from "../internals/tcp.ts";
import { networkPermitted } from "../permission.ts";
import { exchangeWithPause } from "./self-test.ts";
import { EARLY, EventRecorder, SelfTestImpossible, withinTimeLimit } from "./self-test-events.ts";
import { SharedHandleTransport } from "./shared-handle.ts";

// A key that both ends know needs no certificate. It protects nothing: the connection ends in this process.
const KEY = Buffer.alloc(32, 1);
const CIPHERS = { ciphers: "TLS_AES_128_GCM_SHA256:PSK-AES128-GCM-SHA256" };

/**
 * Resolves if shared TLS handles work here. Rejects with the fault that it found, or with `SelfTestImpossible` if there is no
 * loopback interface or no such connection, for example because the system restricts the ciphers. Leaves no socket open.
 */
export async function testSharedTlsHandle(): Promise<void> {
  if (!networkPermitted()) throw new SelfTestImpossible();
  loadInternals();
  const server = createServer({ ...CIPHERS, allowHalfOpen: true, pskCallback: () => KEY });
  const sockets: Socket[] = [];
  const run = async (): Promise<void> => {
    const [client, accepted] = await openPair(server, sockets);
    const a = new EventRecorder(sharedHandleOf(client), " written written ended closed");
    const b = new EventRecorder(sharedHandleOf(accepted), " written written ended closed");
    a.write(EARLY);
    await exchangeWithPause([a, b]);
  };
  try {
    await withinTimeLimit(run());
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

function sharedHandleOf(socket: Socket): SharedHandleTransport {
  const transport = SharedHandleTransport.fromStream(socket);
  if (transport === undefined) throw new Error("a TLSSocket is not suitable");
  return transport;
}

async function openPair(server: Server, sockets: Socket[]): Promise<[client: Socket, accepted: Socket]> {
  const accepted = new Promise<Socket>((resolve, reject) => {
    server.on("connection", (socket: Socket) => sockets.push(socket));
    server.on("secureConnection", resolve);
    server.on("tlsClientError", reject);
  });
  accepted.catch(() => undefined);
  try {
    // Exclusive, as in the self-test of TCP.
    await once(server.listen({ port: 0, host: "127.0.0.1", exclusive: true }), "listening");
    // Over its own socket, because only such a socket may be half open.
    const socket = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true });
    sockets.push(socket);
    await once(socket, "connect");
    const pskCallback = (): { psk: Buffer; identity: string } => ({ psk: KEY, identity: "self-test" });
    const client = secureConnect({ ...CIPHERS, socket, pskCallback, checkServerIdentity: () => undefined });
    await once(client, "secureConnect");
    return [client, await accepted];
  } catch (error) {
    throw new SelfTestImpossible("", { cause: error });
  }
}
