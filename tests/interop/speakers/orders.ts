/** What a test orders a peer to do, and what the peer tells: objects of JSON, so that any language and a browser can take part. */

/** Both sides of a connection as they are to compress: contexts kept or not, and the bits of their windows. */
export interface Deflate {
  readonly takeover: boolean;
  readonly bits: number;
}

export interface Setting {
  /** Those that a server speaks or a client offers, its favourite first. */
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
  /** Bytes of the wire, as they are. */
  | { readonly do: "raw"; readonly base64: string }
  /** An end without a word. */
  | { readonly do: "drop" };

/** A connection is called by its number: a client is given it, and a server finds it in the path of the request. */
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

// What follows runs in a browser too, which has no Buffer.

export function encoded(bytes: Uint8Array): string {
  const STEP = 32_768;
  let binary = "";
  for (let at = 0; at < bytes.length; at += STEP) binary += String.fromCharCode(...bytes.subarray(at, at + STEP));
  return btoa(binary);
}

export function decoded(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
