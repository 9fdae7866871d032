/** Plain WebSocket clients on raw sockets: they count every message, check its number, and cost as little as possible. */

import { connect } from "node:net";

/** What each message begins with. None of the protocols has these bytes elsewhere. */
const MARK = Buffer.from("#@~");
const DIGITS = 8;
const STAMP = 16;
/** Mark, number, time in microseconds. */
const HEAD = MARK.length + DIGITS + STAMP;

/** The text of message `number`, `length` bytes long. */
export function messageOf(number, length) {
  const stamp = String(Math.round((performance.timeOrigin + performance.now()) * 1_000)).padStart(STAMP, "0");
  return `#@~${String(number).padStart(DIGITS, "0")}${stamp}`.padEnd(length, ".");
}

/** A frame of a client: text, masked with zeroes, which RFC 6455 permits and which costs nothing. */
export function frameOf(text) {
  const payload = Buffer.from(text);
  const short = payload.length < 126;
  const head = Buffer.alloc(short ? 6 : 8);
  head[0] = 0x81;
  if (short) head[1] = 0x80 | payload.length;
  else {
    head[1] = 0x80 | 126;
    head.writeUInt16BE(payload.length, 2);
  }
  return Buffer.concat([head, payload]);
}

/** A Pong that answers no Ping, which RFC 6455 5.5.3 permits: the server sees that the client is alive. */
const PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0]);
/** Milliseconds, less than each server waits for a sign of life. */
const ALIVE_EVERY = 10_000;

const buffer = Buffer.allocUnsafe(1 << 20);

/**
 * One client. `protocol` has the path, the frames to send when it is connected, what says that it has joined, and the frame that shows
 * that it is alive, if that is not a Pong. The counts are those since `reset`.
 */
export class Client {
  received = 0;
  bytes = 0;
  /** Numbers that were left out, that came twice, and that came after a later one. */
  lost = 0;
  doubled = 0;
  disordered = 0;
  last = undefined;
  ended = undefined;
  /** Called with the microseconds that a message was under way. */
  latency = undefined;
  #rest = Buffer.alloc(0);
  #waiting;
  #seen = "";

  constructor(port, { path, hello = [], joined, alive = PONG }, headers = "") {
    this.protocol = { path, hello, joined };
    // Without looking for Pings among the messages, which would take the time of the load's core.
    this.alive = setInterval(() => this.#waiting.done && this.send(alive), ALIVE_EVERY);
    this.alive.unref();
    this.open = new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
    this.open.catch(() => {});
    this.socket = connect({
      port,
      host: "127.0.0.1",
      noDelay: true,
      onread: {
        buffer,
        callback: (length) => {
          this.#read(buffer.subarray(0, length));
          return true;
        },
      },
    });
    this.socket.on("error", (error) => this.#end(error));
    this.socket.on("close", () => this.#end(new Error("the connection was closed")));
    this.socket.write(
      `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n${headers}\r\n`,
    );
  }

  send(frames) {
    this.socket.write(frames);
  }

  reset() {
    Object.assign(this, { received: 0, bytes: 0, lost: 0, doubled: 0, disordered: 0 });
  }

  close() {
    clearInterval(this.alive);
    this.#waiting.resolve();
    this.socket.destroy();
  }

  #end(error) {
    clearInterval(this.alive);
    this.ended ??= error;
    this.#waiting.reject(error);
    this.socket.destroy();
  }

  #read(chunk) {
    if (this.#waiting.done !== true) return this.#greet(chunk);
    this.bytes += chunk.length;
    const data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let from = 0;
    for (;;) {
      const at = data.indexOf(MARK, from);
      if (at === -1 || at + HEAD > data.length) {
        const keep = at === -1 ? Math.max(from, data.length - MARK.length + 1) : at;
        this.#rest = Buffer.from(data.subarray(keep));
        return;
      }
      this.#message(data, at + MARK.length);
      from = at + HEAD;
    }
  }

  #message(data, at) {
    this.received += 1;
    const number = digits(data, at, DIGITS);
    if (this.last !== undefined && number !== this.last + 1) {
      if (number > this.last) this.lost += number - this.last - 1;
      else if (number === this.last) this.doubled += 1;
      else this.disordered += 1;
    }
    if (this.last === undefined || number > this.last) this.last = number;
    this.latency?.((performance.timeOrigin + performance.now()) * 1_000 - digits(data, at + DIGITS, STAMP));
  }

  /** Until the server has said that the client has joined. */
  #greet(chunk) {
    const before = this.#seen;
    this.#seen += chunk.toString("latin1");
    if (!before.includes("\r\n\r\n") && this.#seen.includes("\r\n\r\n")) {
      if (!this.#seen.startsWith("HTTP/1.1 101")) return this.#end(new Error(this.#seen.split("\r\n")[0]));
      for (const text of this.protocol.hello) this.send(frameOf(text));
    }
    const { joined } = this.protocol;
    if (!this.#seen.includes("\r\n\r\n") || (joined !== undefined && !this.#seen.includes(joined))) return;
    this.#waiting.done = true;
    this.#waiting.resolve();
    const start =
      joined === undefined ? this.#seen.indexOf("\r\n\r\n") + 4 : this.#seen.indexOf(joined) + joined.length;
    const rest = Buffer.from(this.#seen.slice(start), "latin1");
    this.#seen = "";
    if (rest.length > 0) this.#read(rest);
  }
}

function digits(data, at, count) {
  let value = 0;
  for (let index = at; index < at + count; index++) value = value * 10 + data[index] - 48;
  return value;
}
