/** The types of Node that the public declarations name: without `@types/node` they are `any`, and the declarations stay valid. */

// Each line has `@ts-ignore`, which stays in the published declarations. Every other import of `node:` in a public declaration would
// be an error in a program without `@types/node`.
// biome-ignore-all lint/suspicious/noTsIgnore: `@ts-expect-error` is an error where the types exist.

/** @ts-ignore */
export type { LookupAddress } from "node:dns";
/** @ts-ignore */
export type { IncomingMessage, Server as HttpServer, ServerResponse } from "node:http";
/** @ts-ignore */
export type { Http2SecureServer } from "node:http2";
/** @ts-ignore */
export type { Server as HttpsServer } from "node:https";
/** @ts-ignore */
export type { LookupFunction, NetConnectOpts, Server as NetServer, Socket } from "node:net";
/** @ts-ignore */
export type { Duplex } from "node:stream";
/** @ts-ignore */
export type { ConnectionOptions as TlsDialOptions, DetailedPeerCertificate, TlsOptions } from "node:tls";
/** @ts-ignore */
export type Signals = NodeJS.Signals;
/** @ts-ignore */
export type NodeBuffer = Buffer;
