/** What a viewer can do to a connection. */

import type { Connection } from "../core.ts";
import { Inspection } from "../core.ts";
import { setImmediate } from "../transport/timers.ts";
import type { ActionMessage, ResultMessage } from "./feed.ts";
import type { Frames } from "./frames.ts";
import type { Journal } from "./journal.ts";

/** How long a Ping of a viewer waits for its answer, in milliseconds. */
const PING_TIMEOUT = 10_000;

interface ActionContext {
  readonly readOnly: boolean;
  readonly journal: Journal;
  readonly frames: Frames;
  /** The connection with an id. Undefined if it has ended. */
  find(id: number): Connection | undefined;
  /** The connections that this viewer has paused: they read again when it leaves. */
  readonly held: Set<Connection>;
}

/** Does what a viewer asks for. Never rejects: what goes wrong is in the result. */
export async function act(context: ActionContext, message: ActionMessage): Promise<ResultMessage> {
  const { request } = message;
  if (context.readOnly) return { type: "result", request, ok: false, text: "read-only" };
  const connection = context.find(message.connection);
  const inspection = connection === undefined ? undefined : Inspection.of(connection);
  if (connection === undefined || inspection === undefined)
    return { type: "result", request, ok: false, text: "this connection has ended" };
  if (connection.state !== "OPEN" && message.action !== "terminate")
    return { type: "result", request, ok: false, text: `this connection is ${connection.state}` };
  try {
    const done = await perform(context, message, connection, inspection);
    context.journal.note(connection, "action", message.action);
    return { type: "result", request, ok: true, ...done };
  } catch (error) {
    return { type: "result", request, ok: false, text: error instanceof Error ? error.message : String(error) };
  }
}

async function perform(
  { held, frames }: ActionContext,
  { action, code, reason }: ActionMessage,
  connection: Connection,
  inspection: Inspection,
): Promise<Pick<ResultMessage, "text" | "rtt">> {
  switch (action) {
    case "ping": {
      const rtt = await connection.ping({ timeout: PING_TIMEOUT });
      inspection.pinged(rtt);
      return { text: `answered after ${rtt.toFixed(1)} ms`, rtt };
    }
    case "pause":
      held.add(connection);
      inspection.holdReading(true);
      return { text: "does not read until resume, or until this viewer leaves" };
    case "resume":
      held.delete(connection);
      inspection.holdReading(false);
      return { text: "reads again" };
    case "close": {
      // Rejects at once for a wrong code or reason. The result of the end is in the list of ended connections.
      const closed = connection.close(code ?? 1000, reason ?? "");
      await Promise.race([closed, new Promise((resolve) => void setImmediate(resolve))]);
      return { text: "closing" };
    }
    case "terminate":
      connection.terminate();
      return { text: "terminated" };
    case "trace":
      frames.begin(connection);
      return { text: "frames are recorded, without their payload" };
    case "untrace":
      frames.end(connection);
      return { text: "frames are no longer recorded" };
  }
}
