/** One probe of a server: the order of the checks, and on which connection each is. */

import { UsageError } from "../flags.ts";
import type { CheckResult, ProbeCheck, ProbeFinding } from "./finding.ts";
import type { ProbeSettings } from "./flags.ts";
import { closeAnswer, messageSize, pingAnswer, wrongFrame } from "./frame-checks.ts";
import { idle } from "./idle-check.ts";
import {
  answerFields,
  certificate,
  compression,
  handshake,
  origin,
  reach,
  shown,
  unoffered,
  wrongRequest,
} from "./opening-checks.ts";
import { leave, RawStream } from "./raw-stream.ts";
import { ProbeTarget, Unreachable, type Upgraded } from "./target.ts";

/** The exit status for each result. */
export const PROBE_STATUSES: Readonly<Record<"sound" | "fault" | "unreachable", number>> = {
  ...{ sound: 0, fault: 1, unreachable: 3 },
};

/** The result of a whole probe. */
export interface ProbeReport {
  readonly ok: boolean;
  readonly url: string;
  /** The address that answered; empty if none did. */
  readonly address: string;
  /** How many connections were opened. */
  readonly connections: number;
  readonly findings: readonly ProbeFinding[];
  readonly status: number;
}

export class ProbeRun {
  readonly #settings: ProbeSettings;
  readonly #target: ProbeTarget;
  readonly #findings: ProbeFinding[] = [];
  readonly #sink: (finding: ProbeFinding) => void;

  /** `sink` is called with each finding when it is known. Throws UsageError for a wrong URL or field. */
  constructor(settings: ProbeSettings, sink: (finding: ProbeFinding) => void) {
    this.#settings = settings;
    this.#sink = sink;
    this.#target = asUsage(() => new ProbeTarget(settings));
  }

  /** Probes the server. */
  async all(): Promise<ProbeReport> {
    const status = await this.#checks();
    const { connections, place } = this.#target;
    const facts = { url: this.#settings.url, address: place, connections, findings: this.#findings };
    return { ok: status === PROBE_STATUSES["sound"], ...facts, status };
  }

  async #checks(): Promise<number> {
    try {
      await (this.#target.address.protocol === "tcp" ? this.#tcp() : this.#webSocket());
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      const change = "check the name, the port, the scheme, and the firewalls and proxies on the way";
      this.#report("reach", { level: "fault", text: shown(error.message), change });
      return PROBE_STATUSES.unreachable;
    }
    return this.#findings.some(({ level }) => level === "fault") ? PROBE_STATUSES.fault : PROBE_STATUSES.sound;
  }

  async #tcp(): Promise<void> {
    const { idle: longest, timeout } = this.#settings;
    const opened = await this.#target.dial();
    const raw = new RawStream(opened.stream, new Uint8Array(), false, false);
    this.#report("reach", reach(opened, this.#target.place));
    this.#report("certificate", certificate(opened));
    if (longest > 0) await this.#check("idle", () => idle(raw, longest, timeout, {}, false));
    raw.destroy();
  }

  async #webSocket(): Promise<void> {
    const { timeout, maxMessage, idle: longest } = this.#settings;
    const first = await this.#target.upgrade({ offers: true });
    this.#report("reach", reach(first, this.#target.place));
    this.#report("certificate", certificate(first));
    this.#report("handshake", handshake(first));
    const { raw, judged, answer } = first;
    // Without an upgrade there is nothing more to ask: each further request would be refused too.
    if (raw === undefined || !judged.agreed) {
      first.stream.destroy();
      return;
    }
    this.#report("compression", compression(first));
    await this.#check("ping", () => pingAnswer(raw, timeout));
    await this.#check("close", () => closeAnswer(raw, timeout));
    await leave(raw);
    if (this.#wants("unoffered") || this.#wants("reserved-bits")) {
      await this.#upgraded(["unoffered", "reserved-bits"], async (upgraded, stream) => {
        this.#report("unoffered", unoffered(upgraded));
        if (stream !== undefined)
          await this.#check("reserved-bits", () => wrongFrame(stream, "reserved-bits", timeout));
      });
    }
    for (const name of ["version", "key", "upgrade"] as const)
      await this.#check(name, () => wrongRequest(this.#target, name));
    await this.#check("origin", () => origin(this.#target));
    for (const name of ["masking", "utf8"] as const)
      await this.#framed(name, (stream) => wrongFrame(stream, name, timeout));
    if (maxMessage > 0) await this.#framed("message-size", (stream) => messageSize(stream, maxMessage, timeout));
    if (longest > 0) await this.#framed("idle", (stream) => idle(stream, longest, timeout, answerFields(answer), true));
  }

  #wants(check: ProbeCheck): boolean {
    return !this.#settings.skip.has(check);
  }

  async #check(check: ProbeCheck, run: () => Promise<CheckResult>): Promise<void> {
    if (this.#wants(check)) this.#report(check, await run());
  }

  /** A check on a connection of its own. */
  async #framed(check: ProbeCheck, run: (stream: RawStream) => Promise<CheckResult>): Promise<void> {
    if (!this.#wants(check)) return;
    await this.#upgraded([check], async ({ answer }, stream) => {
      const refused: CheckResult = { level: "note", text: `not tested: the server answered ${answer.status}` };
      this.#report(check, stream === undefined ? refused : await run(stream));
    });
  }

  /** Opens a connection for `checks`. If that fails now, where it did not before, it is a fact about each of them. */
  async #upgraded(
    checks: readonly ProbeCheck[],
    use: (upgraded: Upgraded, stream: RawStream | undefined) => Promise<void>,
  ): Promise<void> {
    let upgraded: Upgraded;
    try {
      upgraded = await this.#target.upgrade();
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      const verdict: CheckResult = { level: "note", text: `not tested: ${shown(error.message)}` };
      for (const check of checks) this.#report(check, verdict);
      return;
    }
    try {
      await use(upgraded, upgraded.raw);
      if (upgraded.raw !== undefined) await leave(upgraded.raw);
    } finally {
      upgraded.stream.destroy();
    }
  }

  #report(check: ProbeCheck, verdict: CheckResult | undefined): void {
    if (verdict === undefined || !this.#wants(check)) return;
    const finding: ProbeFinding = { check, ...verdict };
    this.#findings.push(finding);
    this.#sink(finding);
  }
}

/** The library's TypeError about an address or a field as an error of use. */
function asUsage<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
