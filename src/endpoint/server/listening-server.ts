/** The server object of `listen`: a server to which routes can be added. */

import type { Sendable } from "../../connection/contract.ts";
import type { Counters } from "../../connection/counters.ts";
import type { ParamsOf } from "../../engine/handshake/path-pattern.ts";
import type { Message } from "../../engine/protocol.ts";
import type { RouteTarget } from "../options.ts";
import type { ServerRoster } from "./roster.ts";
import type { Route, RouteTable } from "./routes.ts";
import { type ConnectionSource, Server } from "./server.ts";

/** A server that `listen` returns. */
export class ListeningServer<UserData = unknown, In = Message, Out = Sendable> extends Server<UserData, In, Out> {
  readonly #routes: RouteTable | undefined;

  /** @internal */
  constructor(
    url: () => string,
    roster: ServerRoster<UserData>,
    source: ConnectionSource,
    measured: { readonly counters: Counters; readonly maxConnections: number },
    routes: RouteTable | undefined,
  ) {
    super(url, roster, source, measured);
    this.#routes = routes;
  }

  /**
   * Serves another WebSocket path from now on. `target` is a handler, or options that contain a handler or hooks. In the pattern,
   * `:name` matches one segment of the path, and `*` or `*name` at the end matches the rest; `request.params` has the values. The
   * returned route has its own `remove` and `close`.
   *
   * ```ts
   * const route = server.route("/rooms/:room", async (connection, { params }) => {
   *   for await (const message of connection) publish(params.room, message);
   * });
   * route.remove();
   * ```
   *
   * Throws TypeError if the pattern is invalid, if it conflicts with that of another route (neither is more specific), without a
   * handler and a hook, and on a TCP server; TypeError or RangeError for an invalid option; and ClosedError if the server is
   * closing.
   */
  route<Data = unknown, Pattern extends string = string, In2 = Message, Out2 = Sendable>(
    pattern: Pattern,
    target: RouteTarget<Data, ParamsOf<Pattern>, In2, Out2>,
  ): Route<Data, In2, Out2> {
    if (this.#routes === undefined) throw new TypeError(`Cannot serve ${pattern}: TCP has no paths`);
    return this.#routes.add(pattern, target) as unknown as Route<Data, In2, Out2>;
  }
}
