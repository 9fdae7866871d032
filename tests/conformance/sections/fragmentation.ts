/** Section 5: fragments, frames between them, and empty fragments. */

import { binary, continuation, type Frame, fragments, ping, pong, text } from "../frame.ts";
import { failed, HELLO, hear, type Row, row, say, sayEach, sayOctets } from "../row.ts";

const TWO = fragments(text, "fragment1", "fragment2");
const [FIRST, SECOND] = TWO as [Frame, Frame];
const WHOLE = text("fragment1fragment2");
const FIVE = fragments(text, "fragment1", "fragment2", "fragment3", "fragment4", "fragment5") as Frame[];
const ALL_FIVE = text("fragment1fragment2fragment3fragment4fragment5");
const PINGED = [FIRST, ping("between"), SECOND];
const STRAY = continuation("continues nothing");
const OPEN_STRAY = continuation("continues nothing", { fin: false });

export const FRAGMENTATION: readonly Row[] = [
  row("5.1", "a Ping in two fragments", [say(...fragments(ping, "fragment1", "fragment2"))], failed(1002)),
  row("5.2", "a Pong in two fragments", [say(...fragments(pong, "fragment1", "fragment2"))], failed(1002)),
  row("5.3", "a text in two fragments, in one write", [say(...TWO), hear(WHOLE)]),
  row("5.4", "a text in two fragments, each in a write", [sayEach(...TWO), hear(WHOLE)]),
  row("5.5", "a text in two fragments, octet by octet", [sayOctets(...TWO), hear(WHOLE)]),
  row("5.6", "a Ping between two fragments", [say(...PINGED), hear(pong("between"), WHOLE)]),
  row("5.7", "a Ping between two fragments, by frame", [sayEach(...PINGED), hear(pong("between"), WHOLE)]),
  row("5.8", "a Ping between two fragments, by octet", [sayOctets(...PINGED), hear(pong("between"), WHOLE)]),
  row("5.9", "the last fragment of nothing, then a text", [say(STRAY, HELLO)], failed(1002)),
  row("5.10", "the last fragment of nothing, then a text, by frame", [sayEach(STRAY, HELLO)], failed(1002)),
  row("5.11", "the last fragment of nothing, then a text, by octet", [sayOctets(STRAY, HELLO)], failed(1002)),
  row("5.12", "a fragment of nothing, then a text", [say(OPEN_STRAY, HELLO)], failed(1002)),
  row("5.13", "a fragment of nothing, then a text, by frame", [sayEach(OPEN_STRAY, HELLO)], failed(1002)),
  row("5.14", "a fragment of nothing, then a text, by octet", [sayOctets(OPEN_STRAY, HELLO)], failed(1002)),
  row("5.15", "a text, then a fragment of nothing", [say(...TWO, OPEN_STRAY, HELLO), hear(WHOLE)], failed(1002)),
  row("5.16", "twice a fragment of nothing, then a text", twice(OPEN_STRAY), failed(1002)),
  row("5.17", "twice the last fragment of nothing, then a text", twice(STRAY), failed(1002)),
  row("5.18", "a text inside a text", [say(text("a", { fin: false }), text("b"))], failed(1002)),
  row("5.19", "two Pings between five fragments, one at a time", [
    sayEach(...FIVE.slice(0, 2), ping("one")),
    hear(pong("one")),
    sayEach(...FIVE.slice(2, 4), ping("two")),
    hear(pong("two")),
    sayEach(...FIVE.slice(4)),
    hear(ALL_FIVE),
  ]),
  row("5.20", "two Pings between five fragments", [
    say(...FIVE.slice(0, 2), ping("one"), ...FIVE.slice(2, 4), ping("two"), ...FIVE.slice(4)),
    hear(pong("one"), pong("two"), ALL_FIVE),
  ]),
  row("5.21", "a binary message inside a text", [say(FIRST, binary("b"))], failed(1002)),
  row("5.22", "a text after each of two in fragments", [
    say(...TWO, HELLO, ...TWO, HELLO),
    hear(WHOLE, HELLO, WHOLE, HELLO),
  ]),
];

function twice(stray: Frame): Row["steps"] {
  return [say(stray, ...TWO, stray, ...TWO)];
}
