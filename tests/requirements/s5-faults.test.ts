/** S5-8: errors of the application's own code are written to stderr, with their stack, causes and connection. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { type ErrorContext, listen, ReconnectingConnection } from "../../src/index.ts";
import { pair } from "../../src/testing/index.ts";
import { ChildProgram } from "../kit/child-process.ts";
import { portOf, upgraded, upgradeRequest } from "../kit/raw-peer.ts";

const LIMIT = { timeout: 240_000 };
const PROGRAM = fileURLToPath(new URL("faulty-process.js", import.meta.url));

/** The output of a program whose own code fails at `what`. */
async function said(what: string, how = "", node: readonly string[] = []): Promise<{ stdout: string; stderr: string }> {
  const child = new ChildProgram(PROGRAM, [what, how], { node, env: { NODE_NO_WARNINGS: "1" }, stderr: "kept" });
  // The reader of its output has ended: writes to it fail with EPIPE.
  if (how === "unread stderr") child.process.stderr?.destroy();
  return await child.exit;
}

const OF_CONNECTION = String.raw` of connection \d+ \(ws://[\w.:]+/room, peer 127\.0\.0\.1:\d+\) failed: `;
const OF_OPENING = String.raw` of an opening \(/room, peer 127\.0\.0\.1:\d+\) failed: `;
const ALONE = " failed: ";

const PLACES: readonly (readonly [what: string, place: string, whose: string])[] = [
  ["open", "the open hook", OF_CONNECTION],
  ["async open", "the open hook", OF_CONNECTION],
  ["message", "the message hook", OF_CONNECTION],
  ["async message", "the message hook", OF_CONNECTION],
  ["ping", "the ping hook", OF_CONNECTION],
  ["async ping", "the ping hook", OF_CONNECTION],
  ["pong of the client", "the pong hook", OF_CONNECTION],
  [
    "highWater of a reader that is stuck",
    "the highWater hook",
    OF_CONNECTION.replace("ws:", "tcp:").replace("/room", ""),
  ],
  ["closing", "the closing hook", OF_CONNECTION],
  ["async closing", "the closing hook", OF_CONNECTION],
  ["close", "the close hook", OF_CONNECTION],
  ["async close", "the close hook", OF_CONNECTION],
  ["handler", "the handler", OF_CONNECTION],
  ["async handler", "the handler", OF_CONNECTION],
  ["observe", "the observe function", OF_CONNECTION],
  ["authorize", "authorize", OF_OPENING],
  ["async authorize", "authorize", OF_OPENING],
  ["origin", "the origin function", OF_OPENING],
  ["state of reconnect", "the state hook", ALONE],
  ["message of ReconnectingConnection", "the message hook", OF_CONNECTION],
  ["close of ReconnectingConnection", "the close hook", ALONE],
  ["worker", "the function of a worker", `${ALONE}WorkerError \\[WORKER\\]: Cannot start worker 1: fault in worker`],
];

describe("the default of onError", LIMIT, () => {
  for (const [what, place, whose] of PLACES) {
    it(`S5-8: an error is written with stack, causes and connection under NODE_NO_WARNINGS=1: ${what}`, async () => {
      const { stdout, stderr } = await said(what);
      if (what !== "worker") assert.equal(stdout, "alive\n");
      // The error of a worker comes from another process, as a cause.
      const error = what === "worker" ? "" : `TypeError: fault in ${what}`;
      assert.match(stderr, new RegExp(`^holdfast: ${place}${whose}${error}$`, "m"));
      assert.match(stderr, /^ {4}at .*faulty-process/m, "the stack");
      assert.match(stderr, /^ {4}caused by: Error: the root$/m);
      assert.match(stderr, /^ {4}caused by: AggregateError: the branches$/m);
      assert.match(stderr, /^ {4}error 1 of 2: Error: leaf one$/m);
      assert.match(stderr, /^ {4}error 2 of 2: RangeError: leaf two$/m);
      assert.doesNotMatch(stderr, /secret/, "the query of a URL is not written");
    });
  }

  it("S5-8: a value that is no Error is written too, also under --no-warnings", async () => {
    const { stdout, stderr } = await said("message", "text", ["--no-warnings"]);
    assert.equal(stdout, "alive\n");
    assert.match(stderr, /^holdfast: the message hook of connection .* failed: 'fault in message'$/m);
  });

  for (const how of ["onError", "async onError"]) {
    it(`S5-8: an onError that fails ends nothing, and both errors are written: ${how}`, async () => {
      const { stdout, stderr } = await said("async message", how);
      assert.equal(stdout, "alive\n");
      assert.match(stderr, /^holdfast: the message hook of connection .* failed: TypeError: fault/m);
      assert.match(stderr, /^holdfast: the onError function of connection .* failed: TypeError: fault/m);
    });
  }

  for (const how of ["broken stderr", "unread stderr"]) {
    it(`S5-8: a report that cannot be written ends nothing: ${how}`, async () => {
      assert.equal((await said("message", how)).stdout, "alive\n");
    });
  }
});

describe("onError", LIMIT, () => {
  it("S5-8: gets the place and the connection", async () => {
    const told: [unknown, ErrorContext][] = [];
    const fault = new Error("as it should");
    const message = (): never => {
      throw fault;
    };
    const onError = (error: unknown, context: ErrorContext): void => void told.push([error, context]);
    const { server, client } = pair({ server: { message, onError } });
    await client.send("hello");
    assert.equal((await client.closed).code, 1011);
    assert.deepEqual(told, [[fault, { place: "message", connection: server }]]);
  });

  it("S5-8: gets the path and the peer of an opening", async () => {
    const told: ErrorContext[] = [];
    const authorize = (): never => {
      throw new Error("as it should");
    };
    const onError = (_: unknown, context: ErrorContext): void => void told.push(context);
    await using server = await listen("ws://127.0.0.1:0", { authorize, onError, open: () => undefined });
    await assert.rejects(upgraded(portOf(server), upgradeRequest("/a?b")), /500/);
    const [{ remoteAddress = "", remotePort = 0, ...context }] = told as [ErrorContext];
    assert.deepEqual(context, { place: "authorize", connection: undefined, path: "/a" });
    assert.equal(remoteAddress, "127.0.0.1");
    assert.ok(remotePort > 0);
  });

  it("S5-8: gets the connection of the moment from a reconnecting client", async () => {
    const told: ErrorContext[] = [];
    await using server = await listen("ws://127.0.0.1:0", (connection) => connection.send("hello"));
    const message = (): never => {
      throw new Error("as it should");
    };
    const onError = (_: unknown, context: ErrorContext): void => void told.push(context);
    const client = new ReconnectingConnection(server.url, { message, onError, shouldReconnect: () => false });
    await client.closed;
    assert.deepEqual(
      told.map(({ place, connection }) => [place, connection?.url]),
      [["message", server.url]],
    );
  });

  it("S5-8: that is no function is refused", async () => {
    for (const name of ["onError", "observe"]) {
      await assert.rejects(listen("ws://127.0.0.1:0", { [name]: "log", open: () => undefined }), {
        name: "TypeError",
        message: /function/,
      });
    }
  });
});
