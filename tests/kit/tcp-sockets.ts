/** A TCP connection on this machine, as two sockets of Node. */

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** Both ends, and the server, which does not listen any more and has no other listener. */
export async function tcpSockets(): Promise<{ client: Socket; accepted: Socket; server: Server }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true });
  const [[accepted]] = (await Promise.all([once(server, "connection"), once(client, "connect")])) as [
    [Socket],
    unknown,
  ];
  server.close();
  return { client, accepted, server };
}
