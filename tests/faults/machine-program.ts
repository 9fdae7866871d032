/** The program of a machine of the test network: it listens, connects and exchanges messages as ordered, and reports the results. */

import {
  type Connection,
  type ConnectionOptions,
  connect,
  listen,
  ReconnectingConnection,
  type ReconnectingOptions,
  type ReconnectState,
} from "../../src/index.ts";
import type { Enough, Facts, Order, Report, StateFacts } from "./machine.ts";
import { ACTIONS, listenOnly, sendNumbers, type Task, taskOf } from "./machine-actions.ts";

const under = new Map<number, AbortController>();

process.on("message", (message: Order | Enough) => {
  if (message.kind === "enough") {
    under.get(message.id)?.abort();
    return;
  }
  const { id, kind, url, options } = message;
  const report = (what: Report): void => void process.send?.({ id, ...what });
  const enough = new AbortController();
  under.set(id, enough);
  const task = taskOf(kind === "listen" ? "server" : "client", message, report, enough.signal);
  const settled = withNever<ConnectionOptions>(options);
  const serve = (connection: Connection): Promise<void> => use(connection, message, task);
  if (kind === "listen") {
    void listen(url, settled, serve).then((server) => report({ what: "listening", url: server.url }));
  } else if (kind === "connect") {
    // Misuse throws, and would end the whole process.
    Promise.resolve()
      .then(() => connect(url, settled))
      .then(serve, (error: unknown) => report({ what: "failed", message: String(error), ...factsOf(error) }));
  } else {
    comeBack(message, withNever(options), task);
  }
});
process.on("disconnect", () => process.exit());
process.send?.({ id: 0, what: "ready" });

async function use(connection: Connection, { does }: Order, task: Task): Promise<void> {
  const { report } = task;
  report({ what: "open" });
  void connection.closed.then(({ cause, ...rest }) => report({ what: "closed", ...rest, ...factsOf(cause) }));
  if (does === "send-numbers") throw new TypeError("Cannot send numbers on a connection that does not come back");
  // The end is reported by `closed`.
  await ACTIONS[does](connection, task).catch(() => undefined);
  await connection.closed;
}

function comeBack({ url, does }: Order, options: ReconnectingOptions, task: Task): void {
  const { report } = task;
  const states: StateFacts[] = [];
  const state = (now: ReconnectState): void => {
    states.push(stateFacts(now));
    report({ what: "state", name: now.name, states });
  };
  const connection = new ReconnectingConnection(url, { ...options, state, random: () => 1 });
  const { closed } = connection;
  void closed.then(({ cause, ...rest }) => report({ what: "closed", ...rest, ...factsOf(cause) }));
  if (does === "send-numbers") void sendNumbers(connection, task);
  else {
    task.enough.addEventListener("abort", () => void connection.close());
    void listenOnly(connection).catch(() => undefined);
  }
}

function stateFacts(state: ReconnectState): StateFacts {
  if (state.name !== "waiting") return { name: state.name, ...("attempt" in state && { attempt: state.attempt }) };
  const { name, attempt, until, why } = state;
  return { name, attempt, pause: until.getTime() - why.at.getTime(), phase: why.phase, error: factsOf(why.error) };
}

/** JSON has no Infinity; null stands for it. */
function withNever<Options>(options: object): Options {
  return JSON.parse(JSON.stringify(options), (_, value) => (value === null ? Infinity : value));
}

/** The fields of an error that can be sent. */
function factsOf(error: unknown): Facts {
  return error === undefined ? {} : JSON.parse(JSON.stringify({ ...(error as object) }));
}
