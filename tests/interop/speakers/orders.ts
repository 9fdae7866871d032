/** The orders of a test to a peer, and the reports of the peer: JSON objects, so that any language and a browser can take part. */

/** The compression parameters of both sides: context takeover and window bits. */
export interface Deflate {
  readonly takeover: boolean;
  readonly bits: number;
}

export interface Setting {
  /** The subprotocols that a server supports or a client offers, the preferred one first. */
  readonly subprotocols: readonly string[];
  readonly deflate: Deflate | false;
}

/** Bytes are in base 64. */
export type Saying =
  | { readonly do: "text"; readonly text: string }
  | { readonly do: "binary"; readonly base64: string }
  | { readonly do: "fragments"; readonly type: "text" | "binary"; readonly parts: readonly string[] }
  | { readonly do: "ping"; readonly base64: string }
  | { readonly do: "close"; readonly code?: number; readonly reason?: string }
  /** Raw bytes on the wire. */
  | { readonly do: "raw"; readonly base64: string }
  /** Ends without a Close. */
  | { readonly do: "drop" };

/** A connection has a number: a client gets it with the order, and a server finds it in the path of the request. */
export type Order =
  | ({ readonly do: "serve"; readonly greeting: string | null } & Setting)
  | ({ readonly do: "dial"; readonly on: number; readonly url: string; readonly port: number } & Setting)
  | ({ readonly on: number } & Saying);

export type Told =
  | { readonly told: "ready"; readonly version: string }
  | { readonly told: "serving"; readonly port: number }
  | ({ readonly on: number } & Happening);

export type Happening =
  | { readonly told: "open"; readonly subprotocol: string; readonly extensions: string }
  | { readonly told: "text"; readonly text: string }
  | { readonly told: "binary"; readonly base64: string }
  | { readonly told: "ping"; readonly base64: string }
  | { readonly told: "pong"; readonly base64: string }
  | { readonly told: "closed"; readonly code: number; readonly reason: string; readonly clean: boolean };

export type Tell = (told: Told) => void;

// This also runs in a browser, which has no Buffer.

export function encoded(bytes: Uint8Array): string {
  const STEP = 32_768;
  let binary = "";
  for (let at = 0; at < bytes.length; at += STEP) binary += String.fromCharCode(...bytes.subarray(at, at + STEP));
  return btoa(binary);
}

export function decoded(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
