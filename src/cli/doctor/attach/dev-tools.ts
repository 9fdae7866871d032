/** A session of the DevTools protocol: one call after the other, each with a limit of time. */

import { type Connection, connect } from "../../../index.ts";

/** The other side is no inspector, or one that does not do what is needed. */
export class InspectorError extends Error {
  override readonly name = "InspectorError";
}

// Milliseconds. To list the objects of a heap of 4 GB takes some seconds.
const CALL_TIMEOUT = 20_000;
const OPEN_TIMEOUT = 3_000;

// Bytes of an answer. The facts of 10,000 sockets have 5 MB.
const MAX_ANSWER = 33_554_432;

// Messages between a call and its answer. The domains that are used here send hardly any events.
const MAX_EVENTS = 1_000;

/** A value in the process, by reference. */
export interface RemoteObject {
  readonly objectId: string;
}

export class DevTools implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #signal: AbortSignal | undefined;
  #calls = 0;

  private constructor(connection: Connection, signal: AbortSignal | undefined) {
    this.#connection = connection;
    this.#signal = signal;
  }

  /** Rejects with the errors of `connect`. */
  static async open(url: string, signal?: AbortSignal): Promise<DevTools> {
    const connection = await connect(url, {
      ...{ maxMessageSize: MAX_ANSWER, openTimeout: OPEN_TIMEOUT, closeTimeout: 500 },
      // Node's inspector ends a connection on which it gets a Ping.
      heartbeat: { interval: Infinity },
      ...(signal !== undefined && { signal }),
    });
    return new DevTools(connection, signal);
  }

  /** Evaluates an expression, which may use `load` to get a module of Node. Returns a reference. */
  async evaluate(expression: string): Promise<RemoteObject> {
    // The second exists for the console of each inspector, the first since Node 20.16.
    const load = "(process.getBuiltinModule ? (name) => process.getBuiltinModule(name) : require)";
    const answer = await this.#call("Runtime.evaluate", {
      ...{ expression: `((load) => (${expression}))(${load})`, includeCommandLineAPI: true, silent: true },
    });
    return referenceIn(answer["result"]);
  }

  /** References a list of all objects that inherit from this one. */
  async objectsOf(prototype: RemoteObject): Promise<RemoteObject> {
    const answer = await this.#call("Runtime.queryObjects", { prototypeObjectId: prototype.objectId });
    return referenceIn(answer["objects"]);
  }

  /** Calls a function of `inside.ts` with `object` as its `this`. Returns its result, whose type is not checked. */
  async call(object: RemoteObject, inside: unknown, ...args: readonly unknown[]): Promise<unknown> {
    const answer = await this.#callOn(object, inside, args, true);
    return answer["value"];
  }

  /** As `call`; returns a reference to the result, or undefined if it is null. */
  async callForObject(
    object: RemoteObject,
    inside: unknown,
    ...args: readonly unknown[]
  ): Promise<RemoteObject | undefined> {
    const result = await this.#callOn(object, inside, args, false);
    return result["subtype"] === "null" ? undefined : referenceIn(result);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Without a closing handshake: the process may wait for the end of this connection, to close the inspector.
    this.#connection.terminate();
    await this.#connection.closed;
  }

  async #callOn(object: RemoteObject, inside: unknown, args: readonly unknown[], byValue: boolean): Promise<Fields> {
    const answer = await this.#call("Runtime.callFunctionOn", {
      ...{ objectId: object.objectId, functionDeclaration: String(inside), silent: true, returnByValue: byValue },
      arguments: args.map((arg) => (isReference(arg) ? { objectId: arg.objectId } : { value: arg })),
    });
    return fieldsIn(answer["result"]);
  }

  async #call(method: string, params: object): Promise<Fields> {
    this.#calls += 1;
    const id = this.#calls;
    const bounds = { timeout: CALL_TIMEOUT, ...(this.#signal !== undefined && { signal: this.#signal }) };
    await this.#connection.send(JSON.stringify({ id, method, params }), bounds);
    const until = performance.now() + CALL_TIMEOUT;
    for (let events = 0; events < MAX_EVENTS; events += 1) {
      const timeout = Math.max(1, until - performance.now());
      const answer = fieldsOf(await this.#connection.receive({ ...bounds, timeout }));
      if (answer["id"] !== id) continue;
      if (answer["error"] !== undefined)
        throw new InspectorError(`${method} failed: ${String(fieldsIn(answer["error"])["message"])}`);
      const result = fieldsIn(answer["result"]);
      if (result["exceptionDetails"] !== undefined) throw new InspectorError(`${method} threw inside the process`);
      return result;
    }
    throw new InspectorError(`${method} got no answer in ${MAX_EVENTS} messages`);
  }
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(message: unknown): Fields {
  if (typeof message !== "string") throw new InspectorError("the answer is not a text");
  try {
    return fieldsIn(JSON.parse(message));
  } catch {
    throw new InspectorError("the answer is not the JSON of an object");
  }
}

function fieldsIn(value: unknown): Fields {
  if (typeof value !== "object" || value === null) throw new InspectorError("the answer has another form");
  return value as Fields;
}

function referenceIn(value: unknown): RemoteObject {
  const { objectId } = fieldsIn(value);
  if (typeof objectId !== "string") throw new InspectorError("the answer has no object");
  return { objectId };
}

function isReference(value: unknown): value is RemoteObject {
  return typeof value === "object" && value !== null && "objectId" in value;
}
