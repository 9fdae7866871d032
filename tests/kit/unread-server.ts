/** A server that neither reads nor closes, with its clients, for tests that look at sockets. */

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export class UnreadServer implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets: Socket[] = [];

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on("connection", (socket) => this.#keep(socket));
  }

  static async open(): Promise<UnreadServer> {
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new UnreadServer(server);
  }

  /** One more connection, from this address: the peer's end and the server's. */
  async join(localAddress: string = "127.0.0.1"): Promise<{ readonly far: Socket; readonly near: Socket }> {
    const far = connect({ port: this.port, host: "127.0.0.1", localAddress, allowHalfOpen: true });
    this.#keep(far);
    const [near] = (await once(this.#server, "connection")) as [Socket];
    return { far, near };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #keep(socket: Socket): void {
    this.#sockets.push(socket.on("error", () => undefined));
  }
}
