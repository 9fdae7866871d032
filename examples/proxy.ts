/**
 * Connects browsers to a TCP server: each WebSocket gets a TCP connection of its own, and bytes pass in both directions.
 *
 * TARGET=tcp://127.0.0.1:5432 chooses the TCP server. Connect to ws://127.0.0.1:9000 and send binary messages.
 *
 * A WebSocket ends in both directions at once, a TCP connection in each one by itself. So the ends are mapped:
 *
 * - the target sends its FIN: the browser gets the text "end", and may go on sending; it closes when it has sent everything
 * - the browser closes: the target gets a FIN behind all bytes
 * - the browser is lost (1006): the target gets a reset, because the bytes may be incomplete
 * - the target cannot be reached, or fails: the browser gets a Close with 1014 (bad gateway)
 */

import { type Connection, connect, listen } from "holdfast";

const TARGET = process.env["TARGET"] ?? "tcp://127.0.0.1:9001";

/**
 * Passes all messages on. `send` resolves when the kernel has accepted the message, and only then the next one is taken. So a
 * receiver that reads slowly stops the sender, through both connections, and this process stores only a few messages.
 */
async function pass(from: Connection, to: Connection): Promise<void> {
  for await (const message of from) await to.send(message);
}

async function relay(browser: Connection): Promise<void> {
  let target: Connection;
  try {
    target = await connect(TARGET, {
      framing: "raw",
      allowHalfOpen: true,
      // After its FIN, the target waits this long for further bytes of the browser.
      lingerTimeout: 60_000,
      // Silence is no fault. The heartbeat of the WebSocket detects that the browser is lost.
      idleTimeout: Infinity,
      signal: browser.signal,
    });
  } catch {
    await browser.close(1014, "the target cannot be reached");
    return;
  }
  const requests = pass(browser, target).then(
    () => target.close(),
    (error) => target.terminate(error),
  );
  await pass(target, browser).then(
    () => browser.trySend("end"),
    () => undefined, // `closed` has the cause.
  );
  const { wasClean } = await target.closed;
  await (wasClean ? browser.close() : browser.close(1014, "the connection to the target failed"));
  await requests;
}

const server = await listen(`ws://127.0.0.1:${process.env["PORT"] ?? 9000}`, { messageType: "binary" }, relay);
console.log(server.url);
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void server.close({ drain: 5_000 }));
