/** The two protocols as a raw peer speaks them, so that what holds for both is written once. */

import { KEY, peerFrame } from "../engine/peer-frames.js";
import { type Frame, FrameReader } from "../frames.js";
import { RawPeer, switchingTo, upgraded, upgradeRequest } from "../raw-peers.js";

export interface Speech {
  readonly name: string;
  readonly protocol: "websocket" | "tcp";
  /** Where to listen for it, and the options without which it is not spoken. */
  readonly url: string;
  readonly options: { readonly framing?: "lines" };
  /** What a peer says before its first message. */
  readonly greeting: string;
  readonly open: (port: number) => Promise<RawPeer>;
  /** Answers what a client says before its first message. */
  readonly answer: (peer: RawPeer) => Promise<void>;
  /** A text as one side sends it. */
  readonly message: (text: string, from?: "client" | "server") => Uint8Array;
  /** What a client says before its FIN to end cleanly. */
  readonly farewell: Uint8Array;
  /** The whole messages in what a server sent. */
  readonly messages: (sent: Buffer) => string[];
}

export const SPEECHES: readonly Speech[] = [
  {
    name: "WebSocket",
    protocol: "websocket",
    url: "ws://127.0.0.1:0",
    options: {},
    greeting: upgradeRequest(),
    open: (port) => upgraded(port),
    answer: async (peer) => {
      await peer.until(({ text }) => text.endsWith("\r\n\r\n"));
      peer.write(switchingTo(peer.text));
    },
    message: (payload, from = "client") => peerFrame({ opcode: 1, payload, ...(from === "client" && { key: KEY }) }),
    farewell: peerFrame({ opcode: 8, payload: Uint8Array.of(1_000 >> 8, 1_000 & 255), key: KEY }),
    messages: (sent) =>
      framesOf(sent)
        .filter(({ opcode }) => opcode <= 2)
        .map(({ payload }) => payload.toString()),
  },
  {
    name: "framed TCP",
    protocol: "tcp",
    url: "tcp://127.0.0.1:0",
    options: { framing: "lines" },
    greeting: "",
    open: (port) => RawPeer.to(port),
    answer: async () => undefined,
    message: (text) => Buffer.from(`${text}\n`),
    farewell: new Uint8Array(),
    messages: (sent) => sent.toString().split("\n").slice(0, -1),
  },
];

/** The whole frames in what a server sent, behind the head of its answer. */
function framesOf(sent: Buffer): Frame[] {
  return new FrameReader().push(sent.subarray(sent.indexOf("\r\n\r\n") + 4));
}

/** The code of the Close frame in what a server sent; undefined if there is none. */
export function closeCodeOf(sent: Buffer): number | undefined {
  return framesOf(sent)
    .find(({ opcode }) => opcode === 8)
    ?.payload.readUInt16BE(0);
}
