/** Finds the address of a client behind proxies, from the fields X-Forwarded-For and Forwarded (RFC 7239). */

import { isObject, kindOf } from "../../base/forms.ts";
import { formatIp, type IpBytes, type IpRange, isInIpRange, parseIp, parseIpRange } from "../../base/ip-address.ts";
import { judgeChoice, judgeNames, judgeNumber } from "../../base/judge.ts";
import { type FieldCursor, fieldLines, joinedLines, parseList } from "./header.ts";

/** The proxies whose word about the address of a client is believed. */
export type TrustProxy = number | readonly string[] | TrustProxyOptions;

export interface TrustProxyOptions {
  /**
   * The number of proxies between the clients and this server, or the addresses of the proxies: IP addresses, ranges such as
   * `10.0.0.0/8`, and `unix` for the peers of a unix socket.
   */
  readonly from: number | readonly string[];
  /** The field that the proxies write. The other one is ignored: a client can write it. @default "x-forwarded-for" */
  readonly header?: "x-forwarded-for" | "forwarded" | undefined;
}

/** A validated `TrustProxy`. */
export interface TrustedProxies {
  readonly header: "x-forwarded-for" | "forwarded";
  /** Undefined if `ranges` decides. */
  readonly hops: number | undefined;
  readonly ranges: readonly IpRange[];
  readonly unix: boolean;
}

/** A client as a proxy sees it. */
export interface ForwardedClient {
  readonly remoteAddress: string;
  /** Undefined if the proxy does not name it. */
  readonly remotePort: number | undefined;
}

// A proxy chain is not longer. A field with more elements is an attempt to make the server work.
const MAX_ELEMENTS = 64;

/** Validates the option. Throws TypeError for a value of a wrong type or an invalid address, RangeError for a wrong number. */
export function settleTrustProxy(given: TrustProxy | undefined): TrustedProxies | undefined {
  if (given === undefined) return undefined;
  const options = typeof given === "number" || Array.isArray(given) ? { from: given } : given;
  if (!isObject(options))
    throw new TypeError(
      `Cannot use trustProxy: expected a number of proxies or a list of addresses, got ${kindOf(given)}`,
    );
  judgeNames(Object.keys(options), (name) => name === "from" || name === "header", "trustProxy.");
  const { from, header = "x-forwarded-for" } = options as TrustProxyOptions;
  judgeChoice("trustProxy.header", header, ["x-forwarded-for", "forwarded"]);
  if (!Array.isArray(from)) {
    judgeNumber("trustProxy", from, { least: 1, most: MAX_ELEMENTS, whole: true });
    return { header, hops: from, ranges: [], unix: false };
  }
  const ranges = from
    .filter((one) => one !== "unix")
    .map((one) => {
      const range = typeof one === "string" ? parseIpRange(one) : undefined;
      if (range !== undefined) return range;
      throw new TypeError(
        `Cannot use trustProxy ${JSON.stringify(one)}: expected an IP address, a range such as 10.0.0.0/8, or unix`,
      );
    });
  return { header, hops: undefined, ranges, unix: from.includes("unix") };
}

/**
 * Returns the client of a request, or undefined if it is the peer itself: if the peer is not a trusted proxy, or if the field is
 * missing, malformed or too short. `rawHeaders` has the form of node:http; `peer` is the address of the socket, empty on a unix
 * socket.
 */
export function forwardedClient(
  { header, hops, ranges, unix }: TrustedProxies,
  rawHeaders: readonly string[],
  peer: string,
): ForwardedClient | undefined {
  const trusted = (address: IpBytes | undefined): boolean =>
    address === undefined ? unix : ranges.some((range) => isInIpRange(address, range));
  const peerAddress = peer === "" ? undefined : parseIp(peer);
  if (hops === undefined && ((peer !== "" && peerAddress === undefined) || !trusted(peerAddress))) return undefined;
  const lines = fieldLines(rawHeaders);
  const value = lines && joinedLines(lines, header);
  const nodes = value === undefined ? undefined : header === "forwarded" ? forwardedNodes(value) : value.split(",");
  if (nodes === undefined || nodes.length > MAX_ELEMENTS) return undefined;
  // From the right: each proxy appends the address of its own peer. What is to the left of the first untrusted address can be
  // written by the client.
  let client: Node | undefined;
  for (let index = nodes.length - 1; index >= 0; index -= 1) {
    client = parseNode(nodes[index] as string);
    if (client === undefined) return undefined;
    if (hops === nodes.length - index || (hops === undefined && !trusted(client.bytes))) break;
    // Fewer elements than proxies: the request did not come through all of them.
    if (index === 0 && hops !== undefined) return undefined;
  }
  return client && { remoteAddress: formatIp(client.bytes), remotePort: client.port };
}

interface Node {
  readonly bytes: IpBytes;
  readonly port: number | undefined;
}

const PORT = /^(?:[1-9]\d{0,4})$/;
const BRACKETED = /^\[([^\]]*)\](?::(.*))?$/;
const WITH_PORT = /^([^:]*):([^:]*)$/;

/** Parses an address with or without a port. Undefined for names such as `unknown`, and for anything else. */
function parseNode(text: string): Node | undefined {
  const node = text.trim();
  const [, host = node, portText] = BRACKETED.exec(node) ?? WITH_PORT.exec(node) ?? [];
  const bytes = parseIp(host);
  if (bytes === undefined || host.includes("%")) return undefined;
  if (portText === undefined) return { bytes, port: undefined };
  const port = PORT.test(portText) ? Number(portText) : 0;
  return port >= 1 && port <= 65_535 ? { bytes, port } : undefined;
}

/** The value of `for` of each element of Forwarded. Undefined if the field is malformed or an element has no `for`. */
function forwardedNodes(value: string): string[] | undefined {
  return parseList(value, forwardedNode);
}

function forwardedNode(cursor: FieldCursor): string | undefined {
  let node: string | undefined;
  for (;;) {
    const name = cursor.token().toLowerCase();
    if (name === "" || !cursor.skip("=")) return undefined;
    const value = cursor.skip('"') ? cursor.quoted() : cursor.token();
    // RFC 7239 section 4: each parameter occurs once.
    if (!value || (name === "for" && node !== undefined)) return undefined;
    if (name === "for") node = value;
    cursor.space();
    if (!cursor.skip(";")) return node;
    cursor.space();
  }
}
