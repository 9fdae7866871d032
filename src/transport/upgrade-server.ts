/** A server that owns its port, for upgrades only: what it reads itself, and what it leaves to node:http(s). */

import { maxHeaderSize } from "node:http";
import { createServer as createTcp, type Server as NetServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type Accepted, judgeRequest, type RequestFacts } from "../engine/handshake-request.js";
import { readRequestHead } from "../engine/request-head.js";
import { FastLane } from "./fast-lane.js";
import { createHttpReader, type HttpReaderOptions } from "./http-server.js";
import { heardByNobody, type UpgradeCall } from "./http-upgrade.js";
import { type TcpArrival, TcpArrivals } from "./tcp-arrivals.js";
import type { Transport } from "./transport.js";

export interface UpgradeServerOptions extends HttpReaderOptions {
  /** A TCP connection was accepted; under TLS nothing else can be done with it yet. */
  readonly accepted: (socket: Socket) => void;
}

export interface UpgradeServer {
  readonly server: NetServer;
  /**
   * From now on connections are read from their handles, and nothing else is made for those that begin with an upgrade request.
   * For a server that listens on TCP, without TLS, on whose handles the fast lane works.
   */
  readonly takeHandles: () => TcpArrivals;
}

export function createUpgradeServer(options: UpgradeServerOptions): UpgradeServer {
  const { secure, clock, openTimeout, accepted, upgrade, transportOf } = options;
  const http = createHttpReader(options);
  let arrivals: TcpArrivals | undefined;
  // As node:http makes its own.
  const server = secure ? http.server : createTcp({ allowHalfOpen: true, noDelay: true });
  server.on("connection", (socket: Socket) => {
    if (arrivals?.handing) return;
    accepted(socket);
    if (!secure) http.read(socket, clock.now());
  });
  const leave = (arrival: TcpArrival, bytes: Uint8Array): void => {
    const socket = arrival.toSocket();
    if (bytes.length > 0) socket.unshift(bytes);
    http.read(socket, arrival.acceptedAt);
  };
  const spoke = (arrival: TcpArrival, bytes: Buffer): void => {
    // All that has come, or nothing: of what the network has cut, node:http reads every piece.
    const head = readRequestHead(bytes.toString("latin1", 0, maxHeaderSize));
    const judged = head && judgeRequest(head.facts);
    if (head === undefined || !judged?.accepted) leave(arrival, bytes);
    else upgrade(new EarlyCall(head.facts, judged, arrival, bytes.subarray(head.length), transportOf));
  };
  const left = (arrival: TcpArrival): void => leave(arrival, NOTHING);
  const takeHandles = (): TcpArrivals => {
    arrivals = new TcpArrivals(server, { clock, patience: openTimeout, prepare: accepted, spoke, left });
    return arrivals;
  };
  return { server, takeHandles };
}

const NOTHING = new Uint8Array();

/** The call of a request that was read from a handle. A socket is made when somebody asks for it. */
class EarlyCall implements UpgradeCall {
  readonly request: RequestFacts;
  readonly judged: Accepted;
  readonly #arrival: TcpArrival;
  readonly #head: Uint8Array;
  readonly #transportOf: HttpReaderOptions["transportOf"];
  #socket: Socket | undefined;

  constructor(
    request: RequestFacts,
    judged: Accepted,
    arrival: TcpArrival,
    head: Uint8Array,
    transportOf: HttpReaderOptions["transportOf"],
  ) {
    this.request = request;
    this.judged = judged;
    this.#arrival = arrival;
    this.#head = head;
    this.#transportOf = transportOf;
  }

  socket(): Duplex {
    this.#socket ??= heardByNobody(this.#arrival.toSocket());
    return this.#socket;
  }

  accept(switching: Buffer): Transport {
    if (this.#socket === undefined) return FastLane.arrived(this.#arrival, switching, this.#head);
    this.#socket.write(switching);
    return this.#transportOf(this.#socket, this.#head);
  }
}
