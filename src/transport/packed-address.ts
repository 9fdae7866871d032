/** Where a connection leads, in little room: as a string it would take 32 bytes, and no connection shares it with another. */

const IPV4 = /^(\d+)\.(\d+)\.(\d+)\.(\d+):(\d+)$/;

/** An IPv4 address and its port as two small integers; of anything else the address as it is, and 0. */
export function pack(address: string): [host: number | string, port: number] {
  const found = IPV4.exec(address);
  if (found === null) return [address, 0];
  const [a = 0, b = 0, c = 0, d = 0, port = 0] = found.slice(1).map(Number);
  return [(a << 24) | (b << 16) | (c << 8) | d, port];
}

export function unpack(host: number | string, port: number): string {
  if (typeof host === "string") return host;
  return `${host >>> 24}.${(host >>> 16) & 255}.${(host >>> 8) & 255}.${host & 255}:${port}`;
}
