/** The part of the package `redis` that the broker uses: connections to single servers, each with a life of its own. */

import { ClientClosedError, ClientOfflineError, createClient, ErrorReply, RESP_TYPES } from "redis";
import type { RedisClientTarget } from "./options.ts";

/** Called with a message that was published to a channel. The bytes are a part of a buffer of the client. */
export type ChannelReceiver = (message: Buffer, channel: Buffer) => void;

/** A connection to one server. It ends once, and is not opened again. */
export interface RedisClient {
  connect(): Promise<unknown>;
  /** Pending commands reject. */
  destroy(): void;
  sendCommand(command: readonly (string | Buffer)[], options?: object): Promise<unknown>;
  subscribe(channels: string[], receiver: ChannelReceiver, bytes: true): Promise<void>;
  unsubscribe(channels: string[]): Promise<void>;
  sSubscribe(channels: string[], receiver: ChannelReceiver, bytes: true): Promise<void>;
  sUnsubscribe(channels: string[]): Promise<void>;
  /** "terminated" comes first at the end of a connection. */
  on(event: "error" | "terminated", handle: (error: Error) => void): this;
  on(event: "end" | "sharded-channel-moved", handle: () => void): this;
}

/** The options of a command: replies as text, or as bytes. No timer of the client for each command: the broker has its own. */
export const AS_TEXT: object = { timeout: undefined };
export const AS_BYTES: object = { timeout: undefined, typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } };

/** The beginning of an error that the server has replied, such as "NOSCRIPT"; undefined for every other error. */
export function replyCode(error: unknown): string | undefined {
  return error instanceof ErrorReply ? /^[A-Z]*/.exec(error.message)?.[0] : undefined;
}

/** True if the command was not sent because the connection had ended. */
export function wasNotSent(error: unknown): boolean {
  return error instanceof ClientOfflineError || error instanceof ClientClosedError;
}

/**
 * Makes a client whose connection ends at the first error. By default the client would reconnect by itself: it sends again what was
 * not written yet, it subscribes again without a sign of the messages that were missed, and after a timeout it gives up for ever.
 */
export function newClient(target: RedisClientTarget): RedisClient {
  const options = {
    ...target,
    // With RESP 3 a connection with subscriptions can also be used for commands.
    RESP: 3,
    disableOfflineQueue: true,
    commandsQueueMaxLength: undefined,
    pingInterval: 0,
    maintNotifications: "disabled",
    keyPrefix: undefined,
    readonly: false,
    socket: { connectTimeout: 5_000, ...target.socket, reconnectStrategy: false, socketTimeout: undefined },
  };
  return createClient(options as never) as unknown as RedisClient;
}
