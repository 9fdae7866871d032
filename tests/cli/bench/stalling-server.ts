/** An echo whose event loop is blocked for one second in each ten, as a collector or a slow query does it. */

import { listen } from "../../../src/index.ts";
import { PERIOD, STALL } from "./stalls.ts";

const server = await listen("ws://127.0.0.1:0/", {
  message: (connection, message) => void connection.trySend(message),
});
process.stdout.write(`${server.url}\n`);

const nothing = new Int32Array(new SharedArrayBuffer(4));
// At multiples of the period, so that the error of a timer does not add up.
const stallNext = (at: number): void => {
  setTimeout(() => {
    Atomics.wait(nothing, 0, 0, at + STALL - performance.now());
    stallNext(at + PERIOD);
  }, at - performance.now());
};
stallNext(performance.now() + STALL);
