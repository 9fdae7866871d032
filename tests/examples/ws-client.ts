/** A client of the npm package ws, whose messages are taken one by one. */

import { once } from "node:events";
import { WebSocket } from "ws";

export class WsClient implements AsyncDisposable {
  readonly socket: WebSocket;
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  readonly #messages: (string | Buffer)[] = [];
  #changed: () => void = () => undefined;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("message", (data: Buffer, isBinary) => {
      this.#messages.push(isBinary ? data : data.toString());
      this.#changed();
    });
    this.closed = new Promise((resolve) => {
      socket.on("close", (code, reason) => {
        resolve({ code, reason: reason.toString() });
        this.#changed();
      });
    });
  }

  static async open(url: string, headers: Record<string, string> = {}): Promise<WsClient> {
    const client = new WsClient(new WebSocket(url, { headers }));
    await once(client.socket, "open");
    return client;
  }

  /** Resolves with the status of the response that refuses the request. */
  static async refused(url: string, headers: Record<string, string> = {}): Promise<number> {
    const socket = new WebSocket(url, { headers });
    socket.on("error", () => undefined);
    const [, response] = await once(socket, "unexpected-response");
    response.destroy();
    return response.statusCode;
  }

  /** Takes the next message. Fails if the connection has ended before. */
  async next(): Promise<string | Buffer> {
    for (;;) {
      const message = this.#messages.shift();
      if (message !== undefined) return message;
      if (this.socket.readyState === WebSocket.CLOSED) throw new Error("the connection has ended");
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  /** Takes the next message, which is JSON. */
  async json(): Promise<unknown> {
    return JSON.parse(String(await this.next()));
  }

  send(message: string | Uint8Array): void {
    this.socket.send(message);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.terminate();
    await this.closed;
  }
}
