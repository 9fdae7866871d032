/** Section 7: Close frames, their content, and frames after them. */

import { close, continuation, type Frame, ping, text } from "../frame.ts";
import { closed, failed, HELLO, hear, type Row, row, say, sayEach, sayOctets } from "../row.ts";

const BIG = text("*".repeat(262_144));
const LONGEST = "*".repeat(123);
const START = text("fragment1", { fin: false });
const END = continuation("fragment2");
const DONE = close(1000);

/** A valid Close: its code is echoed. */
const answered = (id: string, code: number): Row =>
  row(id, `code ${code}`, [say(close(code)), hear(close(code))], closed(code));
/** An invalid Close. */
const refused = (id: string, what: string, bad: Frame, code = 1002): Row => row(id, what, [say(bad)], failed(code));

export const CLOSING: readonly Row[] = [
  row("7.1.1", "a message, then Close, in one write", [say(HELLO, DONE), hear(HELLO, DONE)], closed(1000)),
  row("7.1.2", "Close twice", [say(DONE, DONE), hear(DONE)], closed(1000)),
  row("7.1.3", "a Ping behind Close", [say(DONE, ping()), hear(DONE)], closed(1000)),
  row("7.1.4", "a message behind Close", [say(DONE, HELLO), hear(DONE)], closed(1000)),
  row("7.1.5", "Close inside a fragmented message", [say(START, DONE, END), hear(DONE)], closed(1000)),
  row("7.1.6", "256 KiB, Close, a Ping", [say(BIG, DONE, ping()), hear(BIG, DONE)], closed(1000)),
  row("7.1.7", "a message, then Close, octet by octet", [sayOctets(HELLO, DONE), hear(HELLO, DONE)], closed(1000)),
  row("7.1.8", "what breaks rules behind Close", [sayEach(DONE, text("", { rsv: 7 })), hear(DONE)], closed(1000)),
  row("7.3.1", "no payload", [say(close()), hear(close())], closed(1005)),
  refused("7.3.2", "a payload of one byte", { ...close(), payload: Buffer.from([3]) }),
  answered("7.3.3", 1000),
  row("7.3.4", "a code and a reason", [say(close(1000, "Hello, world!")), hear(DONE)], closed(1000)),
  row("7.3.5", "the longest reason", [say(close(1000, LONGEST)), hear(DONE)], closed(1000)),
  refused("7.3.6", "a reason that is too long", close(1000, `${LONGEST}*`)),
  refused("7.5.1", "a reason that is not UTF-8", close(1000, Buffer.from("cebaeda080", "hex")), 1007),
  refused("7.5.2", "a reason that ends inside a character", close(1000, Buffer.from("ce", "hex")), 1007),
  ...[1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999].map((code, index) =>
    answered(`7.7.${index + 1}`, code),
  ),
  // Registered later: RFC 6455 11.7.
  ...[1012, 1013, 1014].map((code, index) => answered(`7.7.${index + 14}`, code)),
  ...[0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999].map((code, index) =>
    refused(`7.9.${index + 1}`, `code ${code}`, close(code)),
  ),
  refused("7.9.10", "code 1015", close(1015)),
  refused("7.13.1", "code 5000", close(5000)),
  refused("7.13.2", "code 65535", close(65_535)),
];
