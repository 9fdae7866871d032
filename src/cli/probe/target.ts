/** The server that is probed: one connection after the other, to the same address, with requests that may break the rules. */

import { X509Certificate } from "node:crypto";
import { isIP, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import type { ConnectPhase } from "../../base/errors.ts";
import { joinHostPort } from "../../base/host-port.ts";
import { type Address, parseAddress } from "../../endpoint/address.ts";
import { DEFLATE } from "../../engine/deflate/negotiation.ts";
import type { Extension } from "../../engine/handshake/extension.ts";
import { acceptKey, type HeaderFields, requestHeaders } from "../../engine/handshake/fields-to-send.ts";
import { type Agreement, type Disagreement, judgeResponse } from "../../engine/handshake/response.ts";
import { dial } from "../../transport/dial/dial.ts";
import { answerProblem, requestUpgrade, type UpgradeAnswer } from "../../transport/http/client.ts";
import { sha1Base64 } from "../../transport/http/upgrade.ts";
import { systemNetwork } from "../../transport/network.ts";
import { handshakeKey } from "../../transport/random.ts";
import { tlsProblem } from "../../transport/tls-problem.ts";
import type { ProbeSettings } from "./flags.ts";
import { RawStream } from "./raw-stream.ts";

/** A server that cannot be reached, or that gives no answer that can be read. The message says why, in one sentence. */
export class Unreachable extends Error {}

/** The length of each phase, in milliseconds. */
export type PhaseLengths = Partial<Record<ConnectPhase, number>>;

/** An open stream, before the upgrade. */
export interface DialledStream {
  readonly stream: Duplex;
  readonly phases: PhaseLengths;
}

/** What is different in a request from that of a client without fault. */
export interface RequestChanges {
  /** Fields by name. Undefined leaves one out. */
  readonly fields?: Readonly<Record<string, string | undefined>>;
  /** Whether compression and the subprotocols of the user are offered. @default false */
  readonly offers?: boolean;
}

/** The answer to a request. */
export interface Upgraded {
  readonly answer: UpgradeAnswer;
  readonly judged: Agreement | Disagreement;
  readonly phases: PhaseLengths;
  /** The stream of frames behind a 101. */
  readonly raw: RawStream | undefined;
  /** To be destroyed by the caller. */
  readonly stream: Duplex;
}

interface ProbeRequest {
  readonly key: string;
  readonly protocols: readonly string[];
  readonly extensions: readonly Extension[];
  readonly valid: HeaderFields;
}

const DEFLATE_OFFER: Extension = { name: DEFLATE, params: new Map([["client_max_window_bits", true] as const]) };

export class ProbeTarget {
  readonly address: Address;
  readonly #settings: ProbeSettings;
  /** The IP address of the first connection. The later ones use it too: another server of the same name may differ. */
  #pinned: string | undefined;
  #connections = 0;

  /** Throws TypeError for a URL that is no address, and for a value that a request cannot contain. */
  constructor(settings: ProbeSettings) {
    this.#settings = settings;
    this.address = parseAddress(settings.url);
    this.#request(true);
  }

  /** The number of connections so far. */
  get connections(): number {
    return this.#connections;
  }

  /** The address that answered; empty before. */
  get place(): string {
    const { socketPath, port } = this.address;
    return socketPath ?? (this.#pinned === undefined ? "" : joinHostPort(this.#pinned, port));
  }

  /** Opens a stream. Rejects with Unreachable. */
  async dial(): Promise<DialledStream> {
    const { host, port, socketPath, secure } = this.address;
    const { timeout, insecure, ca } = this.#settings;
    this.#connections += 1;
    const reached: { readonly phase: ConnectPhase; readonly at: number }[] = [];
    const signal = AbortSignal.timeout(timeout);
    const dialled = dial(
      { host: this.#pinned ?? (host || "localhost"), port, socketPath, secure },
      {
        ...{ network: systemNetwork, clock: systemNetwork.clock, signal, turn: undefined },
        route: { lookup: undefined, family: 0, localAddress: undefined },
        // The name and not the address: the certificate is for it, and a server with several certificates chooses by it.
        tls: { ...(isIP(host) === 0 && { servername: host }), rejectUnauthorized: !insecure, ...(ca && { ca }) },
        reached: (phase) => reached.push({ phase, at: performance.now() }),
      },
    );
    try {
      const stream = await dialled.socket;
      this.#pinned ??= (stream as Partial<Socket>).remoteAddress;
      return { stream, phases: lengthsOf(reached, performance.now()) };
    } catch (error) {
      throw new Unreachable(this.#problemOf(error as NodeJS.ErrnoException, dialled.phase, signal));
    }
  }

  /** Opens a stream and sends a request. Rejects with Unreachable. */
  async upgrade({ fields = {}, offers = false }: RequestChanges = {}): Promise<Upgraded> {
    const { timeout } = this.#settings;
    const { key, protocols, extensions, valid } = this.#request(offers);
    const { stream, phases } = await this.dial();
    const signal = AbortSignal.timeout(timeout);
    const began = performance.now();
    try {
      const answer = await requestUpgrade(stream, this.address.path, changed(valid, fields), signal);
      const { status, rawHeaders } = answer;
      const accept = acceptKey(key, sha1Base64);
      const judged = judgeResponse({ status, rawHeaders, accept, protocols, extensions });
      const deflate = judged.agreed && judged.extensions.length > 0;
      return {
        ...{ answer, judged, stream },
        phases: { ...phases, upgrade: performance.now() - began },
        raw: status === 101 ? new RawStream(stream, answer.head, true, deflate) : undefined,
      };
    } catch (error) {
      stream.destroy();
      throw new Unreachable(this.#problemOf(error as NodeJS.ErrnoException, "upgrade", signal));
    }
  }

  /** A request without fault. */
  #request(offers: boolean): ProbeRequest {
    const { headers, subprotocols, origin } = this.#settings;
    const key = handshakeKey();
    const protocols = offers ? subprotocols : [];
    const extensions = offers ? [DEFLATE_OFFER] : [];
    const valid = requestHeaders({ host: this.#host(), key, origin, protocols, extensions, headers });
    return { key, protocols, extensions, valid };
  }

  #host(): string {
    const { host, port, secure, socketPath } = this.address;
    if (socketPath !== undefined) return host;
    const whole = joinHostPort(host || "localhost", port);
    return port === (secure ? 443 : 80) ? whole.replace(/:\d+$/, "") : whole;
  }

  #problemOf(error: NodeJS.ErrnoException, phase: ConnectPhase, signal: AbortSignal): string {
    if (signal.aborted) return `no answer within ${this.#settings.timeout / 1_000} s in the phase ${phase}`;
    const { secure } = this.address;
    const known = phase === "upgrade" ? answerProblem(error, secure) : undefined;
    const tls = secure && (phase === "tls" || phase === "upgrade") ? tlsProblem(error, "server") : undefined;
    return `${phase}: ${known ?? tls ?? error.message}`;
  }
}

/** The facts about TLS; undefined without it. */
export interface TlsFacts {
  readonly version: string;
  readonly cipher: string;
  readonly issuer: string;
  readonly validTo: Date;
}

export function tlsFacts(stream: Duplex): TlsFacts | undefined {
  if (!(stream instanceof TLSSocket)) return undefined;
  const { raw } = stream.getPeerCertificate();
  if (raw === undefined) return undefined;
  const { issuer, validTo } = new X509Certificate(raw);
  const version = stream.getProtocol() ?? "";
  return { version, cipher: stream.getCipher().name, issuer: nameIn(issuer), validTo: new Date(validTo) };
}

/** The most telling name of a distinguished name, which has one attribute in each line. */
function nameIn(distinguished: string): string {
  return /^(?:O|CN)=(.*)$/m.exec(distinguished)?.[1] ?? distinguished;
}

function changed(valid: HeaderFields, fields: Readonly<Record<string, string | undefined>>): HeaderFields {
  const kept = valid.filter(([name]) => !Object.hasOwn(fields, name));
  const added = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  );
  return [...kept, ...added];
}

function lengthsOf(
  reached: readonly { readonly phase: ConnectPhase; readonly at: number }[],
  end: number,
): PhaseLengths {
  return Object.fromEntries(reached.map(({ phase, at }, index) => [phase, (reached[index + 1]?.at ?? end) - at]));
}
