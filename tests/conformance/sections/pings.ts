/** Section 2: a Ping is answered with its payload, a Pong is not answered. */

import { type Frame, ping, pong } from "../frame.ts";
import { failed, hear, hearNothing, type Row, row, say, sayEach, sayOctets } from "../row.ts";

const BYTES = Buffer.from("00fffefdfcfb00ff", "hex");
const LONGEST = Buffer.alloc(125, 0xfe);
const TEN = Array.from({ length: 10 }, (_, index) => `payload-${index}`);
const each = (make: (payload: string) => Frame): Frame[] => TEN.map((payload) => make(payload));

export const PINGS: readonly Row[] = [
  row("2.1", "an empty Ping", [say(ping()), hear(pong())]),
  row("2.2", "a Ping with a text", [say(ping("Hello, world!")), hear(pong("Hello, world!"))]),
  row("2.3", "a Ping with bytes that are no text", [say(ping(BYTES)), hear(pong(BYTES))]),
  row("2.4", "a Ping of 125 bytes", [say(ping(LONGEST)), hear(pong(LONGEST))]),
  row("2.5", "a Ping of 126 bytes", [say(ping(Buffer.alloc(126, 0xfe)))], failed(1002)),
  row("2.6", "a Ping of 125 bytes, octet by octet", [sayOctets(ping(LONGEST)), hear(pong(LONGEST))]),
  row("2.7", "an empty Pong that nobody asked for", [say(pong()), hearNothing]),
  row("2.8", "a Pong with a text that nobody asked for", [say(pong("unasked")), hearNothing]),
  row("2.9", "a Pong that nobody asked for, then a Ping", [sayEach(pong("unasked"), ping("ask")), hear(pong("ask"))]),
  row("2.10", "ten Pings in one write", [say(...each(ping)), hear(...each(pong))]),
  row("2.11", "ten Pings octet by octet", [sayOctets(...each(ping)), hear(...each(pong))]),
  row("2.12", "ten Pings, each in a write", [sayEach(...each(ping)), hear(...each(pong))]),
];
