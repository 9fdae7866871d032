/** Reports openings to the observer: one event for each that succeeded, was refused, or failed before there was a request. */

import type { ConnectPhase } from "../../base/errors.ts";
import { type AcceptedEvent, type ConnectionEvent, guarded, type Observer } from "../../base/events.ts";
import type { Refusal } from "../../base/refusals.ts";
import type { Counters } from "../../connection/counters.ts";
import type { SettledOptions } from "../../connection/options.ts";
import type { HeaderFields } from "../../engine/handshake/fields-to-send.ts";
import { type FieldLines, fieldLines, type ReceivedFields, receivedFields } from "../../engine/handshake/header.ts";
import type { RequestFacts } from "../../engine/handshake/request.ts";
import { isPublished, publishEvent } from "../../transport/channels.ts";
import { pathOfTarget } from "../../transport/http/upgrade.ts";
import type { RefusedFacts, RefusedListener } from "../../transport/listen/refused-opening.ts";
import type { Endpoints } from "../../transport/transport.ts";

/** An opening handshake that succeeded on a server. */
export interface AcceptedOpening {
  readonly request: RequestFacts;
  readonly ends: Endpoints;
  readonly fields: HeaderFields;
  readonly offered: readonly string[];
  readonly subprotocol: string;
}

export class OpeningEvents implements RefusedListener {
  /** Undefined if there is no observer. */
  readonly #observer: Observer | undefined;
  readonly #counters: Counters;

  constructor({ observe, onError, counters }: Pick<SettledOptions, "observe" | "onError" | "counters">) {
    this.#observer =
      observe && guarded(observe, (error) => onError(error, { place: "observe", connection: undefined }));
    this.#counters = counters;
  }

  /** True if someone gets events: otherwise none is created. */
  get observed(): boolean {
    return this.#observer !== undefined || isPublished("refused");
  }

  phase(phase: ConnectPhase): void {
    this.#observer?.({ type: "phase", phase });
  }

  accepted({ request, ends: endpoints, fields, offered, subprotocol }: AcceptedOpening): void {
    if (!this.observed) return;
    this.#emit({
      type: "accepted",
      direction: "in",
      path: pathOfTarget(request.target),
      ...addressesOf(endpoints),
      offered,
      subprotocol,
      subprotocolMismatch: isMismatch(offered, subprotocol),
      requestHeaders: headersOf(request),
      ...responseOf(fields),
    });
  }

  refused(reason: Refusal, facts: () => RefusedFacts): void {
    this.#counters.refused[reason] += 1;
    this.report(reason, facts);
  }

  /** Reports an opening that is counted elsewhere: it belongs to several servers. */
  report(reason: Refusal, facts: () => RefusedFacts): void {
    if (!this.observed) return;
    const { detail, cause, endpoints, request, answer } = facts();
    this.#emit({
      type: "refused",
      direction: "in",
      reason,
      detail,
      cause,
      status: answer?.status,
      path: request && pathOfTarget(request.target),
      localAddress: endpoints?.localAddress,
      localPort: endpoints?.localPort,
      remoteAddress: endpoints?.remoteAddress,
      remotePort: endpoints?.remotePort,
      requestHeaders: request && headersOf(request),
      ...(answer === undefined ? { responseHeaders: undefined, setCookie: [] } : responseOf(answer.fields)),
    });
  }

  /**
   * Reports a server's response to our own request. `refusal`: the reason, as a sentence, if the response opens no connection.
   */
  answered(
    {
      path,
      offered,
      fields,
      ends: endpoints,
    }: { path: string; offered: readonly string[]; fields: HeaderFields; ends: Endpoints },
    { status, headers, setCookie }: ReceivedFields & { readonly status: number },
    refusal: string | undefined,
  ): void {
    if (refusal !== undefined) this.#counters.refused.answer += 1;
    if (!this.observed) return;
    const facts = {
      path: pathOfTarget(path),
      ...addressesOf(endpoints),
      requestHeaders: receivedFields(linesOf(fields)).headers,
    } as const;
    if (refusal === undefined) {
      const subprotocol = headers["sec-websocket-protocol"] ?? "";
      const agreed = { offered, subprotocol, subprotocolMismatch: isMismatch(offered, subprotocol) };
      this.#emit({ type: "accepted", direction: "out", ...facts, ...agreed, responseHeaders: headers, setCookie });
    } else {
      const why = { reason: "answer", detail: refusal, cause: undefined, status } as const;
      this.#emit({ type: "refused", direction: "out", ...why, ...facts, responseHeaders: headers, setCookie });
    }
  }

  #emit(event: ConnectionEvent): void {
    publishEvent(event);
    this.#observer?.(event);
  }
}

/** An opening that belongs to no single server was refused: it counts once, and each observer gets the event. */
export function refusedBySeveral(all: Iterable<OpeningEvents>, reason: Refusal, facts: () => RefusedFacts): void {
  let counted = false;
  for (const events of all) {
    if (counted) events.report(reason, facts);
    else events.refused(reason, facts);
    counted = true;
  }
}

function isMismatch(offered: readonly string[], subprotocol: string): boolean {
  return offered.length > 0 && subprotocol === "";
}

function addressesOf({ localAddress, localPort, remoteAddress, remotePort }: Endpoints): Omit<Endpoints, "secure"> {
  return { localAddress, localPort, remoteAddress, remotePort };
}

/** Returns all header fields of a request by name in lower case. */
export function headersOf({ rawHeaders }: RequestFacts): Readonly<Record<string, string>> {
  return receivedFields(fieldLines(rawHeaders) ?? new Map()).headers;
}

function responseOf(fields: HeaderFields): Pick<AcceptedEvent, "responseHeaders" | "setCookie"> {
  const { headers, setCookie } = receivedFields(linesOf(fields));
  return { responseHeaders: headers, setCookie };
}

function linesOf(fields: HeaderFields): FieldLines {
  return fieldLines(fields.flat()) ?? new Map();
}
