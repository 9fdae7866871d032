/** The page about the end of a connection, drawn from the table of `engine/closing.ts`. */

import { ACTIONS, EVENTS, type Event, type Kind, STATES, type State, TABLES } from "../src/engine/closing.ts";

const NAMES: Readonly<Record<Kind, string>> = {
  tcp: "Framed TCP",
  server: "WebSocket, as server",
  client: "WebSocket, as client",
};

const list = (entries: Readonly<Record<string, string>>): string[] =>
  Object.entries(entries).map(([name, text]) => `| \`${name}\` | ${text} |`);

export function closingDocument(): string {
  const lines = [
    "# The end of a connection",
    "",
    "This page is drawn from `src/engine/closing.ts` by `npm run docs`; a test compares them. The connection carries out the actions of",
    "the table and decides nothing itself. `tests/model/closing.test.ts` searches all that can happen between two ends.",
    "",
    "## States",
    "",
    "| state | meaning |",
    "|---|---|",
    ...list(STATES),
    "",
    "## Events",
    "",
    "| event | meaning |",
    "|---|---|",
    ...list(EVENTS),
    "",
    "## Actions",
    "",
    "| action | meaning |",
    "|---|---|",
    ...list(ACTIONS),
  ];
  for (const kind of Object.keys(NAMES) as Kind[]) {
    lines.push("", `## ${NAMES[kind]}`, "", "| state | event | next state | actions |", "|---|---|---|---|");
    const reachable = reachableOf(kind);
    for (const state of Object.keys(STATES) as State[]) {
      if (!reachable.has(state)) continue;
      for (const event of Object.keys(EVENTS) as Event[]) {
        const step = TABLES[kind][state][event];
        if (step === undefined) continue;
        lines.push(`| \`${state}\` | \`${event}\` | \`${step.to}\` | ${step.actions.join(", ") || "none"} |`);
      }
    }
  }
  return `${lines.join("\n")}\n`;
}

function reachableOf(kind: Kind): ReadonlySet<State> {
  const reachable = new Set<State>(["open"]);
  for (const state of reachable) for (const { to } of Object.values(TABLES[kind][state])) reachable.add(to);
  return reachable;
}
