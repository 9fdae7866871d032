/** Typed messages: the codec of a connection, and the types that the options give to messages. */

import type { MessageBytes } from "../base/bytes.ts";
import { kindOf } from "../base/forms.ts";
import { judgeChoice, judgeFunction, judgeOptions } from "../base/judge.ts";
import type { CustomFraming } from "../engine/framing/custom.ts";
import type { DelimitedFraming, FixedFraming, Framing, LengthPrefixedFraming } from "../engine/framing/framing.ts";
import type { Message } from "../engine/protocol.ts";

/** Type of message that a connection accepts (see the option `messageType`). */
export type MessageType = "any" | "text" | "binary" | "bytes" | "none";

/**
 * Converts between messages and the values of an application, for the option `codec`. One object serves all connections that use
 * it, so it must keep no state between calls. `json` returns one.
 *
 * ```ts
 * const numbers: MessageCodec<number, number> = {
 *   encode: (value) => String(value),
 *   decode: (message) => Number(message),
 *   messageType: "text",
 * };
 * ```
 */
export interface MessageCodec<In, Out = In> {
  /**
   * Returns the message for a value. If it throws, `send` rejects with the same error, `trySend` throws it, and nothing is sent.
   */
  encode(value: Out): string | ArrayBuffer | ArrayBufferView;
  /**
   * Returns the value of a received message. If it throws, the connection ends with 1007, and calls get a ProtocolError
   * (`undecodable`) with the thrown error as its cause. Messages before it are still delivered.
   */
  decode(message: Message): In;
  /**
   * Type of the messages on a WebSocket. A message of another type ends the connection with 1003. On TCP the framing determines
   * the type, and `decode` gets what arrives.
   * @default "any"
   */
  readonly messageType?: "any" | "text" | "binary" | undefined;
}

/**
 * Returns a codec for JSON. On a WebSocket its messages are texts, and a binary message ends the connection with 1003. On TCP it
 * works with each framing that keeps messages apart; `"lines"` is JSON Lines. A text that is not JSON ends the connection with 1007.
 * A value for which JSON has no form, such as a function, is a TypeError of `send`.
 *
 * The types are a promise of the program. JSON of a peer can have any form: pass `check`, which gets the parsed value and returns
 * it with its type. If it throws, the connection ends with 1007.
 *
 * ```ts
 * const connection = await connect("ws://127.0.0.1:9000", { codec: json<Reply, Request>() });
 * ```
 */
export function json<In = unknown, Out = In>(check?: (value: unknown) => In): MessageCodec<In, Out> {
  if (check !== undefined) judgeFunction("check", check);
  return {
    encode: (value) => {
      const text = JSON.stringify(value) as string | undefined;
      if (text === undefined) throw new TypeError(`Cannot send ${kindOf(value)}: JSON has no form for it`);
      return text;
    },
    decode: (message) => {
      const value: unknown = JSON.parse(typeof message === "string" ? message : utf8.decode(message));
      return check === undefined ? (value as In) : check(value);
    },
    messageType: "text",
  };
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** A decoded message in the inbox, with the size that it had as a message. */
export class DecodedValue {
  readonly value: unknown;
  /** In bytes, or in UTF-16 units times two, as for the message itself. */
  readonly size: number;

  constructor(value: unknown, message: Message) {
    this.value = value;
    this.size = typeof message === "string" ? message.length * 2 : message.length;
  }
}

/** A codec whose types are known to the application only. */
export type AnyCodec = MessageCodec<unknown, unknown>;

/** Validates the option `codec`. Throws TypeError or RangeError. */
export function judgeCodec(given: unknown): AnyCodec | undefined {
  if (given === undefined) return undefined;
  judgeOptions(given, "codec");
  const { encode, decode, messageType = "any" } = given as Partial<AnyCodec>;
  judgeFunction("codec.encode", encode);
  judgeFunction("codec.decode", decode);
  judgeChoice("codec.messageType", messageType, ["any", "text", "binary"]);
  return given as AnyCodec;
}

/**
 * The type of received messages: that of the codec, or else what the options `messageType` and `framing` say. `In` is `never`
 * without a codec.
 */
export type ReceivedBy<In, Type = MessageType, Frames = Framing | undefined> = [In] extends [never]
  ? [Type] extends ["text"]
    ? string
    : [Type] extends ["binary" | "bytes"]
      ? MessageBytes
      : [Type] extends ["none"]
        ? never
        : FramedMessage<Frames>
  : In;

/** The type of the messages that a framing delivers. */
export type FramedMessage<Frames> = [Frames] extends ["lines"]
  ? string
  : [Frames] extends ["raw"]
    ? MessageBytes
    : [Frames] extends [CustomFraming]
      ? Message
      : [Frames] extends [{ readonly text: true }]
        ? string
        : [Frames] extends [DelimitedFraming | LengthPrefixedFraming | FixedFraming]
          ? "text" extends keyof Frames
            ? [Frames] extends [{ readonly text?: false | undefined }]
              ? MessageBytes
              : Message
            : MessageBytes
          : [Frames] extends [{ readonly eol: unknown } | { readonly lastLine: unknown }]
            ? string
            : Message;

/** The options that determine the types of messages. `connect`, `listen` and `attach` infer the types from them. */
export interface MessageTyping<In, Out, Type> {
  readonly codec?: MessageCodec<In, Out> | undefined;
  readonly messageType?: Type | undefined;
}

/** The options that determine the types of messages where TCP is possible. */
export interface FramedTyping<In, Out, Type, Frames> extends MessageTyping<In, Out, Type> {
  readonly framing?: Frames | undefined;
}
