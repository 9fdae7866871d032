/** The rules of the house: which floor may name what, read from the text of the sources. */

import { readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { blanked } from "./kit/blanked-source.ts";

/**
 * Lowest first. A file imports from its own floor and those below it. `core.ts`, `defaults.ts` and `index.ts` are floors of one
 * file each.
 */
const FLOORS = [
  ...["base/", "engine/", "transport/", "connection/", "endpoint/", "core.ts"],
  ...[
    "group/",
    "broker/",
    "hub/",
    "reconnect/",
    "kernel/",
    "metrics/",
    "workers/",
    "otel/",
    "dashboard/",
    "defaults.ts",
    "index.ts",
    "testing/",
    "cli/",
  ],
];

/** They name no `node:*`, clock, timer, randomness, promise or process: what they need of the world is passed in. */
const PURE = ["base/", "engine/"];
const WORLD =
  /\b(set(Timeout|Interval|Immediate)|queueMicrotask|performance|process|Buffer|console|crypto|globalThis|fetch|Promise|async|await|Date\.now|new Date(?=\(\s*\))|Math\.random)\b/g;

/** They may use what Node exports. A type has no effect, so it may be named on other floors too, the pure ones excepted. */
const WORLDLY = ["transport/", "workers/", "kernel/", "testing/", "cli/", "dashboard/"];

/** Timers that are not the global ones: fake timers of a test replace those. */
const TIMERS = "transport/timers.ts";
const TIMER = /(?<![.\w])(set|clear)(Immediate|Timeout|Interval)\b(?!\?)/g;

/** They are built on the core: of connections and endpoints they use what `core.ts` exports, and nothing else. */
const EXTRAS = ["group/", "broker/", "hub/", "reconnect/", "workers/", "kernel/", "metrics/", "otel/", "dashboard/"];
/**
 * They use the library as its users do, which proves that the entry points are sufficient. `base/` is no part of what it does:
 * they may import from there instead of repeating it.
 */
const PROGRAMS = ["cli/"];
/** Code for browsers: its globals are those of the page. */
const BROWSER = "dashboard/page/";
/** Pure structures below the entry points that they may use too: what they show is then computed as what the library reports. */
const SHARED = ["engine/histogram.ts", "dashboard/feed.ts"];
/**
 * `holdfast doctor URL` breaks the rules of the protocol on purpose, which no connection of the entry points does. It dials, writes
 * frames and judges answers with the parts of the library, so that there is no second implementation of them.
 */
const PROBE = "cli/probe/";
const PROBE_PARTS =
  /^(engine\/(deflate|handshake|websocket)\/|endpoint\/address\.ts|transport\/(dial\/dial|http\/(client|upgrade)|network|random|tls-problem)\.ts)/;

/**
 * The command line loads the code of one command, so that the help and the errors appear at once, and the client of a broker only if it
 * is used: it may not be installed.
 */
const LAZY = ["cli/commands.ts", "cli/serve/broker.ts"];

/**
 * Node's internals may be named in these files and nowhere else. The second has functions that run inside other processes, where they
 * read what has no public name.
 */
const INTERNALS = ["transport/internals/", "cli/doctor/attach/inside.ts"];
const INTERNAL =
  /\._[a-z]\w*|\[["']_\w+["']\]|\{ *_\w+|\bprocess\.binding\b|\b(useUserBuffer|writeBuffer|readSt(art|op)|onread|onconnection|get(sock|peer)name|(Write|Shutdown)Wrap|manualStart)\b/g;

/**
 * Where the outbox of a connection may be reached as a field. Everywhere else `outboxOf` is called, which first moves the messages
 * of a short path to the send queue.
 */
const OUTBOX = ["record.ts", "lazy-parts.ts", "core.ts", "write/corked-writes.ts"].map((file) => `connection/${file}`);

/** The entry points of the package. */
const ENTRIES = [
  ...["index.ts", "testing/index.ts", "workers/index.ts", "kernel/index.ts"],
  ...["broker/redis/index.ts", "broker/nats/index.ts", "otel/index.ts", "dashboard/index.ts"],
];

/** The files that may import a package, which is an optional peer then. Their declarations must not name it. */
const PEERS: Readonly<Record<string, string>> = {
  "broker/redis/client.ts": "redis",
  "broker/nats/client.ts": "@nats-io/transport-node",
};

/** The program of the dashboard's page. It runs in a browser, and the build joins it with these packages. */
const PAGE = "dashboard/page/";
const PAGE_PACKAGES = ["preact"];

const DOORS = ["core.ts", ...ENTRIES];
const REEXPORT = /\bexport\s+(type\s+)?\{[^}]*\}\s+from\s+" *";/g;
const NAMELESS = /(^|\/)(util|helper|type)s?[./]|(^|\/)common[./]/;
/** A backstop. The rule is one reason to change: a file is not cut, nor kept, for its number of lines. */
const LONGEST = 600;

/** Every sentence in the sources under `src` that breaks a rule, with its file and line. */
export function violations(src: string): string[] {
  const files = readdirSync(src, { recursive: true, encoding: "utf8" }).map((path) => path.replaceAll("\\", "/"));
  const texts = new Map(
    files
      .filter((file) => /\.tsx?$/.test(file))
      .sort()
      .map((file) => [file, readFileSync(posix.join(src, file), "utf8")]),
  );
  const each = [...texts].flatMap(([file, text]) => [
    ...shape(file, text),
    ...words(file, text),
    ...imports(file, text),
  ]);
  return [...each, ...circles(texts), ...duplicates(texts)];
}

const DEFINITION =
  /^export\s+(?:declare\s+)?(?:abstract\s+)?(?:async\s+)?(?:const|let|function\*?|class|interface|type)\s+(\w+)/gm;

/** Exported names that several files define. A re-export is no definition, and overloads in one file are one. */
function duplicates(texts: ReadonlyMap<string, string>): string[] {
  const homes = new Map<string, Set<string>>();
  for (const [file, text] of texts) {
    for (const [, name = ""] of blanked(text).matchAll(DEFINITION)) {
      homes.set(name, (homes.get(name) ?? new Set()).add(file));
    }
  }
  return Array.from(homes)
    .filter(([, { size }]) => size > 1)
    .map(([name, definers]) => `${name}: is exported by several files that define it: ${[...definers].join(", ")}`);
}

/** Files that import each other, be it for a type. */
function circles(texts: ReadonlyMap<string, string>): string[] {
  const next = new Map(
    Array.from(texts, ([file, text]) => [file, importsOf(text).map(({ specifier }) => targetOf(file, specifier))]),
  );
  const found: string[] = [];
  const done = new Set<string>();
  const follow = (file: string, path: readonly string[]): void => {
    const begun = path.indexOf(file);
    if (begun !== -1) found.push(`${[...path.slice(begun), file].join(" imports ")}: a circle`);
    if (begun !== -1 || done.has(file)) return;
    for (const target of next.get(file) ?? []) follow(target, [...path, file]);
    done.add(file);
  };
  for (const file of texts.keys()) follow(file, []);
  return found;
}

function targetOf(file: string, specifier: string): string {
  return posix.join(posix.dirname(file), specifier);
}

function shape(file: string, text: string): string[] {
  const found: string[] = [];
  const lines = text.split("\n").length - 1;
  if (lines > LONGEST) found.push(`${file}: has ${lines} lines, which is too much for one reason to change`);
  if (!/^(#!.*\n)?\/\*\*[^*]*\.(?=\s)/.test(text))
    found.push(`${file}:1: does not begin with a sentence that says why it is`);
  if (NAMELESS.test(file)) found.push(`${file}: has a name that says nothing`);
  if (floorOf(file) === undefined) found.push(`${file}: is on no floor`);
  return found;
}

function words(file: string, text: string): string[] {
  const code = blanked(text);
  const uncommented = blanked(text, { strings: false });
  const found: string[] = [];
  const forbid = (where: string, pattern: RegExp, what: (word: string) => string): void => {
    for (const match of where.matchAll(pattern)) found.push(`${file}:${lineAt(text, match.index)}: ${what(match[0])}`);
  };
  forbid(code, /\bexport\s+default\b/g, () => "has a default export");
  forbid(code, /\benum\s+\w/g, () => "has an enum");
  if (!LAZY.includes(file)) forbid(code, /\bimport\s*\(/g, () => "imports while it runs");
  if (PURE.includes(floorOf(file) ?? "")) forbid(code, WORLD, (word) => `is pure but names ${word}`);
  const timers = importsOf(text).some(({ specifier }) => targetOf(file, specifier) === TIMERS);
  if (
    file !== TIMERS &&
    !timers &&
    !file.startsWith(BROWSER) &&
    !PROGRAMS.includes(floorOf(file) ?? "") &&
    !PURE.includes(floorOf(file) ?? "")
  )
    forbid(code, TIMER, (word) => `uses the global ${word}, which a test may replace: ${TIMERS} has it`);
  if (!INTERNALS.some((path) => file.startsWith(path)))
    forbid(uncommented, INTERNAL, (word) => `names an internal: ${word}`);
  if (file.startsWith("connection/") && !OUTBOX.includes(file))
    forbid(code, /\.outbox\b(?!\()/g, () => "reaches the outbox past outboxOf");
  if (DOORS.includes(file) && code.replace(REEXPORT, "").trim() !== "") found.push(`${file}: does more than re-export`);
  return found;
}

function imports(file: string, text: string): string[] {
  const found: string[] = [];
  const floor = floorOf(file);
  for (const { specifier, typeOnly, at } of importsOf(text)) {
    const say = (what: string): number => found.push(`${file}:${lineAt(text, at)}: ${what} ${specifier}`);
    if (specifier.startsWith("node:")) {
      if (PURE.includes(floor ?? "")) say("is pure but imports");
      else if (file.startsWith(PAGE)) say("runs in a browser but imports");
      else if (!WORLDLY.includes(floor ?? "") && !typeOnly) say("leaves the world to transport but imports");
    } else if (!specifier.startsWith(".")) {
      if (PEERS[file] !== specifier && !(file.startsWith(PAGE) && PAGE_PACKAGES.includes(specifier)))
        say("imports a package:");
    } else {
      const target = targetOf(file, specifier);
      if (target.startsWith(PAGE) && !file.startsWith(PAGE)) say("runs in Node but imports the page:");
      const below = floorOf(target);
      if (heightOf(target) > heightOf(file)) say("imports upwards:");
      else if (
        PROGRAMS.includes(floor ?? "") &&
        below !== floor &&
        below !== "base/" &&
        ![...ENTRIES, ...SHARED].includes(target) &&
        !(file.startsWith(PROBE) && PROBE_PARTS.test(target))
      )
        say("is to use an entry point but imports");
      else if (EXTRAS.includes(floor ?? "") && ["connection/", "endpoint/"].includes(below ?? ""))
        say("is to use core.ts but imports");
    }
  }
  return found;
}

function importsOf(text: string): { specifier: string; typeOnly: boolean; at: number }[] {
  const statement = /^(?:import|export)\b(\s+type\b)?(?:[\w\s$*{},]*\bfrom)?\s*"( *)"/gm;
  return Array.from(blanked(text).matchAll(statement), ({ 0: whole, 1: type, 2: hidden = "", index }) => {
    const end = index + whole.length - 1;
    return { specifier: text.slice(end - hidden.length, end), typeOnly: type !== undefined, at: index };
  });
}

function floorOf(file: string): string | undefined {
  return FLOORS.find((floor) => (floor.endsWith("/") ? file.startsWith(floor) : file === floor));
}

function heightOf(file: string): number {
  // An entry point of an upper floor is beside it.
  return FLOORS.indexOf(floorOf(file) ?? "index.ts");
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}
