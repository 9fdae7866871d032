/** The WebSocket paths of one server: which route takes a request, and how routes are added and removed. */

import { ClosedError } from "../../base/errors.ts";
import { present } from "../../base/forms.ts";
import type { Clock } from "../../base/time.ts";
import type { Sendable } from "../../connection/contract.ts";
import type { Counters } from "../../connection/counters.ts";
import { settle } from "../../connection/options.ts";
import type { TrustedProxies } from "../../engine/handshake/forwarded.ts";
import { parsePattern } from "../../engine/handshake/path-pattern.ts";
import { type PathMatch, PathTable } from "../../engine/handshake/path-table.ts";
import type { Message } from "../../engine/protocol.ts";
import { GOING_AWAY } from "../../engine/websocket/close-codes.ts";
import { pathOfTarget, type UpgradeCall } from "../../transport/http/upgrade.ts";
import type { ServerConnections } from "../connection-list.ts";
import { type RouteOptions, settleRoute } from "../options.ts";
import type { AddressLimits } from "./address-limits.ts";
import { OpeningEvents } from "./opening-events.ts";
import { type DrainOptions, type DrainResult, Roster, type SharedPlaces, settleDrain } from "./roster.ts";
import type { Rosters } from "./rosters.ts";
import { refusePath, settleUpgrade, type UpgradeSetup, upgrade } from "./upgrade.ts";

/** A WebSocket path of a server, as `server.route` returns it. `using` removes it, `await using` closes it. */
export class Route<UserData = unknown, In = Message, Out = Sendable> implements Disposable, AsyncDisposable {
  /** The path pattern as it was given. */
  readonly pattern: string;
  readonly #roster: Roster<UserData>;
  readonly #remove: () => void;
  #removed = false;
  #closing: Promise<DrainResult> | undefined;

  /** @internal */
  constructor(pattern: string, roster: Roster<UserData>, remove: () => void) {
    this.pattern = pattern;
    this.#roster = roster;
    this.#remove = remove;
  }

  /** The connections of this route that are open or closing now. */
  get connections(): ServerConnections<UserData, In, Out> {
    return this.#roster.connections as ServerConnections<UserData, unknown, unknown> as ServerConnections<
      UserData,
      In,
      Out
    >;
  }

  /**
   * Removes the route from the server, so that requests for its path get 404 and its pattern is free. Its connections continue,
   * and so do openings that wait for `authorize`. They are still in `server.connections`, and end with the server at the latest.
   */
  remove(): void {
    if (this.#removed) return;
    this.#removed = true;
    this.#remove();
  }

  /**
   * Removes the route and closes its connections, as `server.close` closes those of a server. The server continues. The time
   * `opening` of the options does not apply: openings that wait for `authorize` get 503.
   */
  async close(options: DrainOptions = {}): Promise<DrainResult> {
    const settled = settleDrain(options);
    this.remove();
    this.#closing ??= this.#roster.drain(settled);
    return this.#closing;
  }

  [Symbol.dispose](): void {
    this.remove();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

interface RoutesOptions {
  /** The options that all routes have unless they set them. */
  readonly defaults: RouteOptions;
  readonly rosters: Rosters;
  readonly places: SharedPlaces;
  /** The limits for each address, which all routes share. */
  readonly addresses: AddressLimits | undefined;
  /** Reports requests that no route takes. */
  readonly events: OpeningEvents;
  readonly counters: Counters;
  readonly clock: Clock;
  /** How long the answer to such a request may take, in milliseconds. */
  readonly linger: number;
  readonly trustProxy: TrustedProxies | undefined;
}

export class RouteTable {
  readonly #options: RoutesOptions;
  readonly #table = new PathTable<UpgradeSetup<unknown>>();
  /** Takes the requests for which there is no other route. */
  #everyPath: UpgradeSetup<unknown> | undefined;

  constructor(options: RoutesOptions) {
    this.#options = options;
  }

  /** Adds the path of the server's own URL. `/` takes every request for which there is no other route. */
  addOwn(path: string, setup: UpgradeSetup<unknown> & { readonly roster: Roster<unknown> }): void {
    this.#options.rosters.add(setup.roster);
    if (path === "/") this.#everyPath = setup;
    else this.#table.add(parsePattern(path), setup);
  }

  /** Adds a route. Throws TypeError for an invalid pattern or option, and ClosedError if the server is closing. */
  add(source: string, target: unknown): Route<unknown> {
    const { clock, counters, defaults, events: ofServer, places, addresses, rosters } = this.#options;
    if (rosters.closing) throw new ClosedError({ closeCode: GOING_AWAY, by: "local", wasClean: true });
    const pattern = parsePattern(source);
    const conflict = this.#table.conflictOf(pattern);
    if (conflict !== undefined) {
      const problem = conflict.source === source ? "it is already served" : `it conflicts with ${conflict.source}`;
      throw new TypeError(`Cannot serve ${source}: ${problem}`);
    }
    const { given, handler } = settleRoute(source, target);
    const { maxConnections = Infinity, ...own } = present(given);
    for (const name of ["clock", "ref", "perAddress"]) {
      if (name in own) throw new TypeError(`Cannot use ${name} for a route: it is an option of the server`);
    }
    const all: RouteOptions = { ...defaults, ...own };
    const { origin, subprotocols, headers, compression, authorize, trustProxy, ...rest } = all;
    const options = settle({ ...rest, clock }, "websocket", counters);
    const roster = new Roster<unknown>(maxConnections, clock, places);
    const events = own.observe === undefined ? ofServer : new OpeningEvents(options);
    const setup = { ...settleUpgrade(all), options, events, roster, addresses, handler };
    rosters.add(roster);
    this.#table.add(pattern, setup);
    return new Route(source, roster, () => {
      this.#table.remove(pattern);
      rosters.remove(roster);
    });
  }

  /** True if a WebSocket may be opened at the path of `target`. */
  serves(target: string): boolean {
    return typeof this.#match(target) === "object";
  }

  /** Answers an upgrade request by the route of its path. */
  serve(call: UpgradeCall): void {
    const found = this.#match(call.request.target);
    const { events, clock, linger, trustProxy } = this.#options;
    if (typeof found === "object") void upgrade(found.value, call, found.params);
    else refusePath([events], call, { clock, linger, trustProxy }, found);
  }

  #match(target: string): PathMatch<UpgradeSetup<unknown>> | "malformed" | undefined {
    const own = this.#everyPath;
    const found = this.#table.size > 0 ? this.#table.match(pathOfTarget(target)) : undefined;
    return typeof found === "object" || own === undefined ? found : { value: own, params: {} };
  }
}
