/** The request of an opening handshake as the application gets it. What costs time is computed when it is read. */

import type { IncomingMessage } from "node:http";
import type { DetailedPeerCertificate, TLSSocket } from "node:tls";
import type { RequestTls, UpgradeRequest } from "../../connection/upgrade-request.ts";
import type { PathParams } from "../../engine/handshake/path-pattern.ts";
import type { Accepted } from "../../engine/handshake/request.ts";
import type { UpgradeCall } from "../../transport/http/upgrade.ts";
import type { Endpoints } from "../../transport/transport.ts";
import { headersOf } from "./opening-events.ts";

export const NEVER_ABORTS: AbortSignal = new AbortController().signal;

export class ReceivedRequest implements UpgradeRequest {
  readonly params: PathParams;
  /** Set while `authorize` is pending. */
  signal: AbortSignal = NEVER_ABORTS;
  readonly #call: UpgradeCall;
  readonly #accepted: Accepted;
  readonly #endpoints: Endpoints;
  #headers: Readonly<Record<string, string>> | undefined;

  constructor(call: UpgradeCall, accepted: Accepted, endpoints: Endpoints, params: PathParams) {
    this.#call = call;
    this.#accepted = accepted;
    this.#endpoints = endpoints;
    this.params = params;
  }

  get path(): string {
    return this.#accepted.path;
  }

  get query(): string {
    return this.#accepted.query;
  }

  get host(): string {
    return this.#accepted.host;
  }

  get origin(): string | undefined {
    return this.#accepted.origin;
  }

  get protocols(): readonly string[] {
    return this.#accepted.protocols;
  }

  get headers(): Readonly<Record<string, string>> {
    this.#headers ??= headersOf(this.#call.request);
    return this.#headers;
  }

  get remoteAddress(): string {
    return this.#endpoints.remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.#endpoints.remotePort;
  }

  get secure(): boolean {
    return this.#endpoints.secure;
  }

  get tls(): RequestTls | undefined {
    return this.#endpoints.secure ? new TlsSession(this.#call.socket() as TLSSocket) : undefined;
  }

  get raw(): IncomingMessage | undefined {
    return this.#call.raw;
  }
}

class TlsSession implements RequestTls {
  readonly #socket: TLSSocket;

  constructor(socket: TLSSocket) {
    this.#socket = socket;
  }

  get serverName(): string | undefined {
    const { servername } = this.#socket as { readonly servername?: string | false };
    return servername || undefined;
  }

  get alpnProtocol(): string | undefined {
    return this.#socket.alpnProtocol || undefined;
  }

  get version(): string | undefined {
    return this.#socket.getProtocol() ?? undefined;
  }

  get peerCertificate(): DetailedPeerCertificate | undefined {
    const certificate = this.#socket.getPeerCertificate(true);
    // Node returns an empty object if there is none.
    return certificate && Object.keys(certificate).length > 0 ? certificate : undefined;
  }

  get authorized(): boolean {
    return this.#socket.authorized;
  }
}
