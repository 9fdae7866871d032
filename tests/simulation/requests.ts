/** Opening requests that a server refuses, and those after which a hook throws; each with the answer that the client must get. */

import type { Duplex } from "node:stream";
import type { Refusal } from "../../src/base/refusals.ts";
import type { Endpoints } from "../../src/transport/transport.ts";
import { FAULTY, FILL, THROWING } from "./faulty-server.ts";
import { masked, undisturbed } from "./raw.ts";
import type { Machine, World } from "./world.ts";

interface Opening {
  /** The reason that the server must report. Undefined if the connection opens. */
  readonly reason: Refusal | undefined;
  /** The status of the answer. Empty if there is none. */
  readonly status: string;
  readonly bytes: string | Buffer;
  readonly after?: "destroy";
  /** Frames behind the answer 101, and the code with which the connection must end. */
  readonly frames?: Buffer;
  readonly code?: number;
}

/** A valid request; `change` replaces a part of it. */
function request(target: string, from = "", to = ""): string {
  const valid = `GET ${target} HTTP/1.1\r\nHost: server\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`;
  return valid.replace(from, to);
}

const header = (line: string): string => request("/any", "Upgrade: websocket", `Upgrade: websocket\r\n${line}`);

const refused = (reason: Refusal, status: number | "none", bytes: string): Opening => ({
  ...{ reason, status: status === "none" ? "" : String(status), bytes },
});

const FRAMES: Readonly<Record<(typeof THROWING)[number], Buffer>> = {
  open: Buffer.alloc(0),
  message: masked(0x81, "hello"),
  ping: masked(0x89, ""),
  pong: masked(0x8a, ""),
  closing: masked(0x88, Buffer.from([3, 232])),
  close: masked(0x88, Buffer.from([3, 232])),
  highWater: masked(0x81, FILL),
  lowWater: masked(0x81, FILL),
};

const OPENINGS: readonly Opening[] = [
  refused("upgrade", 426, request("/any", "Upgrade: websocket\r\n", "")),
  refused("httpVersion", 426, request("/any", "HTTP/1.1", "HTTP/1.0")),
  refused("version", 426, request("/any", "13", "12")),
  refused("method", 405, request("/any", "GET", "POST")),
  refused("request", 400, request("/any", "AAAA==", "==")),
  refused("headers", 431, header(`X-Long: ${"x".repeat(17_000)}`)),
  refused("origin", 403, header("Origin: http://foe")),
  refused("failed", 500, header("Origin: http://throw-origin")),
  refused("authorize", 403, request("/any?deny")),
  refused("authorizeTimeout", 503, request("/any?never")),
  refused("failed", 500, request("/any?throw-authorize")),
  refused("path", 404, request("/other")),
  refused("silence", "none", ""),
  refused("incomplete", "none", request("/any").slice(0, 40)),
  { ...refused("disconnected", "none", request("/any?never")), after: "destroy" },
  { reason: undefined, status: "101", bytes: request("/any"), frames: masked(0x82, "bytes"), code: 1003 },
  ...THROWING.map((name) => ({
    ...{ reason: undefined, status: "101", bytes: request(`/any?throw-${name}`), frames: FRAMES[name] },
    code: /^clos/.test(name) ? 1000 : 1011,
  })),
];

/** Sends one of the requests, and judges the answer. */
export function sendRequest(world: World, from: Machine, choice: number): void {
  if (!from.alive || from.frozen) return;
  const opening = OPENINGS[choice % OPENINGS.length] as Opening;
  const server = world.machine("server");
  const since = world.loop.time;
  // What is on its way on a slow link stays slow, also when the link is healed.
  const links = [world.net.link("server", from.name), world.net.link(from.name, "server")];
  const slow = links.some(({ latency, rate }) => latency > 100 || rate !== Infinity);
  const stream: Duplex = from.host.connect({ host: server.host.address, port: FAULTY.ws });
  let answer = "";
  let framed = false;
  stream.on("error", () => undefined);
  stream.on("data", (chunk: Buffer) => {
    answer += chunk.toString("latin1");
    if (framed || !answer.startsWith("HTTP/1.1 101") || !answer.includes("\r\n\r\n")) return;
    framed = true;
    stream.write(opening.frames ?? Buffer.alloc(0));
  });
  stream.once("connect", () => {
    const { localAddress, localPort } = (stream as unknown as { endpoints: Endpoints }).endpoints;
    if (opening.bytes.length > 0) stream.write(opening.bytes);
    if (opening.after === "destroy") world.loop.after(300, () => stream.destroy());
    world.loop.after(2 * world.limits.openTimeout + 3_500, () => {
      if (slow || !undisturbed(world, since, server, from) || !world.faultyServes || world.faultySince > since) return;
      judge(world, opening, `${localAddress}:${localPort}`, answer);
    });
  });
}

function judge(world: World, { reason, status, code }: Opening, address: string, answer: string): void {
  const reported = world.refusals.get(address);
  // These depend on what else the server has to do.
  if (reported === "capacity" || reported === "closing") return;
  const got = answer.slice(9, 12);
  if (reported !== reason) world.oracle.wrong("R1 another reason", `${address}: ${reported}, not ${reason}`);
  if (got !== status && reason !== "disconnected")
    world.oracle.wrong("R2 another answer", `${address}: "${got}", not "${status}" (${reason})`);
  if (code === undefined) return;
  const end = world.oracle.ends.find(
    ({ role, connection }) => role === "server" && `${connection.remoteAddress}:${connection.remotePort}` === address,
  );
  const ended = end?.info?.code;
  const limit = (end?.info?.cause as { readonly limit?: string } | undefined)?.limit;
  if (ended !== code && limit === undefined && end !== undefined)
    world.oracle.wrong("R3 another end", `${address}: ${ended}, not ${code}`);
}
