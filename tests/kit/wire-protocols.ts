/** WebSocket and framed TCP as a raw peer writes them, so that a test for both is written once. */

import { closeCodeIn, FrameReader, KEY, peerFrame } from "./frames.ts";
import { RawPeer, switchingTo, upgraded, upgradeRequest } from "./raw-peer.ts";

export interface WireProtocol {
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

export const WIRE_PROTOCOLS: readonly WireProtocol[] = [
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
      new FrameReader()
        .push(behindHead(sent))
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

/** The code of the Close frame in what a server sent, as `closeCodeIn` of frames.ts returns it. */
export function closeCodeOf(sent: Buffer): number | undefined {
  return closeCodeIn(behindHead(sent));
}

/** The bytes that a server sent after the head of its answer. */
function behindHead(sent: Buffer): Buffer {
  return sent.subarray(sent.indexOf("\r\n\r\n") + 4);
}
