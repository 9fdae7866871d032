/** The checks of the opening handshake: what the server answers to a valid request, and to requests that it must refuse. */

import { DEFLATE } from "../../engine/deflate/negotiation.ts";
import { printableLine } from "../terminal.ts";
import type { CheckResult } from "./finding.ts";
import { hopsSeen } from "./hops.ts";
import { leave } from "./raw-stream.ts";
import { type ProbeTarget, tlsFacts, Unreachable, type Upgraded } from "./target.ts";

// Days before the end of a certificate. Automatic renewals are due 30 days before it.
const RENEWED_BEFORE = 14;

const DAY = 86_400_000;

// In characters. The rest of a line of the report needs room too.
const LONGEST_VALUE = 120;

// A name in `.invalid` never exists (RFC 6761 section 6.4), so no server has a reason to accept it.
const FOREIGN_ORIGIN = "https://holdfast-doctor.invalid";

/** A string of the server, in one line without control characters. */
export function shown(text: string): string {
  return printableLine(text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}...` : text);
}

export const milliseconds = (length: number): string => `${length < 10 ? length.toFixed(1) : Math.round(length)} ms`;

export function reach({ phases }: Pick<Upgraded, "phases">, place: string): CheckResult {
  const lengths = Object.entries(phases).map(([phase, length]) => `${phase} ${milliseconds(length ?? 0)}`);
  return { level: "ok", text: `${place}: ${lengths.join(", ")}`, facts: { address: place, phases } };
}

/** Undefined without TLS. */
export function certificate({ stream }: Pick<Upgraded, "stream">): CheckResult | undefined {
  const facts = tlsFacts(stream);
  if (facts === undefined) return undefined;
  const { version, cipher, validTo } = facts;
  const issuer = shown(facts.issuer);
  const days = Math.floor((validTo.getTime() - Date.now()) / DAY);
  const end = validTo.toISOString().slice(0, 10);
  const text = `${days < 0 ? "has ended" : `valid for ${days} days`}, until ${end}, from ${issuer}; ${version}, ${cipher}`;
  const change = days < RENEWED_BEFORE ? "renew the certificate, and check its automatic renewal" : undefined;
  return {
    level: change === undefined ? "ok" : "fault",
    text,
    change,
    facts: { days, until: validTo.toISOString(), issuer, version },
  };
}

export function handshake({ answer, judged }: Upgraded): CheckResult {
  const { status, headers } = answer;
  const hops = hopsSeen(answerFields(answer));
  const facts = { status, server: headers["server"] && shown(headers["server"]), hops };
  if (!judged.agreed) {
    const clause = judged.clause === undefined ? "" : ` (${judged.clause})`;
    return {
      level: "fault",
      text: `${judged.problem}${clause}`,
      change:
        status === 101 ? "correct the answer of the server, or of the proxy that changes it" : refusalAdvice(answer),
      facts,
    };
  }
  const server = headers["server"] === undefined ? "" : `; server: ${shown(headers["server"])}`;
  const seen = hops.length === 0 ? "" : `; on the way: ${hops.join(", ")}`;
  const protocol = judged.protocol === "" ? "" : `, subprotocol ${shown(judged.protocol)}`;
  return { level: "ok", text: `101, and Sec-WebSocket-Accept is right${protocol}${server}${seen}`, facts };
}

/** The fields of an answer, with the lines of Set-Cookie, which the record of the library leaves out. */
export function answerFields({ headers, setCookie }: Upgraded["answer"]): Readonly<Record<string, string>> {
  return { ...headers, "set-cookie": setCookie.join("; ") };
}

const LOST_FIELDS =
  'a proxy that drops Upgrade and Connection causes this: nginx needs proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade and proxy_set_header Connection "upgrade"';

function refusalAdvice({ status, headers }: Upgraded["answer"]): string {
  if (status >= 300 && status < 400) return `use the address of its Location: ${shown(headers["location"] ?? "none")}`;
  if (status === 200 || status === 400 || status === 426) return `use the path that accepts WebSocket; ${LOST_FIELDS}`;
  if (status === 401) return 'send credentials: --header "Authorization: ..."';
  if (status === 403) return "send what the server requires: --origin, or credentials by --header";
  if (status === 404) return "use the path that accepts WebSocket";
  if (status === 429) return "wait, or raise the server's limit for one address";
  return "see the logs of the server, and of the proxy before it";
}

export function compression({ judged }: Upgraded): CheckResult {
  if (!judged.agreed) return { level: "note", text: "not known" };
  const agreed = judged.extensions.find(({ name }) => name === DEFLATE);
  if (agreed === undefined) {
    const text = `${DEFLATE} was offered, and not accepted`;
    return { level: "note", text, facts: { accepted: false } };
  }
  const params = Array.from(agreed.params, ([name, value]) => (value === true ? name : `${name}=${value}`));
  const text = `${DEFLATE} was offered and accepted${params.length === 0 ? "" : `: ${shown(params.join(", "))}`}`;
  return { level: "ok", text, facts: { accepted: true, parameters: params } };
}

/** Of an answer to a request that offers nothing. */
export function unoffered({ judged, answer }: Upgraded): CheckResult {
  if (judged.agreed) return { level: "ok", text: "no extension and no subprotocol without an offer" };
  const { problem } = judged;
  if (answer.status !== 101) {
    const text = `a request without offers is refused: ${problem}`;
    return { level: "note", text, facts: { status: answer.status } };
  }
  return {
    level: "fault",
    text: problem,
    change: "choose only what the client has offered: others end the connection",
  };
}

/** A request that must be refused, and how its refusal is judged. */
interface WrongRequest {
  readonly fields: Readonly<Record<string, string | undefined>>;
  readonly judge: (status: number, version: string) => CheckResult;
}

const accepted = (what: string): CheckResult => ({
  level: "fault",
  text: `${what} is accepted with 101`,
  change: "check the request as RFC 6455 section 4.2.1 requires, or use a WebSocket library that does",
  facts: { status: 101 },
});

const refusedWith = (what: string, status: number, expected: readonly number[]): CheckResult => ({
  level: expected.includes(status) ? "ok" : "note",
  text: `${what} is refused with ${status}${expected.includes(status) ? "" : `, where ${expected.join(" or ")} is usual`}`,
  facts: { status },
});

const WRONG_REQUESTS: Readonly<Record<"version" | "key" | "upgrade", WrongRequest>> = {
  version: {
    fields: { "Sec-WebSocket-Version": "12" },
    judge: (status, version) => {
      const what = "Sec-WebSocket-Version: 12";
      if (status === 101) return accepted(what);
      const supported = version.split(",").some((one) => one.trim() === "13");
      if (status === 426 && supported) {
        return {
          level: "ok",
          text: `${what} is refused with 426, which names ${shown(version)}`,
          facts: { status, version },
        };
      }
      const text = `${what} is refused with ${status}, ${supported ? "which names 13" : "which does not name 13"}`;
      const change = "answer 426 with Sec-WebSocket-Version: 13 (RFC 6455 section 4.4)";
      return { level: "note", text, change, facts: { status, version: shown(version) } };
    },
  },
  key: {
    fields: { "Sec-WebSocket-Key": undefined },
    judge: (status) =>
      status === 101
        ? accepted("a request without Sec-WebSocket-Key")
        : refusedWith("a request without Sec-WebSocket-Key", status, [400, 426]),
  },
  upgrade: {
    fields: { Upgrade: undefined, Connection: "close" },
    judge: (status) =>
      status === 101
        ? accepted("a request without Upgrade")
        : status < 400
          ? { level: "note", text: `a request without Upgrade is answered with ${status}`, facts: { status } }
          : refusedWith("a request without Upgrade", status, [400, 404, 426]),
  },
};

/** Sends one of the wrong requests on a connection of its own. */
export async function wrongRequest(target: ProbeTarget, name: "version" | "key" | "upgrade"): Promise<CheckResult> {
  const { fields, judge } = WRONG_REQUESTS[name];
  return answered(target, fields, ({ answer }) => judge(answer.status, answer.headers["sec-websocket-version"] ?? ""));
}

export async function origin(target: ProbeTarget): Promise<CheckResult> {
  return answered(target, { Origin: FOREIGN_ORIGIN }, ({ answer: { status } }) => {
    if (status !== 101)
      return { level: "ok", text: `the foreign Origin ${FOREIGN_ORIGIN} is refused with ${status}`, facts: { status } };
    return {
      level: "fault",
      text: `the foreign Origin ${FOREIGN_ORIGIN} is accepted: a page of any site can open a connection with the cookies of its visitor (cross-site WebSocket hijacking)`,
      change: "accept only the origins of your pages; if no cookie or network position gives access, --skip origin",
      facts: { status },
    };
  });
}

async function answered(
  target: ProbeTarget,
  fields: Readonly<Record<string, string | undefined>>,
  judge: (upgraded: Upgraded) => CheckResult,
): Promise<CheckResult> {
  try {
    const upgraded = await target.upgrade({ fields });
    if (upgraded.raw !== undefined) await leave(upgraded.raw);
    upgraded.stream.destroy();
    return judge(upgraded);
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    // It is not accepted, but a client cannot tell why.
    return { level: "note", text: `no answer of HTTP: ${shown(error.message)}` };
  }
}
