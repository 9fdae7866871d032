/** Cryptographically random values, read from the system in blocks. */

import { randomBytes, randomFillSync } from "node:crypto";

const words = new Uint32Array(1024);
let unusedWords = 0;

/** Returns a new masking key. It must be unpredictable (RFC 6455 section 10.3), so `Math.random` cannot be used. */
export function maskKey(): number {
  if (unusedWords === 0) {
    randomFillSync(words);
    unusedWords = words.length;
  }
  unusedWords -= 1;
  return words[unusedWords] as number;
}

/** Returns a new Sec-WebSocket-Key: 16 random octets in base64 (RFC 6455 section 4.1, point 7). */
export function handshakeKey(): string {
  return randomBytes(16).toString("base64");
}

/** A name that nothing else has: 64 random bits in base64url. */
export function randomToken(): string {
  return randomBytes(8).toString("base64url");
}
