/** Reads the messages of viewers. They are bytes from outside. */

import { isObject } from "../base/forms.ts";
import { type ActionMessage, MAX_TEXT, type NextMessage, SORT_COLUMNS, type ViewerMessage } from "./feed.ts";

const ACTIONS: readonly ActionMessage["action"][] = [
  "ping",
  "pause",
  "resume",
  "close",
  "terminate",
  "trace",
  "untrace",
];

/** The message in a text. Undefined if it is none. */
export function viewerMessageOf(data: unknown): ViewerMessage | undefined {
  if (typeof data !== "string") return undefined;
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    return undefined;
  }
  if (!isObject(value)) return undefined;
  if (value["type"] === "next") return nextOf(value);
  return value["type"] === "action" ? actionOf(value) : undefined;
}

function nextOf(value: Readonly<Record<string, unknown>>): NextMessage | undefined {
  const { second, ended, sort, descending, filter, connection, frame } = value;
  for (const number of [second, ended, connection, frame])
    if (!(number === undefined || isCount(number))) return undefined;
  if (!(sort === undefined || (SORT_COLUMNS as readonly unknown[]).includes(sort))) return undefined;
  if (!(descending === undefined || typeof descending === "boolean")) return undefined;
  if (!(filter === undefined || (typeof filter === "string" && filter.length <= MAX_TEXT))) return undefined;
  return { ...value, type: "next" };
}

function actionOf(value: Readonly<Record<string, unknown>>): ActionMessage | undefined {
  const { action, request, connection, code, reason } = value;
  if (!ACTIONS.includes(action as ActionMessage["action"]) || !isCount(request) || !isCount(connection))
    return undefined;
  if (!(code === undefined || isCount(code)) || !(reason === undefined || typeof reason === "string")) return undefined;
  return {
    type: "action",
    action: action as ActionMessage["action"],
    request,
    connection,
    code,
    reason,
  } as ActionMessage;
}

/** -1 is a second before all others. */
function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= -1;
}
