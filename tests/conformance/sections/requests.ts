/** Requests that a server refuses, and requests that it accepts, by the rows of the RFC's table. */

import { KEY } from "../../kit/frames.ts";
import { UPGRADE_KEY, upgradeRequest } from "../../kit/raw-peer.ts";
import { encode, text } from "../frame.ts";

export type Changes = Parameters<typeof upgradeRequest>[1];
export const asking = (changes: Changes, target = "/"): string => upgradeRequest(target, changes);
/** A request with one more line after its fields. */
const plus = (line: string, request: string = upgradeRequest()): string =>
  request.replace(/\r\n\r\n$/, `\r\n${line}\r\n\r\n`);
const first = (line: string): string => upgradeRequest().replace(/^.*\r\n/, `${line}\r\n`);
const plain = (changes: Changes): string => asking({ Upgrade: undefined, Connection: undefined, ...changes });

export type Fields = Readonly<Record<string, RegExp>>;
/** A request, and the status with which it is answered before the server closes. */
export type Refusal = readonly [
  row: number,
  clause: string,
  what: string,
  request: string,
  status: number,
  fields?: Fields,
];

const FRAME = encode(text("smuggled"), KEY).toString("latin1");
const CHUNKED = `${FRAME.length.toString(16)}\r\n${FRAME}\r\n0\r\n\r\n`;
const BOTH: Fields = { upgrade: /^websocket$/, connection: /(^|, )Upgrade(,|$)/, "sec-websocket-version": /^13$/ };

export const REFUSALS: readonly Refusal[] = [
  [1, "6455 4.2.1", "another method", upgradeRequest("/", {}, { method: "POST" }), 405, { allow: /^GET$/ }],
  [1, "6455 4.2.1", "HEAD", upgradeRequest("/", {}, { method: "HEAD" }), 405],
  [1, "9110 7.8", "HTTP/1.0, which has no Upgrade", upgradeRequest("/", {}, { version: "1.0" }), 426, BOTH],
  [1, "9110 7.8", "HTTP/0.9", upgradeRequest("/", {}, { version: "0.9" }), 426],
  [2, "9112 3.2", "no Host", asking({ Host: undefined }), 400],
  [2, "9112 3.2", "two Hosts", asking({ Host: ["localhost", "localhost"] }), 400],
  [2, "9112 3.2", "a list of Hosts", asking({ Host: "localhost, localhost" }), 400],
  [2, "9112 3.2", "an empty Host", asking({ Host: "" }), 400],
  [2, "9112 3.2", "a Host with a space", asking({ Host: "local host" }), 400],
  [2, "9112 3.2", "a Host with a path", asking({ Host: "localhost/" }), 400],
  [2, "9112 3.2", "a Host with a user", asking({ Host: "me@localhost" }), 400],
  [2, "9112 3.2", "a Host with an impossible port", asking({ Host: "localhost:99999" }), 400],
  [2, "9112 3.2", "no Host beside a whole URL", asking({ Host: undefined }, "http://localhost/"), 400],
  [2, "9112 3.2", "no Host and no Upgrade", plain({ Host: undefined }), 400],
  [2, "9112 3.2", "two Hosts and no Upgrade", plain({ Host: ["localhost", "localhost"] }), 400],
  [2, "9112 3.2", "an invalid Host and no Upgrade", plain({ Host: "local host" }), 400],
  [3, "6455 4.2.1", "no Connection", asking({ Connection: undefined }), 426, BOTH],
  [3, "6455 4.2.1", "Connection without Upgrade", asking({ Connection: "keep-alive" }), 426, BOTH],
  [3, "6455 4.2.1", "Connection with what begins like Upgrade", asking({ Connection: "upgrades" }), 426, BOTH],
  [3, "6455 4.2.1", "no Upgrade", asking({ Upgrade: undefined }), 426, BOTH],
  [3, "6455 4.2.1", "Upgrade to another protocol", asking({ Upgrade: "h2c" }), 426, BOTH],
  [3, "6455 4.2.1", "Upgrade to what begins like websocket", asking({ Upgrade: "websockets" }), 426, BOTH],
  [4, "6455 4.2.1", "no key", asking({ "Sec-WebSocket-Key": undefined }), 400],
  [4, "6455 4.2.1", "an empty key", asking({ "Sec-WebSocket-Key": "" }), 400],
  [4, "6455 4.2.1", "a key of 15 octets", asking({ "Sec-WebSocket-Key": btoa("*".repeat(15)) }), 400],
  [4, "6455 4.2.1", "a key of 17 octets", asking({ "Sec-WebSocket-Key": btoa("*".repeat(17)) }), 400],
  [4, "6455 4.2.1", "a key that is not base64", asking({ "Sec-WebSocket-Key": "!".repeat(22).concat("==") }), 400],
  [4, "6455 11.3.1", "two keys", asking({ "Sec-WebSocket-Key": [UPGRADE_KEY, UPGRADE_KEY] }), 400],
  [4, "6455 11.3.5", "two versions", asking({ "Sec-WebSocket-Version": ["13", "13"] }), 426, BOTH],
  [5, "6455 4.3", "a subprotocol that is no token", asking({ "Sec-WebSocket-Protocol": "a b" }), 400],
  [5, "6455 4.3", "an empty list of subprotocols", asking({ "Sec-WebSocket-Protocol": "" }), 400],
  [5, "6455 4.1", "a subprotocol twice", asking({ "Sec-WebSocket-Protocol": ["a", "b, a"] }), 400],
  [5, "6455 9.1", "an extension without a name", asking({ "Sec-WebSocket-Extensions": ";a" }), 400],
  [5, "6455 9.1", "a parameter without a value", asking({ "Sec-WebSocket-Extensions": "a; b=" }), 400],
  [5, "6455 9.1", "a quoted value that is no token", asking({ "Sec-WebSocket-Extensions": 'a; b="c d"' }), 400],
  [5, "6455 9.1", "a quoted value that does not end", asking({ "Sec-WebSocket-Extensions": 'a; b="c' }), 400],
  [6, "6455 4.4", "no version", asking({ "Sec-WebSocket-Version": undefined }), 426, BOTH],
  [6, "6455 4.4", "version 8", asking({ "Sec-WebSocket-Version": "8" }), 426, BOTH],
  [6, "6455 4.4", "version 14", asking({ "Sec-WebSocket-Version": "14" }), 426, BOTH],
  [6, "6455 4.3", "version 013", asking({ "Sec-WebSocket-Version": "013" }), 426, BOTH],
  [7, "9110 7.8", "a plain request", plain({}), 426, BOTH],
  [8, "9110 7.8", "a body of announced length", asking({ "Content-Length": `${FRAME.length}` }) + FRAME, 400],
  [8, "9110 7.8", "a body in chunks", asking({ "Transfer-Encoding": "chunked" }) + CHUNKED, 400],
  [9, "9112 6.1", "a length and a coding", asking({ "Content-Length": "4", "Transfer-Encoding": "chunked" }), 400],
  [9, "9112 6.3", "chunked that is not final", asking({ "Transfer-Encoding": "chunked, gzip" }) + CHUNKED, 400],
  [9, "9112 6.3", "a coding that is not chunked", asking({ "Transfer-Encoding": "gzip" }) + FRAME, 400],
  [9, "9112 6.3", "a length that is none", asking({ "Content-Length": "x" }), 400],
  [9, "9112 6.3", "a length with a sign", asking({ "Content-Length": "+0" }), 400],
  [9, "9112 6.3", "two lengths", asking({ "Content-Length": ["0", "5"] }), 400],
  [9, "9112 6.3", "a length of 2^64", asking({ "Content-Length": String(2n ** 64n) }), 400],
  [9, "9112 5.1", "white space before a colon", plus("X-A : b"), 400],
  [9, "9112 5.1", "white space before the colon of Host", upgradeRequest().replace("Host:", "Host :"), 400],
  [9, "9112 2.2", "a bare CR in a value", plus("X-A: a\rb"), 400],
  [9, "9112 2.2", "a bare CR between fields", plus("X-A: a\rX-B: b"), 400],
  [9, "9112 2.2", "a bare CR in the request line", first("GET /\r HTTP/1.1"), 400],
  [9, "9112 2.2", "white space before the first field", upgradeRequest().replace("\r\n", "\r\n X-A: b\r\n"), 400],
  [9, "9110 5.5", "a NUL in a value", plus("X-A: a\0b"), 400],
  [9, "9112 5.1", "a field without a name", plus(": b"), 400],
  [9, "9112 5.1", "a field without a colon", plus("a"), 400],
  // Where the RFC allows to refuse or to unfold, the server refuses, so that there is one way to read a request.
  [9, "9112 5.2", "a folded field", plus("X-A: a\r\n b"), 400],
  [9, "9112 5.2", "a folded list of subprotocols", plus("Sec-WebSocket-Protocol: a,\r\n\tb"), 400],
  [10, "9112 3.2", "a target that is neither path nor URL", first("GET * HTTP/1.1"), 400],
  [10, "9112 3.2", "a target with a fragment", asking({}, "/#a"), 400],
  [10, "9112 3.2.2", "a whole URL without a host", asking({}, "http:///"), 400],
  [12, "6455 10.2", "the origin of another host", asking({ Origin: "http://elsewhere.example" }), 403],
  [12, "6455 10.2", "an origin that is none", asking({ Origin: "null" }), 403],
  [12, "6455 10.2", "two origins", asking({ Origin: ["http://localhost", "http://elsewhere.example"] }), 403],
];

/** A request that opens a connection. */
export type Acceptance = readonly [row: number, clause: string, what: string, request: string, url?: string];

export const ACCEPTANCES: readonly Acceptance[] = [
  [3, "6455 4.2.1", "Upgrade among others", asking({ Upgrade: "h2c, WebSocket", Connection: "keep-alive, UPGRADE" })],
  [3, "9110 5.3", "lists in many fields", asking({ Upgrade: ["h2c", "websocket"], Connection: ["x", "upgrade"] })],
  [4, "6455 4.2.1", "a key whose last bits nobody reads", asking({ "Sec-WebSocket-Key": `${"/".repeat(22)}==` })],
  [8, "9112 6.3", "a body of no bytes", asking({ "Content-Length": "0" })],
  [9, "9112 2.2", "an empty line before the request", `\r\n${upgradeRequest()}`],
  [9, "9112 5.1", "a value without white space before it", upgradeRequest().replaceAll(": ", ":")],
  [9, "9112 5.1", "a value with much white space around it", upgradeRequest().replaceAll(/: (.*)\r/g, ": \t $1  \r")],
  [10, "9112 3.2.2", "a whole URL", asking({ Host: "other.example" }, "http://localhost/a?b"), "ws://localhost/a?b"],
  [10, "9112 3.2.2", "a whole URL without a path", asking({}, "http://localhost"), "ws://localhost/"],
  [10, "9112 3.2.2", "a whole URL in capitals", asking({}, "HTTP://LOCALHOST:80/a"), "ws://LOCALHOST:80/a"],
  [12, "6455 10.2", "no origin, as from whoever is no browser", upgradeRequest()],
  [12, "6455 10.2", "the origin of this host", asking({ Origin: "http://localhost" })],
  [12, "6455 10.2", "the origin of the URL", asking({ Origin: "http://a.example", Host: "b" }, "http://a.example/")],
];
