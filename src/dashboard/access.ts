/** Decides which requests may read the dashboard. */

import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { isLoopbackIp, parseIp } from "../base/ip-address.ts";
import { originAllowed } from "../engine/handshake/origin.ts";
import type { SettledDashboard } from "./options.ts";

/** What is known of a request. */
export interface AskedRequest {
  readonly path: string;
  /** The field Host. */
  readonly host: string;
  readonly origin: string | undefined;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly remoteAddress: string;
}

/** Why a request is refused. */
export interface AccessRefusal {
  readonly status: 401 | 403 | 421;
  /** For people, one line. */
  readonly text: string;
}

const COOKIE = "holdfast_dashboard";

/** Header fields that a proxy adds. A request with one of them came from elsewhere, also if its socket is from this machine. */
const FORWARDED = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];

export class Access {
  readonly #options: Pick<SettledDashboard, "token" | "authorize" | "hosts" | "path">;
  readonly #hosts: ReadonlySet<string>;

  constructor(options: Pick<SettledDashboard, "token" | "authorize" | "hosts" | "path">) {
    this.#options = options;
    this.#hosts = new Set(["localhost", ...options.hosts.map((host) => host.toLowerCase())]);
  }

  /** Undefined: the request is allowed. Never throws. */
  judge(request: AskedRequest): AccessRefusal | undefined | Promise<AccessRefusal | undefined> {
    const { token, authorize } = this.#options;
    const { host, origin, headers, remoteAddress } = request;
    const name = hostnameOf(host);
    if (name === undefined || !(this.#hosts.has(name) || isIpLiteral(name)))
      return refusal(
        421,
        `the host ${JSON.stringify(host.slice(0, 100))} is not known: the option hosts has those that may be used`,
      );
    if (!originAllowed(origin, host, "same-host"))
      return refusal(403, "a page of another origin may not use the dashboard");
    if (authorize !== undefined) return decided(authorize, request);
    if (token !== undefined) {
      if (sameText(bearerOf(headers) ?? "", token) || sameText(cookieOf(headers) ?? "", sessionOf(token)))
        return undefined;
      return refusal(401, "a token is needed: open the page with ?token=TOKEN, or send Authorization: Bearer TOKEN");
    }
    if (!isLoopbackIp(remoteAddress))
      return refusal(403, "without a token the dashboard is only for clients on its machine");
    const field = FORWARDED.find((one) => headers[one] !== undefined);
    if (field === undefined) return undefined;
    return refusal(
      403,
      `the request came through a proxy (it has ${field}): without a token the dashboard is only for clients on its machine`,
    );
  }

  /** The cookie for a browser that has the token in its URL. Undefined if `given` is not the token. */
  cookieFor(given: string, secure: boolean): string | undefined {
    const { token, path } = this.#options;
    if (token === undefined || !sameText(given, token)) return undefined;
    // Derived from the token alone, so that the page still has access when the process has restarted.
    const attributes = ["HttpOnly", "SameSite=Strict", `Path=${path}`, ...(secure ? ["Secure"] : [])];
    return [`${COOKIE}=${sessionOf(token)}`, ...attributes].join("; ");
  }
}

function refusal(status: AccessRefusal["status"], text: string): AccessRefusal {
  return { status, text };
}

async function decided(
  authorize: NonNullable<SettledDashboard["authorize"]>,
  { path, headers, remoteAddress }: AskedRequest,
): Promise<AccessRefusal | undefined> {
  const denied = refusal(403, "not allowed");
  try {
    return (await authorize({ path, headers, remoteAddress })) === true ? undefined : denied;
  } catch {
    return denied;
  }
}

/** The name or address in a field Host, in lower case and without brackets. */
function hostnameOf(host: string): string | undefined {
  if (!/^[\w.\-[\]:]+$/.test(host) || !URL.canParse(`http://${host}/`)) return undefined;
  return new URL(`http://${host}/`).hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
}

function isIpLiteral(name: string): boolean {
  return parseIp(name) !== undefined;
}

function bearerOf(headers: AskedRequest["headers"]): string | undefined {
  return /^Bearer +(.*)$/i.exec(headers["authorization"] ?? "")?.[1];
}

function cookieOf(headers: AskedRequest["headers"]): string | undefined {
  const pairs = (headers["cookie"] ?? "").split(";").map((pair) => pair.trim());
  return pairs.find((pair) => pair.startsWith(`${COOKIE}=`))?.slice(COOKIE.length + 1);
}

function sessionOf(token: string): string {
  return createHmac("sha256", token).update("holdfast dashboard").digest("hex");
}

/** Compares digests, which have the same length: the time of the comparison tells nothing about the text. */
function sameText(given: string, expected: string): boolean {
  const digest = (text: string): Uint8Array => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
