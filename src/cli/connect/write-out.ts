/** `--write-out`: a line about the whole session, of a form that the user chooses, after its end. */

import { UsageError } from "../flags.ts";
import { printableLine } from "../terminal.ts";
import { endInWords } from "./outcome.ts";
import type { Phases, SessionEvent } from "./transcript.ts";

/** Counts what `--write-out` can show, from the events of a session. */
export class SessionSummary {
  #phases: Phases = {};
  #opens = 0;
  #connectingAt = 0;
  #openAt: number | undefined;
  #openingTime = 0;
  #firstMessage: number | undefined;
  #rtt: number | undefined;
  #last = 0;
  readonly #messages = { in: 0, out: 0 };
  readonly #bytes = { in: 0, out: 0 };
  #end: Extract<SessionEvent, { readonly type: "close" }> | undefined;

  count(event: SessionEvent): void {
    this.#last = event.at;
    if (event.type === "connecting") this.#connectingAt = event.at;
    else if (event.type === "open") this.#opened(event.phases, event.at);
    else if (event.type === "pong") this.#rtt = event.rtt;
    else if (event.type === "close") this.#end = event;
    else if (event.type === "message") {
      const { direction, message } = event;
      this.#messages[direction] += 1;
      this.#bytes[direction] += Buffer.byteLength(message);
      if (direction === "in") this.#firstMessage ??= event.at - (this.#openAt ?? event.at);
    }
  }

  #opened(phases: Phases, at: number): void {
    this.#opens += 1;
    this.#phases = phases;
    this.#openAt = at;
    this.#openingTime = at - this.#connectingAt;
  }

  /** Every field and its value. Durations are in milliseconds; what did not happen is 0 or empty. */
  fields(status: number): Readonly<Record<keyof typeof FIELDS, string>> {
    const time = (length: number | undefined): string => (length ?? 0).toFixed(3);
    const { dns, queue = 0, tcp, proxy = 0, tls, upgrade } = this.#phases;
    return {
      dns: time(dns),
      tcp: time(tcp === undefined ? undefined : tcp + queue),
      proxy: time(proxy),
      tls: time(tls),
      upgrade: time(upgrade),
      open: time(this.#openingTime),
      first_message: time(this.#firstMessage),
      total: time(this.#last),
      rtt: time(this.#rtt),
      connections: String(this.#opens),
      messages_in: String(this.#messages.in),
      messages_out: String(this.#messages.out),
      bytes_in: String(this.#bytes.in),
      bytes_out: String(this.#bytes.out),
      code: String(this.#end?.code ?? 0),
      reason: printableLine(this.#end?.reason ?? ""),
      by: this.#end?.by ?? "",
      end: this.#end === undefined ? "" : endInWords(this.#end),
      status: String(status),
    };
  }
}

/** The fields of `--write-out`, and their meaning. */
export const FIELDS = {
  dns: "milliseconds until the name was resolved",
  tcp: "until TCP was connected, from then on",
  proxy: "until the proxy had connected",
  tls: "until TLS was complete",
  upgrade: "until the upgrade was answered",
  open: "all of these together",
  first_message: "from the open connection to the first received message",
  total: "of the whole command",
  rtt: "round trip of the last Ping (--ping)",
  connections: "connections that were opened",
  messages_in: "received messages",
  messages_out: "sent messages",
  bytes_in: "their bytes",
  bytes_out: "their bytes",
  code: "close code; 0 if nothing was open",
  reason: "close reason",
  by: "the side that began to close: local or peer",
  end: "the end in words",
  status: "exit status",
} as const;

const VARIABLE = /%\{(\w+)\}/g;

/** Checks the fields of a format. Throws UsageError for one that does not exist. */
export function checkWriteOut(format: string): void {
  for (const [whole, name = ""] of format.matchAll(VARIABLE)) {
    if (Object.hasOwn(FIELDS, name)) continue;
    throw new UsageError(`cannot use ${whole} in --write-out: expected one of ${Object.keys(FIELDS).join(", ")}`);
  }
}

/** Fills in the format. `\n`, `\t` and `\\` are a newline, a tab and a backslash; there is no newline at the end unless it has one. */
export function writeOut(format: string, fields: Readonly<Record<string, string>>): string {
  const escapes: Readonly<Record<string, string>> = { n: "\n", t: "\t", "\\": "\\" };
  return format
    .replace(/\\([nt\\])/g, (_, letter: string) => escapes[letter] ?? "")
    .replace(VARIABLE, (_, name: string) => fields[name] ?? "");
}
