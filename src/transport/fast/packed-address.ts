/** Packs a peer's address into an integer: a string takes 32 bytes, and connections cannot share it. */

const IPV4 = /^(\d+)\.(\d+)\.(\d+)\.(\d+)$/;

/** Returns an IPv4 address as a small integer. Any other address is returned unchanged. */
export function packAddress(address: string): number | string {
  const found = IPV4.exec(address);
  if (found === null) return address;
  const [a = 0, b = 0, c = 0, d = 0] = found.slice(1).map(Number);
  return (a << 24) | (b << 16) | (c << 8) | d;
}

export function unpackAddress(packed: number | string): string {
  if (typeof packed === "string") return packed;
  return `${packed >>> 24}.${(packed >>> 16) & 255}.${(packed >>> 8) & 255}.${packed & 255}`;
}
