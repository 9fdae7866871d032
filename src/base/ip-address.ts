/** Parses IP addresses and ranges of them, to compare addresses that are written in different ways. */

/** The 16 bytes of an IPv6 address. An IPv4 address has its IPv4-mapped form, so that both forms of it are equal. */
export type IpBytes = readonly number[];

/** All addresses that begin with the first `bits` bits of `bytes`. */
export interface IpRange {
  readonly bytes: IpBytes;
  readonly bits: number;
}

const IPV4 = /^(?:0|[1-9]\d{0,2})(?:\.(?:0|[1-9]\d{0,2})){3}$/;
const MAPPED: IpBytes = [...Array.from({ length: 10 }, () => 0), 0xff, 0xff];

/** Parses an IPv4 or IPv6 address without brackets. Undefined if `text` is none. A zone, as in `fe80::1%eth0`, is ignored. */
export function parseIp(text: string): IpBytes | undefined {
  const bytes = text.includes(":") ? parseIpv6(text) : parseIpv4(text);
  return bytes?.length === 4 ? [...MAPPED, ...bytes] : bytes;
}

/** Parses an address, or a range such as `10.0.0.0/8`. Undefined if `text` is neither. */
export function parseIpRange(text: string): IpRange | undefined {
  const [address = "", prefix, ...more] = text.split("/");
  const bytes = parseIp(address);
  if (bytes === undefined || more.length > 0) return undefined;
  if (prefix === undefined) return { bytes, bits: 128 };
  const most = address.includes(":") ? 128 : 32;
  if (!/^\d{1,3}$/.test(prefix) || Number(prefix) > most) return undefined;
  return { bytes, bits: Number(prefix) + 128 - most };
}

export function isInIpRange(address: IpBytes, { bytes, bits }: IpRange): boolean {
  const whole = bits >> 3;
  for (let index = 0; index < whole; index += 1) if (address[index] !== bytes[index]) return false;
  const shift = 8 - (bits & 7);
  return shift === 8 || (address[whole] as number) >> shift === (bytes[whole] as number) >> shift;
}

/** An IPv4 address has its usual form, also if `bytes` is its IPv4-mapped form. IPv6 has the form of RFC 5952. */
export function formatIp(bytes: IpBytes): string {
  if (isIpv4(bytes)) return bytes.slice(12).join(".");
  const groups = Array.from(
    { length: 8 },
    (_, index) => ((bytes[2 * index] as number) << 8) | (bytes[2 * index + 1] as number),
  );
  // The first of the longest runs of zeros is left out, if it has more than one.
  let [from, length] = [0, 1];
  for (let start = 0; start < 8; start += 1) {
    let end = start;
    while (end < 8 && groups[end] === 0) end += 1;
    if (end - start > length) [from, length] = [start, end - start];
  }
  const texts = groups.map((group) => group.toString(16));
  if (length === 1) return texts.join(":");
  return `${texts.slice(0, from).join(":")}::${texts.slice(from + length).join(":")}`;
}

/**
 * The network that counts as one client: an IPv4 address, also in its IPv4-mapped form, or the /64 prefix of an IPv6 address, since
 * one subscriber has all addresses of a /64 (RFC 6177). Any other text is returned unchanged.
 */
export function networkOfClient(address: string): string {
  const bytes = parseIp(address);
  if (bytes === undefined) return address;
  if (isIpv4(bytes)) return formatIp(bytes);
  return `${formatIp(bytes.map((byte, index) => (index < 8 ? byte : 0)))}/64`;
}

function isIpv4(bytes: IpBytes): boolean {
  return MAPPED.every((byte, index) => bytes[index] === byte);
}

function parseIpv4(text: string): IpBytes | undefined {
  if (!IPV4.test(text)) return undefined;
  const bytes = text.split(".").map(Number);
  return bytes.every((byte) => byte <= 255) ? bytes : undefined;
}

function parseIpv6(text: string): IpBytes | undefined {
  const [address = "", ...zones] = text.split("%");
  if (zones.length > 1) return undefined;
  const halves = address.split("::");
  if (halves.length > 2) return undefined;
  const [before, after] = halves.map((half, index) => bytesOfGroups(half, index === halves.length - 1));
  if (before === undefined || (halves.length === 2 && after === undefined)) return undefined;
  const missing = 16 - before.length - (after?.length ?? 0);
  if (halves.length === 1) return missing === 0 ? before : undefined;
  // "::" stands for at least one group.
  if (missing < 2) return undefined;
  return [...before, ...Array.from({ length: missing }, () => 0), ...(after ?? [])];
}

/** The bytes of groups between colons. The last group of an address may be an IPv4 address. */
function bytesOfGroups(text: string, last: boolean): IpBytes | undefined {
  if (text === "") return [];
  const bytes: number[] = [];
  const groups = text.split(":");
  for (const [index, group] of groups.entries()) {
    const ipv4 = last && index === groups.length - 1 ? parseIpv4(group) : undefined;
    if (ipv4 !== undefined) bytes.push(...ipv4);
    else if (/^[0-9a-f]{1,4}$/i.test(group))
      bytes.push(Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff);
    else return undefined;
  }
  return bytes.length <= 16 ? bytes : undefined;
}

/** True for 127.0.0.0/8, also in its IPv4-mapped form, and for ::1. */
export function isLoopbackIp(address: string): boolean {
  const bytes = parseIp(address);
  if (bytes === undefined) return false;
  const mapped = MAPPED.every((byte, index) => bytes[index] === byte);
  return mapped ? bytes[12] === 127 : bytes.every((byte, index) => byte === (index === 15 ? 1 : 0));
}
