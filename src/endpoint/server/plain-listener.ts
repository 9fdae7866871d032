/** Makes one listener for plain HTTP requests from the option `fetch` or `request`. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { judgeFunction } from "../../base/judge.ts";
import type { SettledOptions } from "../../connection/options.ts";
import { forwardedClient, settleTrustProxy } from "../../engine/handshake/forwarded.ts";
import { fetchListener } from "../../transport/http/fetch-handler.ts";
import { pathOfTarget } from "../../transport/http/upgrade.ts";
import { rawEndpointsOf } from "../../transport/listen/refused-opening.ts";
import type { FetchInfo, HttpOptions, UpgradeOptions } from "../options.ts";

type RequestListener = (request: IncomingMessage, response: ServerResponse) => void;

/**
 * Returns undefined if there is neither option. Throws TypeError for both, and for a value that is not a function. The listener
 * never throws: errors are passed to `onError`.
 */
export function plainListener(
  { fetch, request: listener, trustProxy }: HttpOptions & Pick<UpgradeOptions, "trustProxy">,
  { onError }: Pick<SettledOptions, "onError">,
): RequestListener | undefined {
  if (fetch !== undefined) judgeFunction("fetch", fetch);
  if (listener !== undefined) judgeFunction("request", listener);
  const trusted = settleTrustProxy(trustProxy);
  const infoOf = (raw: IncomingMessage): FetchInfo => {
    const { remoteAddress, remotePort, secure } = rawEndpointsOf(raw.socket);
    const client = trusted && forwardedClient(trusted, raw.rawHeaders, remoteAddress);
    return { remoteAddress, remotePort, secure, ...client, raw };
  };
  const failed = (error: unknown, request: IncomingMessage): void => {
    const { remoteAddress, remotePort } = infoOf(request);
    const path = pathOfTarget(request.url ?? "");
    onError(error, { place: "request", connection: undefined, path, remoteAddress, remotePort });
  };
  if (fetch !== undefined) {
    if (listener !== undefined) throw new TypeError("Cannot use both fetch and request: expected one of them");
    return fetchListener({ handler: fetch, infoOf, failed });
  }
  if (listener === undefined) return undefined;
  const answerFailure = (error: unknown, request: IncomingMessage, response: ServerResponse): void => {
    // After the client has left, errors are the consequence of it.
    if (request.socket.destroyed) return;
    failed(error, request);
    if (response.headersSent) response.destroy();
    else response.writeHead(500, { Connection: "close" }).end("internal error\n");
  };
  return (request, response) => {
    try {
      Promise.resolve(listener(request, response)).catch((error) => answerFailure(error, request, response));
    } catch (error) {
      answerFailure(error, request, response);
    }
  };
}
