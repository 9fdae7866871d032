/** The page about what each side gets when a connection ends, generated from the table that the matrix of ends checks. */

import {
  type Case,
  cellsOf,
  expected,
  LINES,
  type Line,
  LOADS,
  type Load,
  QUEUES,
  type Told,
  WAYS,
  type Way,
  type WayName,
} from "./ends.ts";

const INTRODUCTION = `# How a connection ends

This page says what each side of a connection gets when it ends: the code, the error, and what becomes of queued messages. It is
generated from \`tests/ends/ends.ts\` by \`npm run docs\`. \`tests/ends/matrix.test.ts\` checks every row on real sockets, in
COUNT combinations. [The end of a connection](closing.md) has the states behind it, and [What can go wrong](failures.md) the errors.

## What the application gets

\`connection.closed\` resolves with \`{ code, reason, by, wasClean, cause }\` when the descriptor is free. It never rejects. In the tables
below "1000, \`peer\`, clean" is a \`code\` of 1000, a \`by\` of "peer", a \`wasClean\` of true and no \`cause\`; "1006, \`peer\`, not clean,
TransportError" has a \`cause\` of that class.

Received messages are always delivered first. Behind them each way to read gets the same end:

| the application reads with | clean, with 1000, 1001 or 1005 | any other end |
|---|---|---|
| \`for await\` | the loop ends | the loop throws the error |
| \`receive()\` | rejects with a ClosedError | rejects with the error |
| \`readable\` | the stream closes | the stream errors with the error |
| hooks | \`closing\` with a ClosedError, then \`close\` with what \`closed\` resolves with | \`closing\` with the error, then \`close\` |

The error is one object: later calls reject with it, \`connection.signal\` aborts with it, and it is \`closed.cause\`. In two cases
\`closed.cause\` is another one. Where the application's own handler or hook threw, it is the thrown error, and calls get a ClosedError
with that error as its \`cause\`. Where a close in order had begun and then failed, calls have a ClosedError with the code of that
close, and \`closed.cause\` is the failure.

\`closing\` is called when the end begins, \`close\` when it is over and the last message was handled. Each is called once.
`;

const END = `
## How long it takes

No row above waits for a limit of time, as long as the peer reads and answers. A peer or an application that does not is bounded:

| what does not happen | bound | what happens then |
|---|---|---|
| the peer takes none of the queued bytes | \`closeTimeout\` (5 s), anew whenever it has taken some, 60 times at most | reset; TimeoutError |
| the peer does not answer the Close frame or the FIN | \`closeTimeout\` | the descriptor is freed without a reset; TimeoutError |
| the application asks for no message behind the peer's FIN on TCP | \`lingerTimeout\` (3 s) | this side sends its FIN |
| a handler does not return while the server closes | \`drain\` (10 s) of \`server.close\` | the connection is closed at three quarters of it, terminated at its end |

[Security](security.md#how-long-a-peer-can-hold-a-descriptor-while-the-connection-closes) has the exact bounds, and says which peers
are too slow for the default of \`closeTimeout\`.

## What makes no difference

- Which side is the server. Only handlers and \`server.close()\` belong to a server.
- How the application reads.
- TLS, except that it hides a reset. Where no byte is unread, \`terminate()\` of the peer looks like its FIN: on \`tls:\` like a clean end
  between two messages. With a WebSocket the Close frame is missing, and so it is never taken for a clean end.
- How much is queued, and how slowly the peer reads, except where a row says so.

## What a clean end does not say

- On TCP, that the peer's application succeeded: there is no code. A peer whose handler threw sends a FIN, as one that returned,
  unless its option \`farewell\` sends a last message before it.
- On TCP, that a peer which ended first has read what was queued behind its FIN. A peer that is gone answers with a reset, and this side
  learns of it only if the reset comes before both FINs are exchanged.
`;

const LINE_NAMES: readonly (readonly [lines: readonly Line[], name: string])[] = [
  [LINES, "all"],
  [["ws", "wss"], "WebSocket"],
  [["tcp", "tls"], "TCP"],
];

function nameOf(lines: readonly Line[]): string {
  const known = LINE_NAMES.find(([all]) => all.length === lines.length && all.every((line) => lines.includes(line)));
  return known?.[1] ?? lines.map((line) => `\`${line}:\``).join(", ");
}

function toldAs(told: readonly Told[]): string {
  return told
    .map(({ code, by, wasClean, cause }) => {
      const parts = [`${code}`, `\`${by}\``, wasClean ? "clean" : "not clean"];
      if (cause !== "none") parts.push(cause === "thrown" ? "the thrown error" : cause);
      return parts.join(", ");
    })
    .join("; or ");
}

/** The ways with the peer's Close frame whose results differ only in the code are one way. */
function merged(ways: readonly Way[]): Way[] {
  const closes = new Map<string, Way>();
  return ways.flatMap((way) => {
    const code = /^the peer's Close (\d+)$/.exec(way.name)?.[1];
    if (code === undefined) return [way];
    const key = JSON.stringify(way).replaceAll(code, "");
    const first = closes.get(key);
    if (first !== undefined) {
      Object.assign(first, { name: `${first.name}, ${code}` });
      return [];
    }
    const copy = { ...way };
    closes.set(key, copy);
    return [copy];
  });
}

interface Row {
  readonly where: string;
  readonly here: string;
  readonly there: string;
}

/** The rows of one way: lines and loads with the same result stand together. */
function rowsOf(way: Way): Row[] {
  const loads = Object.keys(LOADS) as Load[];
  const groups = new Map<string, { readonly lines: Set<Line>; readonly loads: Set<Load> }>();
  const results = (cases: readonly Case[], line: Line, load: Load): readonly Told[] => expected(cases, { line, load });
  for (const line of way.lines) {
    for (const load of loads) {
      const key = JSON.stringify([toldAs(results(way.here, line, load)), toldAs(results(way.there, line, load))]);
      const group = groups.get(key) ?? { lines: new Set(), loads: new Set() };
      group.lines.add(line);
      group.loads.add(load);
      groups.set(key, group);
    }
  }
  const entries = Array.from(groups).sort(
    ([, one], [, other]) => Number(other.loads.has("queue empty")) - Number(one.loads.has("queue empty")),
  );
  return entries.map(([key, group]) => {
    const [here, there] = JSON.parse(key) as [string, string];
    const some = group.loads.size < loads.length;
    const condition = group.loads.has("queue empty") ? "nothing queued" : "messages queued";
    const codes = way.name.includes(", ") && way.name.startsWith("the peer's Close");
    const own = codes ? here.replace(/^\d+/, "the peer's code") : here;
    return { where: `${nameOf([...group.lines])}${some ? `, ${condition}` : ""}`, here: own, there };
  });
}

function table(ways: readonly Way[], withPeer: boolean): string[] {
  const heads = withPeer
    ? ["what happens", "protocol", "`closed` of this side", "`closed` of the peer", "queued messages", "over when"]
    : ["what happens", "protocol", "`closed` of this side", "queued messages", "over when"];
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [
    line(heads),
    `|${"---|".repeat(heads.length)}`,
    ...merged(ways).flatMap((way) =>
      rowsOf(way).map(({ where, here, there }, index) =>
        line([
          index === 0 ? way.name : "",
          where,
          here,
          ...(withPeer ? [there] : []),
          index === 0 ? way.queue : "",
          index === 0 ? way.when : "",
        ]),
      ),
    ),
  ];
}

/** All of `docs/ends.md`. */
export function endsDocument(): string {
  const names = Object.keys(WAYS) as WayName[];
  const count = names.flatMap((way) => LINES.flatMap((line) => cellsOf(way, line))).length;
  const ways = names.map((name) => WAYS[name]);
  return [
    INTRODUCTION.replace("COUNT", String(count)),
    "## This side ends",
    "",
    "The peer is a connection of this library, too. Each column has what that side sees.",
    "",
    ...table(
      ways.filter(({ peer }) => peer === "connection"),
      true,
    ),
    "",
    "## The peer ends",
    "",
    ...table(
      ways.filter(({ peer }) => peer !== "connection"),
      false,
    ),
    "",
    "Every code but 1000, 1001 and 1005 is as 1008. The code goes back to the peer behind the queued messages. A WebSocket has no",
    "half-close: its peer's FIN without a Close frame is always the end.",
    "",
    "## Queued messages",
    "",
    ...Object.entries(QUEUES).map(([name, text]) => `- ${name}: ${text}.`),
    "",
    "The rows are checked with these queues:",
    "",
    ...Object.values(LOADS).map((text) => `- ${text}.`),
    END,
  ].join("\n");
}
