/** Unpredictable numbers, drawn from the system in blocks. */

import { randomBytes, randomFillSync } from "node:crypto";

const block = new Uint32Array(1024);
let left = 0;

/** A fresh masking key. RFC 6455 section 10.3: it must not be predictable, so `Math.random` will not do. */
export function maskKey(): number {
  if (left === 0) {
    randomFillSync(block);
    left = block.length;
  }
  left -= 1;
  return block[left] as number;
}

/** A fresh Sec-WebSocket-Key: sixteen octets in base64 (RFC 6455 section 4.1, 7). */
export function handshakeKey(): string {
  return randomBytes(16).toString("base64");
}
