/** Section 4: reserved opcodes. */

import { type Frame, frame, ping } from "../frame.ts";
import { failed, HELLO, hear, type Row, row, say, sayEach, sayOctets } from "../row.ts";

const behind = (bad: Frame): [Frame, Frame, Frame] => [HELLO, bad, ping()];

export const OPCODES: readonly Row[] = [
  row("4.1.1", "opcode 3", [say(frame(3))], failed(1002)),
  row("4.1.2", "opcode 4 with a payload", [say(frame(4, "reserved"))], failed(1002)),
  row("4.1.3", "a text, opcode 5, a Ping", [say(...behind(frame(5))), hear(HELLO)], failed(1002)),
  row("4.1.4", "a text, opcode 6, a Ping, by frame", [sayEach(...behind(frame(6, "x"))), hear(HELLO)], failed(1002)),
  row("4.1.5", "a text, opcode 7, a Ping, by octet", [sayOctets(...behind(frame(7, "x"))), hear(HELLO)], failed(1002)),
  row("4.2.1", "opcode 11", [say(frame(11))], failed(1002)),
  row("4.2.2", "opcode 12 with a payload", [say(frame(12, "reserved"))], failed(1002)),
  row("4.2.3", "a text, opcode 13, a Ping", [say(...behind(frame(13))), hear(HELLO)], failed(1002)),
  row("4.2.4", "a text, opcode 14, a Ping, by frame", [sayEach(...behind(frame(14, "x"))), hear(HELLO)], failed(1002)),
  row(
    "4.2.5",
    "a text, opcode 15, a Ping, by octet",
    [sayOctets(...behind(frame(15, "x"))), hear(HELLO)],
    failed(1002),
  ),
];
