/** Makes a self-signed certificate for `holdfast serve --tls`. Node can read certificates, but not write them. */

import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { isIP } from "node:net";
import { hostname } from "node:os";

export interface SelfSigned {
  /** In PEM. */
  readonly cert: string;
  /** In PEM. */
  readonly key: string;
  /** The SHA-256 digest of the certificate as `openssl x509 -fingerprint -sha256` writes it. */
  readonly fingerprint: string;
}

const DAY = 86_400_000;
// Browsers accept at most 398 days.
const LIFETIME = 30 * DAY;

// The tags of X.690 that a certificate needs.
const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  bytes: 0x04,
  identifier: 0x06,
  utf8: 0x0c,
  utcTime: 0x17,
  sequence: 0x30,
  set: 0x31,
} as const;

/** The part `number` of a structure that has a tag of its own: `constructed` if it has elements. */
const contextTag = (number: number, constructed: boolean): number => (constructed ? 0xa0 : 0x80) + number;

/**
 * Makes a certificate of RFC 5280 for a new P-256 key. It is valid from one day before `now`, for clocks that are slow, to 30 days
 * after it, for `localhost`, the loopback addresses, the name of this machine and `host`.
 */
export function selfSigned(host: string, now: Date = new Date()): SelfSigned {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = sequence(identifier("1.2.840.10045.4.3.2"));
  const name = sequence(
    element(TAG.set, sequence(identifier("2.5.4.3"), element(TAG.utf8, Buffer.from("holdfast serve")))),
  );
  const validity = sequence(utcTime(now.getTime() - DAY), utcTime(now.getTime() + LIFETIME));
  const publicKeyInfo = publicKey.export({ type: "spki", format: "der" });
  const names = new Set(["localhost", "127.0.0.1", "::1", hostname(), host]);
  const extensions = sequence(
    // A certificate authority, so that clients can use it as the root that they trust.
    extension("2.5.29.19", true, sequence(element(TAG.boolean, Buffer.of(0xff)))),
    // digitalSignature and keyCertSign, the first and the sixth of nine bits.
    extension("2.5.29.15", true, element(TAG.bits, Buffer.of(2, 0b1000_0100))),
    extension("2.5.29.37", false, sequence(identifier("1.3.6.1.5.5.7.3.1"))),
    extension("2.5.29.17", false, sequence(...[...names].map(alternativeName).filter((one) => one !== undefined))),
  );
  const body = sequence(
    element(contextTag(0, true), element(TAG.integer, Buffer.of(2))),
    element(TAG.integer, serialNumber()),
    algorithm,
    name,
    validity,
    name,
    publicKeyInfo,
    element(contextTag(3, true), extensions),
  );
  const signature = element(TAG.bits, Buffer.of(0), sign("sha256", body, privateKey));
  const der = sequence(body, algorithm, signature);
  const digest = createHash("sha256").update(der).digest("hex").toUpperCase();
  return {
    cert: pem("CERTIFICATE", der),
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    fingerprint: digest.replace(/(..)(?!$)/g, "$1:"),
  };
}

/** An element of X.690: tag, length, contents. */
function element(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  const length: number[] = [];
  // A length of more than 127 is written as the number of its bytes, then its bytes.
  if (content.length < 0x80) length.push(content.length);
  else {
    for (let rest = content.length; rest > 0; rest >>>= 8) length.unshift(rest & 0xff);
    length.unshift(0x80 | length.length);
  }
  return Buffer.concat([Buffer.of(tag, ...length), content]);
}

function sequence(...elements: readonly Uint8Array[]): Buffer {
  return element(TAG.sequence, ...elements);
}

/** An object identifier: the first two numbers in one byte, each other one in base 128. */
function identifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...others] = dotted.split(".").map(Number);
  const bytes = [first * 40 + second];
  for (const number of others) {
    const digits = [number & 0x7f];
    for (let rest = number >>> 7; rest > 0; rest >>>= 7) digits.unshift(0x80 | (rest & 0x7f));
    bytes.push(...digits);
  }
  return element(TAG.identifier, Buffer.from(bytes));
}

/** An extension (RFC 5280 section 4.1). DER leaves out `critical` if it is false. */
function extension(id: string, critical: boolean, value: Uint8Array): Buffer {
  const flag = critical ? [element(TAG.boolean, Buffer.of(0xff))] : [];
  return sequence(identifier(id), ...flag, element(TAG.bytes, value));
}

/** A time until 2049, with two digits for the year. */
function utcTime(time: number): Buffer {
  const digits = new Date(time).toISOString().replace(/\.\d+|[-:T]/g, "");
  return element(TAG.utcTime, Buffer.from(digits.slice(2)));
}

/** A positive number of 16 bytes: without the first bit, which is the sign, and with the second, so that no byte is redundant. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] as number) & 0x7f) | 0x40;
  return bytes;
}

/** A name or an IP address for which the certificate is valid. Undefined for a text that a certificate cannot have. */
function alternativeName(host: string): Buffer | undefined {
  const version = isIP(host);
  if (version !== 0) return element(contextTag(7, false), version === 4 ? ipv4Bytes(host) : ipv6Bytes(host));
  return /^[\w.-]+$/.test(host) ? element(contextTag(2, false), Buffer.from(host)) : undefined;
}

function ipv4Bytes(address: string): Buffer {
  return Buffer.from(address.split(".").map(Number));
}

function ipv6Bytes(address: string): Buffer {
  // A URL contains an IPv6 address in its shortest form, without an embedded IPv4 address.
  const short = new URL(`http://[${address.replace(/%.*/, "")}]`).hostname.slice(1, -1);
  const [head = "", tail] = short.split("::");
  const groupsOf = (text: string): string[] => (text === "" ? [] : text.split(":"));
  const [before, after] = [groupsOf(head), groupsOf(tail ?? "")];
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => "0");
  const groups = [...before, ...zeros, ...after].map((group) => Number.parseInt(group, 16));
  return Buffer.from(groups.flatMap((group) => [group >>> 8, group & 0xff]));
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString("base64").replace(/.{64}(?=.)/g, "$&\n");
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}
