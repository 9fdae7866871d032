/** A WebSocket server that obeys RFC 6455 in all that is probed, except where a test tells it not to. Shares no code with `src`. */

import { isUtf8 } from "node:buffer";
import { type Frame, FrameReader, peerFrame } from "../../kit/frames.ts";
import { answerOf, type RawPeer, type RawServer, rawServer, switchingTo } from "../../kit/raw-peer.ts";

/** What this server does otherwise than a good one. */
export interface Script {
  /** The answer to a request, in place of that of a good server. Undefined: no answer. */
  readonly answer?: (request: string, good: string, peer: RawPeer) => string | undefined;
  /** Called with each frame. True: it is dealt with. */
  readonly frame?: (frame: Frame, peer: RawPeer) => boolean;
  /** Called when a connection is open. */
  readonly opened?: (peer: RawPeer) => void;
  /** The largest message, in bytes. */
  readonly limit?: number;
}

const refusal = (status: string, ...fields: readonly string[]): string =>
  [`HTTP/1.1 ${status}`, ...fields, "Content-Length: 0", "Connection: close", "", ""].join("\r\n");

/** The answer of a good server that accepts no other origin than its own. */
function goodAnswer(request: string): string {
  const { headers } = answerOf(request);
  if (headers["upgrade"] !== "websocket") return refusal("426 Upgrade Required", "Upgrade: websocket");
  if (headers["sec-websocket-version"] !== "13") return refusal("426 Upgrade Required", "Sec-WebSocket-Version: 13");
  if (headers["sec-websocket-key"] === undefined) return refusal("400 Bad Request");
  if (headers["origin"] !== undefined) return refusal("403 Forbidden");
  return switchingTo(request);
}

export function closeFrame(code: number, reason = ""): Uint8Array {
  const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
  payload.writeUInt16BE(code);
  payload.write(reason, 2);
  return peerFrame({ opcode: 8, payload });
}

export function scriptedServer({ answer, frame: special, opened, limit = 8_192 }: Script = {}): Promise<RawServer> {
  return rawServer(async (peer) => {
    await peer.until(({ text }) => text.includes("\r\n\r\n")).catch(() => undefined);
    const request = peer.text;
    if (!request.includes("\r\n\r\n")) return;
    const good = goodAnswer(request);
    const given = answer === undefined ? good : answer(request, good, peer);
    if (given === undefined) return;
    peer.write(given);
    if (!given.startsWith("HTTP/1.1 101")) {
      peer.socket.end();
      return;
    }
    const reader = new FrameReader();
    let size = 0;
    const fail = (code: number): void => {
      peer.write(closeFrame(code));
      peer.socket.end();
    };
    const good101 = (frame: Frame): void => {
      if (!frame.masked || frame.rsv !== 0) fail(1002);
      else if (frame.opcode === 9) peer.write(peerFrame({ opcode: 10, payload: frame.payload }));
      else if (frame.opcode === 8) {
        peer.write(peerFrame({ opcode: 8, payload: frame.payload }));
        peer.socket.end();
      } else if (frame.opcode === 1 && frame.fin && !isUtf8(frame.payload)) fail(1007);
      else if (frame.opcode < 3) {
        size = (frame.opcode === 0 ? size : 0) + frame.payload.length;
        if (size > limit) fail(1009);
      }
    };
    peer.heard = (chunk) => {
      for (const frame of reader.push(chunk)) {
        if (peer.socket.writableEnded) return;
        if (special?.(frame, peer) !== true) good101(frame);
      }
    };
    opened?.(peer);
  });
}
