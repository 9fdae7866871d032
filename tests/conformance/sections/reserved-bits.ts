/** Section 3: reserved bits without a meaning. */

import { binary, close, ping, pong, text } from "../frame.ts";
import { failed, HELLO, hear, type Row, row, say, sayEach, sayOctets } from "../row.ts";

const SAID = "Hello, world!";
const frames = (rsv: number): [typeof HELLO, typeof HELLO, typeof HELLO] => [HELLO, text(SAID, { rsv }), ping()];

export const RESERVED_BITS: readonly Row[] = [
  row("3.1", "a text with RSV 1", [say(text(SAID, { rsv: 1 }))], failed(1002)),
  row("3.2", "a text, one with RSV 2, a Ping, in one write", [say(...frames(2)), hear(HELLO)], failed(1002)),
  row("3.3", "a text, one with RSV 3, a Ping, each in a write", [sayEach(...frames(3)), hear(HELLO)], failed(1002)),
  row("3.4", "a text, one with RSV 4, a Ping, octet by octet", [sayOctets(...frames(4)), hear(HELLO)], failed(1002)),
  row("3.5", "a binary message with RSV 5", [say(binary(SAID, { rsv: 5 }))], failed(1002)),
  row("3.6", "a Ping with RSV 6", [say(ping(SAID, { rsv: 6 }))], failed(1002)),
  row("3.7", "a Close with RSV 7", [say(close(1000, "", { rsv: 7 }))], failed(1002)),
  row("3.8", "a Pong with RSV 4", [say(pong(SAID, { rsv: 4 }))], failed(1002)),
  row(
    "3.9",
    "a Ping, then one with RSV 1",
    [say(ping("one"), ping("two", { rsv: 1 })), hear(pong("one"))],
    failed(1002),
  ),
];
