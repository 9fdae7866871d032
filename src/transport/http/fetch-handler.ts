/** Answers requests of node:http by a function from a WHATWG Request to a Response. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { asData } from "../../base/bytes.ts";
import { isObject, kindOf } from "../../base/forms.ts";
import { type ExtraHeaders, fieldsOf } from "../../engine/handshake/fields-to-send.ts";
import { authorityOf } from "../../engine/handshake/origin.ts";
import { setImmediate } from "../timers.ts";

export interface FetchHandlerOptions<Info> {
  readonly handler: (request: Request, info: Info) => Response | Promise<Response>;
  readonly infoOf: (request: IncomingMessage) => Info;
  /** Called with an error of the handler, of its response or of the response's body. Must not throw. */
  readonly failed: (error: unknown, request: IncomingMessage) => void;
}

// `new Request` refuses these methods.
const FORBIDDEN_METHODS: readonly string[] = ["CONNECT", "TRACE", "TRACK"];
const BODILESS_METHODS: readonly string[] = ["GET", "HEAD"];
// node:http writes these fields itself.
const CONNECTION_FIELDS: readonly string[] = ["transfer-encoding", "keep-alive"];
const CLIENT_LEFT = "the client has disconnected";

/** The part of a Response that is used. Any object of this form counts as a Response: of another realm, or of a framework. */
interface ResponseForm {
  readonly status: number;
  readonly statusText: string;
  readonly headers: ExtraHeaders;
  readonly body: ReadableStream<Uint8Array> | null;
}

/** Returns a listener for the `request` event of node:http. */
export function fetchListener<Info>(
  options: FetchHandlerOptions<Info>,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => void answer(options, request, response);
}

/** Never rejects. */
async function answer<Info>(
  { handler, infoOf, failed }: FetchHandlerOptions<Info>,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const { method = "GET" } = incoming;
  if (FORBIDDEN_METHODS.includes(method)) {
    outgoing.writeHead(501).end();
    return;
  }
  const left = new AbortController();
  const body = new RequestBody(incoming);
  let request = requestOf(incoming, left.signal, body);
  let complete = false;
  // `writableFinished` is true for a destroyed socket too. First in the list: node:http may destroy the socket of a complete response.
  outgoing.prependOnceListener("finish", () => {
    complete = !incoming.socket.destroyed;
  });
  outgoing.once("close", () => {
    if (!complete) left.abort(new DOMException(CLIENT_LEFT, "AbortError"));
    body.discard();
    // A Request follows a signal only while it is referenced. This listener is the reference until here.
    request = undefined;
  });
  if (request === undefined) {
    outgoing.writeHead(400, { Connection: "close" }).end();
    return;
  }
  try {
    const response = responseForm(await handler(request, infoOf(incoming)));
    await send(response, method, outgoing, left.signal);
  } catch (error) {
    // After the client has left, errors are the consequence of it.
    if (left.signal.aborted) return;
    failed(error, incoming);
    if (outgoing.headersSent) outgoing.destroy();
    else outgoing.writeHead(500, { Connection: "close" }).end("internal error\n");
  }
}

/** Returns undefined if the target, the Host field or another field is not valid. */
function requestOf(incoming: IncomingMessage, signal: AbortSignal, body: RequestBody): Request | undefined {
  const { method = "GET", url: target = "", headers: fields, rawHeaders } = incoming;
  const scheme = "encrypted" in incoming.socket ? "https" : "http";
  const { host } = fields;
  if (host !== undefined && authorityOf(host, scheme) === undefined) return undefined;
  try {
    const url = target.startsWith("/") ? new URL(`${scheme}://${host ?? "localhost"}${target}`) : new URL(target);
    if (url.protocol !== "http:" && url.protocol !== "https:") return undefined;
    const headers = new Headers();
    for (let index = 0; index + 1 < rawHeaders.length; index += 2)
      headers.append(rawHeaders[index] as string, rawHeaders[index + 1] as string);
    const stream = BODILESS_METHODS.includes(method) ? null : body.stream();
    // `duplex` is required for a stream as the body, and unknown to the types of Node 20.
    return new Request(url, { method, headers, body: stream, duplex: "half", signal } as RequestInit);
  } catch {
    return undefined;
  }
}

/** The body of a request as a stream. Reads nothing from the client unless the stream is read. */
class RequestBody {
  readonly #incoming: IncomingMessage;
  #stopWaiting: () => void = () => undefined;
  #discarded = false;

  constructor(incoming: IncomingMessage) {
    this.#incoming = incoming;
  }

  stream(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      { pull: (controller) => this.#pull(controller), cancel: () => this.discard() },
      { highWaterMark: 0 },
    );
  }

  /** Discards the rest of the body, so that the next request of the client can be read. A pending read of the stream rejects. */
  discard(): void {
    this.#discarded = true;
    this.#stopWaiting();
    // Later, because Node sets the mode of a stream in the tick after a listener was removed.
    setImmediate(() => this.#incoming.resume());
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    const incoming = this.#incoming;
    for (;;) {
      if (this.#discarded) throw new DOMException("the response was sent before the body was read", "AbortError");
      const chunk: Uint8Array | null = incoming.read();
      if (chunk !== null) {
        controller.enqueue(new Uint8Array(chunk));
        return;
      }
      if (incoming.complete && incoming.readableEnded) {
        controller.close();
        return;
      }
      if (incoming.destroyed) throw new DOMException(CLIENT_LEFT, "AbortError");
      await this.#change();
    }
  }

  /** Resolves when the stream has a chunk, has ended or was destroyed, or when the body is discarded. */
  #change(): Promise<void> {
    return new Promise((resolve) => {
      const names = ["readable", "end", "close", "error"] as const;
      const done = (): void => {
        for (const name of names) this.#incoming.off(name, done);
        resolve();
      };
      this.#stopWaiting = done;
      for (const name of names) this.#incoming.on(name, done);
    });
  }
}

function responseForm(response: unknown): ResponseForm {
  if (!isObject(response) || typeof response["status"] !== "number" || !isObject(response["headers"]))
    throw new TypeError(`Cannot answer with ${kindOf(response)}: expected a Response`);
  const { status, statusText = "", body = null } = response;
  if (!(Number.isInteger(status) && status >= 200 && status <= 599))
    throw new TypeError(`Cannot answer with status ${status}: expected 200 to 599`);
  if (body !== null && !(isObject(body) && typeof body["getReader"] === "function"))
    throw new TypeError(`Cannot answer with a body of ${kindOf(body)}: expected a ReadableStream or null`);
  return { status, statusText, body, headers: response["headers"] } as ResponseForm;
}

async function send(
  { status, statusText, headers, body }: ResponseForm,
  method: string,
  outgoing: ServerResponse,
  left: AbortSignal,
): Promise<void> {
  if (left.aborted) {
    await body?.cancel(left.reason);
    return;
  }
  outgoing.statusCode = status;
  if (statusText !== "") outgoing.statusMessage = statusText;
  // Each value of a repeated field, such as Set-Cookie, is a line of its own.
  for (const [name, value] of fieldsOf(headers))
    if (!CONNECTION_FIELDS.includes(name.toLowerCase())) outgoing.appendHeader(name, value);
  if (method === "HEAD" || body === null) {
    outgoing.end();
    await body?.cancel();
    return;
  }
  const reader = body.getReader();
  const cancel = (): void => void reader.cancel(left.reason).catch(() => undefined);
  left.addEventListener("abort", cancel, { once: true });
  try {
    await sendBody(reader, outgoing, left);
  } catch (error) {
    cancel();
    throw error;
  } finally {
    left.removeEventListener("abort", cancel);
  }
}

async function sendBody(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  outgoing: ServerResponse,
  left: AbortSignal,
): Promise<void> {
  let next = reader.read();
  // A body that comes later must not delay the fields.
  if ((await withinTurn(next)) === undefined) outgoing.flushHeaders();
  let { done, value } = await next;
  next = reader.read();
  // If the body is one chunk, its length is known, and node:http writes it instead of marks around the chunk.
  if (!done && !outgoing.headersSent && (await withinTurn(next))?.done) {
    outgoing.end(asData(value));
    return;
  }
  while (!done) {
    if (!outgoing.write(asData(value))) await drained(outgoing);
    if (left.aborted) return;
    ({ done, value } = await next);
    if (!done) next = reader.read();
  }
  outgoing.end();
}

/** Returns the result of `reading` if it is known within this event loop turn. */
async function withinTurn<Result>(reading: Promise<Result>): Promise<Result | undefined> {
  const turn = new Promise<undefined>((resolve) => void setImmediate(() => resolve(undefined)));
  return await Promise.race([reading, turn]);
}

/** Resolves when the response takes more bytes, or is closed. */
function drained(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      outgoing.off("drain", done).off("close", done);
      resolve();
    };
    outgoing.on("drain", done).on("close", done);
  });
}
