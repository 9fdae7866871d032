/** What runs on a machine of the network: listens, connects and talks as it is told, and reports what became of it. */

import { type Connection, type ConnectionOptions, connect, listen } from "../../src/index.js";
import type { Facts, Order, Report } from "./machine.js";

/** What a connection does until it ends. */
const DEEDS: Record<Order["does"], (connection: Connection, report: (report: Report) => void) => Promise<void>> = {
  nothing: async (connection) => {
    for await (const _ of connection) {
      // What is asked by a heartbeat on TCP.
    }
  },
  echo: async (connection) => {
    for await (const message of connection) await connection.send(message);
  },
  flood: async (connection) => {
    for (;;) await connection.send("x".repeat(65_536));
  },
  count: async (connection, report) => {
    for (let number = 0; ; number += 1) {
      await connection.send(`${number}`);
      const answer = await connection.receive();
      report({ what: "counted", number: answer === `${number}` ? number : Number.NaN });
    }
  },
};

process.on("message", ({ id, kind, url, options, does }: Order) => {
  const report = (what: Report): void => void process.send?.({ id, ...what });
  const serve = async (connection: Connection): Promise<void> => {
    report({ what: "open" });
    void connection.closed.then(({ cause, ...rest }) => report({ what: "closed", ...rest, ...factsOf(cause) }));
    // How it ends is told by `closed`.
    await DEEDS[does](connection, report).catch(() => undefined);
    await connection.closed;
  };
  const settled = withNever(options);
  if (kind === "listen") {
    void listen(url, settled, serve).then((server) => report({ what: "listening", url: server.url }));
  } else {
    // Misuse throws, and would end all that this machine does.
    Promise.resolve()
      .then(() => connect(url, settled))
      .then(serve, (error: unknown) => report({ what: "failed", message: String(error), ...factsOf(error) }));
  }
});
process.on("disconnect", () => process.exit());
process.send?.({ id: 0, what: "ready" });

/** JSON has no Infinity: null stands for it. */
function withNever(options: object): ConnectionOptions {
  return JSON.parse(JSON.stringify(options), (_, value) => (value === null ? Infinity : value));
}

/** What can be sent of an error. */
function factsOf(error: unknown): Facts {
  return error === undefined ? {} : JSON.parse(JSON.stringify({ ...(error as object) }));
}
