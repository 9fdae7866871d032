/** The rules of the house: which floor may name what, read from the text of the sources. */

import { readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { blanked } from "./blanked.js";

/** Lowest first. A file imports from its own floor and those below it. */
const FLOORS = ["base", "engine", "transport", "connection", "endpoint", "observe", "testing", "cli", "dashboard"];

/** They name no `node:*`, clock, timer, randomness, promise or process: what they need of the world is passed in. */
const PURE = ["base", "engine"];
const WORLD =
  /\b(set(Timeout|Interval|Immediate)|queueMicrotask|performance|process|Buffer|console|crypto|globalThis|fetch|Promise|async|await|Date\.now|new Date|Math\.random)\b/g;

/** They may use what Node exports. A type has no effect, so it may be named on other floors too, the pure ones excepted. */
const WORLDLY = ["transport", "observe", "testing", "cli", "dashboard"];

/** They use the library as its users do: each proves that the door suffices. What they are made of they may share. */
const OUTSIDERS = ["endpoint/reconnect", "endpoint/group", "cli/", "dashboard/"];

/** What lies behind Node's public interface may be named in this file and nowhere else. */
const INTERNALS = "transport/node-internals.ts";
const INTERNAL =
  /\._[a-z]\w*|\[["']_\w+["']\]|\{ *_\w+|\bprocess\.binding\b|\b(useUserBuffer|writeBuffer|readSt(art|op)|onread|onconnection|get(sock|peer)name|(Write|Shutdown)Wrap|manualStart)\b/g;

const DOORS = ["index.ts", "testing/index.ts"];
const REEXPORT = /\bexport\s+(type\s+)?\{[^}]*\}\s+from\s+" *";/g;
const NAMELESS = /(^|\/)(util|helper|type)s?[./]|(^|\/)common[./]/;
const LONGEST = 350;

/** Every sentence in the sources under `src` that breaks a rule, with its file and line. */
export function violations(src: string): string[] {
  const files = readdirSync(src, { recursive: true, encoding: "utf8" }).map((path) => path.replaceAll("\\", "/"));
  return files
    .filter((file) => file.endsWith(".ts"))
    .sort()
    .flatMap((file) => {
      const text = readFileSync(posix.join(src, file), "utf8");
      return [...shape(file, text), ...words(file, text), ...imports(file, text)];
    });
}

function shape(file: string, text: string): string[] {
  const found: string[] = [];
  const lines = text.split("\n").length - 1;
  if (lines > LONGEST) found.push(`${file}: has ${lines} lines, and so two reasons to change`);
  if (!/^(#!.*\n)?\/\*\*[^*]*\.(?=\s)/.test(text))
    found.push(`${file}:1: does not begin with a sentence that says why it is`);
  if (NAMELESS.test(file)) found.push(`${file}: has a name that says nothing`);
  if (!DOORS.includes(file) && floorOf(file) === undefined) found.push(`${file}: is on no floor`);
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
  forbid(code, /\bimport\s*\(/g, () => "imports while it runs");
  if (PURE.includes(floorOf(file) ?? "")) forbid(code, WORLD, (word) => `is pure but names ${word}`);
  if (file !== INTERNALS) forbid(uncommented, INTERNAL, (word) => `names an internal: ${word}`);
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
      else if (!WORLDLY.includes(floor ?? "") && !typeOnly) say("leaves the world to transport but imports");
    } else if (!specifier.startsWith(".")) {
      say("imports a package:");
    } else {
      const target = posix.join(posix.dirname(file), specifier);
      const outsiders = OUTSIDERS.find((prefix) => file.startsWith(prefix));
      if (outsiders !== undefined) {
        // The second door is for programs, and stands above the endpoints.
        const door = target === "index.js" || (floor === "cli" && target === "testing/index.js");
        if (!door && !target.startsWith(outsiders)) say("is to come in by the door but imports");
      } else if (heightOf(target) > heightOf(file)) {
        say("imports upwards:");
      }
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
  return FLOORS.find((floor) => file.startsWith(`${floor}/`));
}

/** The door stands above all floors. */
function heightOf(file: string): number {
  const floor = floorOf(file);
  return floor === undefined ? FLOORS.length : FLOORS.indexOf(floor);
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}
