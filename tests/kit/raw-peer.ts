/** Clients and servers on real sockets that send raw bytes, valid or not, and keep the bytes that arrive. */

import { createHash } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export class RawPeer implements AsyncDisposable {
  readonly socket: Socket;
  /** Resolves when the descriptor is free; with the error's name if there was one. */
  readonly closed: Promise<string | undefined>;
  #chunks: Buffer[] = [];
  #changed: () => void = () => undefined;
  /** True if the descriptor is free. */
  gone = false;
  /** True if the other side's FIN has arrived. */
  ended = false;
  /** Number of bytes that have arrived. */
  received = 0;
  /** Called with each chunk. By default it is kept for `bytes`. */
  heard: (chunk: Buffer) => void = (chunk) => {
    this.#chunks.push(chunk);
    this.size += chunk.length;
  };
  /** Number of bytes that are kept. */
  size = 0;

  constructor(socket: Socket) {
    this.socket = socket;
    let errno: string | undefined;
    socket.on("error", (error: NodeJS.ErrnoException) => {
      errno ??= error.code;
    });
    socket.on("data", (chunk: Buffer) => {
      this.received += chunk.length;
      this.heard(chunk);
      this.#changed();
    });
    socket.on("end", () => {
      this.ended = true;
      this.#changed();
    });
    this.closed = new Promise((resolve) => {
      socket.on("close", () => {
        this.gone = true;
        resolve(errno);
        this.#changed();
      });
    });
  }

  /** Connects to a port of this machine, or to the path of a unix socket. */
  static async to(place: number | string): Promise<RawPeer> {
    const target = typeof place === "number" ? { port: place, host: "127.0.0.1" } : { path: place };
    const peer = new RawPeer(connect({ ...target, allowHalfOpen: true }));
    await once(peer.socket, "connect");
    return peer;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** Removes and returns the kept bytes, or the first `size` of them. */
  take(size: number = Infinity): Buffer {
    const { bytes } = this;
    const taken = Math.min(size, bytes.length);
    this.#chunks = taken < bytes.length ? [bytes.subarray(taken)] : [];
    this.size -= taken;
    return bytes.subarray(0, taken);
  }

  get text(): string {
    return this.bytes.toString("latin1");
  }

  write(data: string | Uint8Array): void {
    this.socket.write(typeof data === "string" ? Buffer.from(data, "latin1") : data);
  }

  /** Resolves when `condition` holds; rejects when it cannot hold any more, because the stream has ended. */
  async until(condition: (peer: RawPeer) => boolean): Promise<void> {
    while (!condition(this)) {
      if (this.gone || this.ended)
        throw new Error(`the socket closed before what was expected; it had received: ${this.text}`);
      await this.change();
    }
  }

  /** Resolves when bytes, the FIN or the end of the socket arrive. */
  change(): Promise<void> {
    return new Promise((resolve) => {
      this.#changed = resolve;
    });
  }

  /** Waits for the head of an answer, and returns the bytes after it. */
  async head(): Promise<Answer> {
    await this.until(({ text }) => text.includes("\r\n\r\n"));
    return answerOf(this.text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    await this.closed;
  }
}

/** What a server answered. */
export interface Answer {
  readonly status: number;
  /** By names in lower case. A repeated field has both values. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export function answerOf(text: string): Answer {
  const [head = "", ...rest] = text.split("\r\n\r\n");
  const [line = "", ...fields] = head.split("\r\n");
  const headers: Record<string, string> = {};
  for (const field of fields) {
    const name = field.slice(0, field.indexOf(":")).toLowerCase();
    const value = field.slice(name.length + 1).trim();
    headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
  }
  return { status: Number(line.split(" ")[1]), headers, body: rest.join("\r\n\r\n") };
}

export const UPGRADE_KEY = "dGhlIHNhbXBsZSBub25jZQ==";

/** A request as a browser without fault would write it, with changes: undefined takes a field out, a list writes it often. */
export function upgradeRequest(
  target = "/",
  changes: Readonly<Record<string, string | readonly string[] | undefined>> = {},
  { method = "GET", version = "1.1" }: { readonly method?: string; readonly version?: string } = {},
): string {
  const fields: Record<string, string | readonly string[] | undefined> = {
    Host: "localhost",
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Key": UPGRADE_KEY,
    "Sec-WebSocket-Version": "13",
    ...changes,
  };
  const lines = Object.entries(fields).flatMap(([name, values = []]) =>
    [values].flat().map((one) => `${name}: ${one}`),
  );
  return [`${method} ${target} HTTP/${version}`, ...lines, "", ""].join("\r\n");
}

/** Sends a request, and waits until the server has answered and sent its FIN. */
export async function refused(place: number | string, request: string | Uint8Array): Promise<Answer> {
  await using peer = await RawPeer.to(place);
  peer.write(request);
  await peer.until(({ ended }) => ended);
  return answerOf(peer.text);
}

/** A socket on which the server at `place` speaks WebSocket. */
export async function upgraded(
  place: number | string,
  request: string | Uint8Array = upgradeRequest(),
): Promise<RawPeer> {
  const peer = await RawPeer.to(place);
  peer.write(request);
  const { status } = await peer.head();
  if (status !== 101) throw new Error(`the server answered ${peer.text}`);
  return peer;
}

export interface RawServer extends AsyncDisposable {
  readonly port: number;
  /** The accepted peers, in order. */
  readonly peers: readonly RawPeer[];
}

/** A server that calls a function for each of its peers. */
export async function rawServer(serve: (peer: RawPeer) => void | Promise<void>): Promise<RawServer> {
  const peers: RawPeer[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const peer = new RawPeer(socket);
    peers.push(peer);
    void serve(peer);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    peers,
    [Symbol.asyncDispose]: async () => {
      for (const { socket } of peers) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** The 101 that answers the request which `peer` has sent, with changes as for `upgradeRequest`. */
export function switchingTo(
  request: string,
  changes: Readonly<Record<string, string | readonly string[] | undefined>> = {},
): string {
  const key = /^Sec-WebSocket-Key: (.*)\r$/m.exec(request)?.[1];
  const fields: Record<string, string | readonly string[] | undefined> = {
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Accept": createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64"),
    ...changes,
  };
  const lines = Object.entries(fields).flatMap(([name, values = []]) =>
    [values].flat().map((one) => `${name}: ${one}`),
  );
  return ["HTTP/1.1 101 Switching Protocols", ...lines, "", ""].join("\r\n");
}

/** The port in a server's address. */
export function portOf({ url }: { readonly url: string }): number {
  return Number(new URL(url).port);
}
