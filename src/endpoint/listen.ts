/** Waits for peers on an address of its own. */

import type { Server as NetServer, Socket } from "node:net";
import type { SettledCompression } from "../connection/compression.js";
import { Connection } from "../connection/connection.js";
import { type SettledOptions, settle } from "../connection/options.js";
import { framedWire } from "../connection/wire.js";
import { Accepting } from "../transport/accepting.js";
import { handlesServe, readyTransports, transportOf } from "../transport/choice.js";
import { pathOf } from "../transport/http-upgrade.js";
import { setKeepAlive } from "../transport/keepalive.js";
import { bind, createTcpServer } from "../transport/tcp-server.js";
import { createUpgradeServer, type UpgradeServer } from "../transport/upgrade-server.js";
import { type Address, badAddress, formatAddress, parseAddress } from "./address.js";
import { nobodyUpgrades } from "./attach.js";
import { settleKeepAlive } from "./keep-alive.js";
import { ENDPOINT_DEFAULTS, type Handler, type ListenOptions, refuseUpgradeOptions } from "./options.js";
import { Roster } from "./roster.js";
import { serve } from "./serve.js";
import { doorOf, Server } from "./server.js";
import { judgeUpgradeOptions, upgrade } from "./upgrade.js";

/** Everything that one listener has settled. */
interface Listening<UserData> {
  readonly address: Address;
  readonly given: ListenOptions<UserData>;
  readonly options: SettledOptions;
  readonly compression: SettledCompression | undefined;
  readonly roster: Roster<UserData>;
  readonly handler: Handler<UserData> | undefined;
  readonly accepted: (socket: Socket) => void;
}

/**
 * Listens on a ws:, wss:, tcp: or tls: address. Port 0 picks a free one; `server.url` tells which. The handler's scope is
 * the connection's life. Without a handler, the hooks among the options receive.
 *
 * Rejects with a TransportError when the address cannot be had. A WebSocket address with a path serves only that path.
 */
export function listen<UserData = unknown>(url: string | URL, handler: Handler<UserData>): Promise<Server<UserData>>;
export function listen<UserData = unknown>(
  url: string | URL,
  options: ListenOptions<UserData>,
  handler?: Handler<UserData>,
): Promise<Server<UserData>>;
export async function listen<UserData>(
  url: string | URL,
  optionsOrHandler: ListenOptions<UserData> | Handler<UserData>,
  givenHandler?: Handler<UserData>,
): Promise<Server<UserData>> {
  const given = typeof optionsOrHandler === "function" ? {} : optionsOrHandler;
  const handler = typeof optionsOrHandler === "function" ? optionsOrHandler : givenHandler;
  const address = parseAddress(url);
  if (address.path.includes("?")) throw badAddress(String(url), "the query of a request is its client's affair");
  const {
    origin,
    subprotocols,
    headers,
    compression,
    authorize,
    maxConnections = ENDPOINT_DEFAULTS.maxConnections,
    framing,
    tls,
    keepAlive,
    backlog,
    ...rest
  } = given;
  if (address.protocol === "tcp") refuseUpgradeOptions({ origin, subprotocols, headers, compression, authorize });
  const options = settle(rest as ListenOptions<never>, address.protocol);
  const settledCompression = judgeUpgradeOptions(given);
  const { delay, interval, count } = settleKeepAlive(keepAlive);
  const accepted = (socket: Socket): void => setKeepAlive(socket, delay, interval, count);
  const listening = {
    address,
    given,
    options,
    roster: new Roster<UserData>(maxConnections, options.clock),
    handler,
    compression: settledCompression,
    accepted,
  };
  const { server, takeHandles } = address.protocol === "websocket" ? webSocketServer(listening) : tcpServer(listening);
  const door = doorOf(server);
  await readyTransports(address);
  const port = await bind(server, address, backlog);
  const handles = handlesServe(address) ? takeHandles?.() : undefined;
  // Without descriptors those who are connected go on, and accepting does when some are free again.
  const accepting = new Accepting(options.clock, options.onError);
  server.on("error", (error) => accepting.failed(error)).once("close", () => accepting.stop());
  const shown = address.host === "" ? { ...address, host: "127.0.0.1" } : address;
  const shut = (): Promise<void> => {
    handles?.drop();
    return door.shut();
  };
  return new Server(formatAddress(shown, port), listening.roster, { ...door, shut });
}

function webSocketServer<UserData>(listening: Listening<UserData>): UpgradeServer {
  const { address, given, options, accepted } = listening;
  const setup = { ...listening, upgrade: given };
  return createUpgradeServer({
    secure: address.secure,
    tls: given.tls ?? {},
    clock: options.clock,
    openTimeout: options.openTimeout,
    accepted,
    transportOf,
    upgrade: (call) => {
      if (address.path === "/" || pathOf(call.request.target) === address.path) upgrade(setup, call);
      else nobodyUpgrades(call.socket());
    },
  });
}

function tcpServer<UserData>(listening: Listening<UserData>): { server: NetServer; takeHandles?: undefined } {
  const { address, given, options, roster, handler, accepted } = listening;
  const wire = framedWire(given.framing, options);
  const open = (socket: Socket): void => {
    if (!roster.reserve()) {
      socket.on("error", () => undefined);
      socket.destroy();
      return;
    }
    const transport = transportOf(socket);
    const connection = new Connection<UserData>({
      ...{ transport, wire, options, subprotocol: "", extensions: "", data: undefined as UserData },
      url: formatAddress(address),
    });
    roster.admit(connection);
    serve(connection, handler);
  };
  const server = createTcpServer({
    secure: address.secure,
    tls: given.tls ?? {},
    openTimeout: options.openTimeout,
    accepted,
    opened: open,
  });
  return { server };
}
