/** The word for what an attempt to connect came to, from its failure. */

import type { AttemptOutcome } from "../base/attempt-outcomes.ts";
import { HandshakeError, TimeoutError, TransportError } from "../core.ts";
import type { Failure } from "./cause.ts";

const PHASES: Readonly<Record<string, AttemptOutcome>> = {
  dns: "dns",
  tcp: "unreachable",
  proxy: "proxy",
  upgrade: "unreachable",
};

export function attemptOutcome({ kind, phase, status, error }: Failure): AttemptOutcome {
  if (kind === "target") return "target";
  if (error instanceof TimeoutError) return "timeout";
  if (kind === "misuse" || !(error instanceof HandshakeError)) return "other";
  if (phase === "proxy") return "proxy";
  if (status !== undefined) return "status";
  if (error.cause instanceof TransportError && error.cause.errno === "ECONNREFUSED") return "refused";
  if (phase === "tls") return kind === "tls" ? "tls" : "unreachable";
  return PHASES[phase] ?? "other";
}
