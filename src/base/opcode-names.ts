/** The names of the opcodes of WebSocket frames, for people. */

/** By opcode (RFC 6455 5.2). The other opcodes are reserved, and have no name. */
export const OPCODE_NAMES: Readonly<Record<number, string>> = Object.freeze({
  0: "continuation",
  1: "text",
  2: "binary",
  8: "close",
  9: "ping",
  10: "pong",
});
