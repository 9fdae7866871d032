/** Passes a decoded message to the dispatcher of its connection, if the connection still delivers messages of its type. */

import type { Message } from "../../engine/protocol.ts";
import { INVALID_PAYLOAD, UNSUPPORTED_DATA } from "../../engine/websocket/close-codes.ts";
import { DecodedValue } from "../codec.ts";
import { dispatcherOf, inputDiscarded, inputEnded, type PartsOwner } from "../lazy-parts.ts";
import type { InboxItem } from "./inbox.ts";

/** Returns false if the decoder must stop after this message. */
export function dispatchMessage(owner: PartsOwner, item: InboxItem, type: "text" | "binary"): boolean {
  // As in browsers, messages that arrive after the end has begun are not delivered, unless `receiveWhileClosing` is set.
  if (inputEnded(owner)) return !inputDiscarded(owner);
  const { messageType } = owner.options;
  if (messageType !== "any" && messageType !== "bytes" && messageType !== type) {
    const problem = `a ${type} message came, and messageType is "${messageType}"`;
    owner.fail({ closeCode: UNSUPPORTED_DATA, reason: "message-type", clause: "RFC 6455 7.4.1", problem });
    return false;
  }
  const delivered = owner.options.codec === undefined ? item : decoded(owner, item as Message, type);
  if (delivered === undefined) return false;
  return dispatcherOf(owner).dispatch(delivered) && !inputDiscarded(owner);
}

/** The value of a message, by the codec. Undefined if the message is invalid: then the connection has failed. */
function decoded(owner: PartsOwner, message: Message, type: "text" | "binary"): DecodedValue | undefined {
  try {
    return new DecodedValue(owner.options.codec?.decode(message), message);
  } catch (cause) {
    // The peer gets the problem in the Close frame. What the codec of the application throws is for this side only.
    const problem = `a ${type} message is not what the codec expects`;
    owner.fail({ closeCode: INVALID_PAYLOAD, reason: "undecodable", clause: "RFC 6455 7.4.1", problem, cause });
    return undefined;
  }
}
