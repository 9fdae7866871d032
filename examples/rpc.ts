/**
 * JSON-RPC 2.0 over WebSocket. Calls of one client run side by side, with a limit, and end when the client leaves.
 *
 * Connect to ws://127.0.0.1:9000/rpc and send {"jsonrpc":"2.0","id":1,"method":"add","params":[1,2]}.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { type Connection, listen } from "holdfast";

/** Runs a call. The signal aborts when the client leaves: then nothing waits for the result. */
type Method = (params: unknown, signal: AbortSignal) => unknown;

/** The most calls of one client that run at a time. */
const MAX_CALLS = 16;

/** An error that the client gets, with its code. The client gets no details of any other error. */
class RpcError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

// A Map: an object would also have a method "constructor".
const methods = new Map<string, Method>([
  ["add", (params) => numbers(params).reduce((sum, number) => sum + number, 0)],
  ["sleep", async (params, signal) => sleep(numbers(params)[0], "awake", { signal })],
]);

function numbers(params: unknown): number[] {
  if (Array.isArray(params) && params.every((one) => typeof one === "number")) return params;
  throw new RpcError(-32602, "params must be an array of numbers");
}

/** Returns the response to a request. Undefined for a notification, which has no id. */
async function respond(text: string, signal: AbortSignal): Promise<string | undefined> {
  let id: unknown = null;
  try {
    const request = parse(text);
    id = request.id;
    const method = methods.get(request.method);
    if (method === undefined) throw new RpcError(-32601, `there is no method ${request.method}`);
    const result = await method(request.params, signal);
    return id === undefined ? undefined : JSON.stringify({ jsonrpc: "2.0", id, result });
  } catch (error) {
    if (id === undefined) return undefined;
    const { code, message } = error instanceof RpcError ? error : new RpcError(-32603, "internal error");
    return JSON.stringify({ jsonrpc: "2.0", id, error: { code, message } });
  }
}

function parse(text: string): { readonly id?: unknown; readonly method: string; readonly params?: unknown } {
  const request = fromJson(text);
  if (typeof request === "object" && request !== null && "method" in request && typeof request.method === "string")
    return { ...request, method: request.method };
  throw new RpcError(-32600, "this is not a request");
}

function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new RpcError(-32700, "this is not JSON");
  }
}

async function serve(connection: Connection<unknown, string>): Promise<void> {
  const running = new Set<Promise<void>>();
  const run = async (text: string): Promise<void> => {
    const response = await respond(text, connection.signal);
    if (response !== undefined) await connection.send(response);
  };
  for await (const text of connection) {
    const call = run(text).finally(() => running.delete(call));
    running.add(call);
    // At the limit no message is taken. Then the connection stops reading, and TCP stops the client.
    if (running.size >= MAX_CALLS) await Promise.race(running);
  }
  // The server closes, or the client does: calls that run are answered if that is still possible.
  await Promise.all(running);
}

const server = await listen(`ws://127.0.0.1:${process.env["PORT"] ?? 9000}/rpc`, { messageType: "text" }, serve);
console.log(server.url);
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void server.close({ drain: 5_000 }));
