/** The raw peer in the matrix of ends: sends a FIN, a reset or a Close frame, and counts the messages that arrive. */

import { once } from "node:events";
import { type AddressInfo, createServer, connect as dial, type Socket } from "node:net";
import { TLSSocket, connect as tlsConnect } from "node:tls";
import { LOCALHOST } from "../fixtures/certificates.ts";
import { type Deferred, deferred } from "../kit/deferred.ts";
import { FrameReader, KEY, peerFrame } from "../kit/frames.ts";
import { turns } from "../kit/loop-turns.ts";
import { RawPeer, switchingTo, upgradeRequest } from "../kit/raw-peer.ts";
import type { Line, Role } from "./ends.ts";
import { HELLO, isMessage } from "./recorded-connection.ts";

const CLOSE = 8;

export class RawSide {
  /** Messages that arrived, in order and whole. */
  received = 0;
  /** Codes of the Close frames that arrived. */
  readonly codes: number[] = [];
  /** What broke the rules of the matrix. */
  fault: string | undefined;
  /** Whether the other side's FIN came. */
  ended = false;
  /** Resolves when the first message was read. */
  readonly greeted: Deferred = deferred();
  /** Resolves when the descriptor is free, with the system's name of the error, if there was one. */
  readonly closed: Promise<string | undefined>;
  readonly #tcp: Socket;
  readonly #stream: Socket;
  readonly #peer: RawPeer;
  readonly #websocket: boolean;
  /** The role of the raw peer itself. */
  readonly #role: Role;
  readonly #frames: FrameReader = new FrameReader();
  #text = "";

  private constructor(tcp: Socket, stream: Socket, line: Line, role: Role) {
    this.#tcp = tcp;
    this.#stream = stream;
    this.#websocket = line === "ws" || line === "wss";
    this.#role = role;
    this.#peer = new RawPeer(stream);
    let errno: string | undefined;
    tcp.on("error", (error: NodeJS.ErrnoException) => {
      errno ??= error.code;
    });
    this.closed = this.#peer.closed.then((own) => errno ?? own);
    stream.on("end", () => {
      this.ended = true;
      stream.end();
    });
  }

  /** Connects to a server of `line`, and opens a WebSocket if it is one. */
  static async dial(line: Line, port: number): Promise<RawSide> {
    const tcp = dial({ port, host: "127.0.0.1", allowHalfOpen: true });
    await once(tcp, "connect");
    const stream = encrypted(line) ? tlsConnect({ socket: tcp, ca: LOCALHOST.cert, servername: "localhost" }) : tcp;
    if (stream !== tcp) await once(stream, "secureConnect");
    const side = new RawSide(tcp, stream, line, "client");
    if (side.#websocket) stream.write(upgradeRequest());
    await side.#open();
    return side;
  }

  /** Listens for one connection of `line`, and answers its upgrade if it is a WebSocket. */
  static async listen(line: Line): Promise<{ readonly url: string; readonly side: Promise<RawSide> }> {
    const server = createServer({ allowHalfOpen: true });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const accept = async (): Promise<RawSide> => {
      const [tcp] = (await once(server, "connection")) as [Socket];
      server.close();
      const stream = encrypted(line) ? new TLSSocket(tcp, { isServer: true, ...LOCALHOST }) : tcp;
      const side = new RawSide(tcp, stream, line, "server");
      await side.#open();
      return side;
    };
    return { url: `${line}://127.0.0.1:${port}`, side: accept() };
  }

  /** Reads the head of the handshake, if there is one, and then messages. */
  async #open(): Promise<void> {
    const peer = this.#peer;
    if (this.#websocket) {
      await peer.until(({ text }) => text.includes("\r\n\r\n"));
      const head = peer.take(peer.text.indexOf("\r\n\r\n") + 4).toString("latin1");
      if (this.#role === "server") peer.write(switchingTo(head));
    }
    peer.heard = (chunk) => this.#take(chunk);
    if (peer.size > 0) this.#take(peer.take());
  }

  #take(chunk: Buffer): void {
    if (!this.#websocket) {
      const lines = (this.#text + chunk.toString("latin1")).split("\n");
      this.#text = lines.pop() ?? "";
      for (const line of lines) this.#message(line);
      return;
    }
    for (const { opcode, payload } of this.#frames.push(chunk)) {
      if (opcode === 1) this.#message(payload.toString());
      else if (opcode === CLOSE) {
        this.codes.push(payload.readUInt16BE(0));
        // RFC 6455 7.1.1: the server closes the TCP connection first.
        if (this.#role === "server") this.#stream.end();
      } else this.fault ??= `a frame with opcode ${opcode}`;
    }
  }

  #message(text: string): void {
    if (text === HELLO) {
      this.greeted.resolve();
      return;
    }
    if (this.codes.length > 0 || !isMessage(text, this.received)) this.fault ??= `message ${text.slice(0, 20)}`;
    this.received += 1;
  }

  send(text: string): void {
    this.#stream.write(this.#websocket ? this.#frame(1, text) : `${text}\n`);
  }

  /** Stops reading. */
  pause(): void {
    this.#stream.pause();
  }

  /** Reads on, one chunk in a few turns of the event loop. */
  readSlowly(): void {
    const stream = this.#stream;
    stream.on("data", () => {
      stream.pause();
      void turns(2).then(() => stream.resume());
    });
    stream.resume();
  }

  fin(): void {
    this.#stream.end();
  }

  /** Sends a reset. It is the kernel's, so that TLS has no say. */
  reset(): void {
    this.#tcp.resetAndDestroy();
    this.#stream.destroy();
  }

  close(code: number, reason: string): void {
    const payload = Buffer.alloc(2 + reason.length);
    payload.writeUInt16BE(code);
    payload.write(reason, 2);
    this.#stream.write(this.#frame(CLOSE, payload));
  }

  #frame(opcode: number, payload: string | Uint8Array): Uint8Array {
    return peerFrame({ opcode, payload, ...(this.#role === "client" && { key: KEY }) });
  }
}

function encrypted(line: Line): boolean {
  return line === "tls" || line === "wss";
}
