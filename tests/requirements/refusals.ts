/** Servers of every form, and the events of openings that their observers get. */

import { once } from "node:events";
import { createServer, type Server as HttpServer, type RequestListener } from "node:http";
import { createServer as createSecure, Server as HttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import {
  type AcceptedEvent,
  attach,
  type Connection,
  type ConnectionEvent,
  type ListenOptions,
  listen,
  type RefusedEvent,
  type Server,
} from "../../src/index.ts";
import { LOCALHOST } from "../fixtures/certificates.ts";
import { RawPeer } from "../kit/raw-peer.ts";

/** An observer of openings. */
export class Openings {
  readonly refused: RefusedEvent[] = [];
  readonly accepted: AcceptedEvent[] = [];
  #changed: () => void = () => undefined;

  readonly observe = (event: ConnectionEvent): void => {
    if (event.type === "refused") this.refused.push(event);
    if (event.type === "accepted") this.accepted.push(event);
    this.#changed();
  };

  /** The events of refusals, as soon as there are this many. */
  async until(count: number): Promise<readonly RefusedEvent[]> {
    while (this.refused.length < count) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
    return this.refused;
  }
}

/** A server on `/live`. */
export interface Way extends AsyncDisposable {
  readonly openings: Openings;
  readonly server: Server;
  /** A connection without TLS, like that of a port scanner. */
  readonly knock: () => Promise<RawPeer>;
  /** A connection that can send requests. */
  readonly peer: () => Promise<RawPeer>;
}

export type Options = Partial<ListenOptions>;

let lastSocket = 0;

/** Every form of a server. Those with an HTTP server of the application answer plain requests. */
export const WAYS: Readonly<Record<string, (options?: Options, pages?: RequestListener) => Promise<Way>>> = {
  "listen, ws": (options) => listening("ws://127.0.0.1:0/live", options),
  "listen, ws over a unix socket": (options) => {
    lastSocket += 1;
    return listening(`ws+unix://${join(tmpdir(), `holdfast-${process.pid}-${lastSocket}.sock`)}:/live`, options);
  },
  "listen, wss": (options) => listening("wss://127.0.0.1:0/live", { ...options, tls: LOCALHOST }),
  "attach, http": (options, pages) => attached(createServer(), options, pages),
  "attach, https": (options, pages) => attached(createSecure(LOCALHOST), options, pages),
};

async function listening(url: string, options: Options = {}): Promise<Way> {
  const openings = new Openings();
  const server = await listen(url, { observe: openings.observe, ...options }, stay);
  const path = /^ws\+unix:\/\/(.*):/.exec(url)?.[1];
  return way(server, openings, path ?? Number(new URL(server.url).port), url.startsWith("wss"), () =>
    Promise.resolve(),
  );
}

async function attached(http: HttpServer, options: Options = {}, pages?: RequestListener): Promise<Way> {
  const openings = new Openings();
  http.on("request", pages ?? ((_, response) => response.setHeader("Connection", "close").end("page")));
  const server = attach(http, { observe: openings.observe, path: "/live", ...options }, stay);
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  const { port } = http.address() as AddressInfo;
  return way(server, openings, port, http instanceof HttpsServer, async () => {
    http.close();
    http.closeAllConnections();
    await once(http, "close");
  });
}

async function stay({ closed }: Connection): Promise<void> {
  await closed;
}

function way(
  server: Server,
  openings: Openings,
  place: number | string,
  secure: boolean,
  closed: () => Promise<void>,
): Way {
  return {
    openings,
    server,
    knock: () => RawPeer.to(place),
    peer: () => (secure ? securePeer(Number(place)) : RawPeer.to(place)),
    [Symbol.asyncDispose]: async () => {
      await server.close();
      await closed();
    },
  };
}

async function securePeer(port: number): Promise<RawPeer> {
  const socket = connectTls({ port, host: "127.0.0.1", ca: LOCALHOST.cert, ALPNProtocols: ["http/1.1"] });
  const peer = new RawPeer(socket);
  await once(socket, "secureConnect");
  return peer;
}
