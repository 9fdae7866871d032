/** The client's side of a SOCKS5 handshake (RFC 1928) with user name and password (RFC 1929), without a socket. */

import { concat, NO_BYTES } from "../../base/bytes.ts";

/** What the proxy is to connect to. Either a name, which the proxy resolves, or the bytes of an IP address. */
export type SocksAddress = { readonly name: Uint8Array } | { readonly address: Uint8Array };

export interface SocksRequest {
  readonly destination: SocksAddress;
  readonly port: number;
  /** User name and password, each of 1 to 255 bytes. */
  readonly login: readonly [user: Uint8Array, password: Uint8Array] | undefined;
}

/** What follows from received bytes: bytes to send, the end with the bytes that belong to the server, or the problem in words. */
export type SocksStep =
  | { readonly send: Uint8Array }
  | { readonly rest: Uint8Array }
  | { readonly problem: string }
  | undefined;

const VERSION = 5;
const LOGIN_VERSION = 1;
const NO_LOGIN = 0;
const BY_PASSWORD = 2;
const NONE_ACCEPTABLE = 0xff;
const CONNECT = 1;
const IPV4 = 1;
const NAME = 3;
const IPV6 = 4;

/** The most bytes of a name, a user name and a password: their length is one byte. */
export const MAX_SOCKS_FIELD = 255;

// RFC 1928 section 6.
const REPLIES = [
  ...[
    "",
    "general failure",
    "it does not permit this server",
    "the network is unreachable",
    "the server is unreachable",
  ],
  ...["the server refused the connection", "the time to live expired", "it does not support CONNECT"],
  "it does not support this kind of address",
];

/** Reads the answers of a proxy, cut in any way, and says what to send. What it holds is never longer than the longest answer. */
export class SocksHandshake {
  readonly #request: SocksRequest;
  #expects: "method" | "login" | "reply" = "method";
  #held: Uint8Array = NO_BYTES;

  constructor(request: SocksRequest) {
    this.#request = request;
  }

  /** The first bytes to send. */
  get greeting(): Uint8Array {
    const methods = this.#request.login === undefined ? [NO_LOGIN] : [NO_LOGIN, BY_PASSWORD];
    return Uint8Array.of(VERSION, methods.length, ...methods);
  }

  /** Takes received bytes. Undefined: the answer is not complete. After `rest` or `problem` it must not be called. */
  receive(bytes: Uint8Array): SocksStep {
    // Bytes can follow only the last answer of the proxy. They are from the server: the proxy itself sends nothing except answers.
    this.#held = this.#held.length === 0 ? bytes : concat([this.#held, bytes]);
    const [first, second] = this.#held;
    if (first === undefined) return undefined;
    if (this.#expects !== "login" && first !== VERSION)
      return { problem: `it does not speak SOCKS5: its answer begins with the byte ${first}` };
    if (second === undefined) return undefined;
    if (this.#expects === "method") return this.#method(second);
    return this.#expects === "login" ? this.#loggedIn(second) : this.#reply(second);
  }

  #method(method: number): SocksStep {
    const { login } = this.#request;
    if (method === NONE_ACCEPTABLE)
      return {
        problem:
          login === undefined
            ? "it requires credentials in its URL, or others"
            : "it does not accept a user name and password",
      };
    if (method !== NO_LOGIN && (method !== BY_PASSWORD || login === undefined))
      return { problem: `it chose the method ${method}, which was not offered` };
    if (this.#held.length > 2) return { problem: "it sent more bytes than its answer has" };
    this.#held = NO_BYTES;
    if (method === NO_LOGIN) return this.#connect();
    this.#expects = "login";
    const [user, password] = login as readonly [Uint8Array, Uint8Array];
    const head = Uint8Array.of(LOGIN_VERSION, user.length);
    return { send: concat([head, user, Uint8Array.of(password.length), password]) };
  }

  /** The first byte is the version of RFC 1929. Some proxies send that of SOCKS, and curl does not read it either. */
  #loggedIn(status: number): SocksStep {
    if (status !== 0) return { problem: "it does not accept this user name and password" };
    if (this.#held.length > 2) return { problem: "it sent more bytes than its answer has" };
    this.#held = NO_BYTES;
    return this.#connect();
  }

  #connect(): SocksStep {
    this.#expects = "reply";
    const { destination, port } = this.#request;
    const named = "name" in destination;
    const bytes = named ? destination.name : destination.address;
    const kind = named ? [NAME, bytes.length] : [bytes.length === 4 ? IPV4 : IPV6];
    return { send: concat([Uint8Array.of(VERSION, CONNECT, 0, ...kind), bytes, Uint8Array.of(port >> 8, port & 255)]) };
  }

  #reply(reply: number): SocksStep {
    if (reply !== 0) return { problem: `${REPLIES[reply] ?? "it refused"} (reply ${reply})` };
    const [, , , kind, length] = this.#held;
    if (kind === undefined) return undefined;
    // The address at which the proxy opened the connection. It is of no use here, but it must be read to its end.
    const size =
      kind === IPV4 ? 4 : kind === IPV6 ? 16 : kind === NAME ? (length === undefined ? undefined : 1 + length) : NaN;
    if (Number.isNaN(size)) return { problem: `its answer has an address of the unknown kind ${kind}` };
    const end = 4 + (size ?? Infinity) + 2;
    return this.#held.length < end ? undefined : { rest: this.#held.subarray(end) };
  }
}
