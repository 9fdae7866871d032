/** Parses path patterns: literal segments, `:name` for one segment, and an asterisk for the rest of a path. */

/** The values of a pattern's parameters by name. Percent-encoded characters are decoded. */
export type PathParams<Names extends string = string> = Readonly<Record<Names, string>>;

type NameIn<Segment extends string> = Segment extends `:${infer Name}`
  ? Name
  : Segment extends "*"
    ? "*"
    : Segment extends `*${infer Name}`
      ? Name
      : never;

/** The names of the parameters of a literal pattern, as a union: `"room"` for `"/rooms/:room"`. */
export type ParamsOf<Pattern extends string> = string extends Pattern
  ? string
  : Pattern extends `${infer Segment}/${infer Rest}`
    ? NameIn<Segment> | ParamsOf<Rest>
    : NameIn<Pattern>;

/** One part of a pattern, between two slashes. */
export interface PatternSegment {
  /** `one`: any segment that is not empty. `rest`: all segments that follow, at least one, which may be empty. */
  readonly kind: "literal" | "one" | "rest";
  /** The decoded text of a literal. The name of a parameter. */
  readonly text: string;
}

export interface PathPattern {
  /** The pattern as it was written. */
  readonly source: string;
  readonly segments: readonly PatternSegment[];
}

// The search for a request goes as deep as the longest pattern has segments.
const MAX_SEGMENTS = 64;
const MAX_LENGTH = 2_048;
const PARAM_NAME = /^[A-Za-z_$][\w$]*$/;

/**
 * Parses a pattern. Throws TypeError unless it begins with `/`, has neither query nor fragment, has `*` in the last segment only,
 * names each parameter once, and has at most 64 segments and 2,048 characters.
 */
export function parsePattern(source: string): PathPattern {
  const refuse = (expected: string): TypeError =>
    new TypeError(`Cannot use path ${JSON.stringify(source)}: expected ${expected}`);
  if (typeof source !== "string" || !source.startsWith("/")) throw refuse("one that begins with /");
  if (source.length > MAX_LENGTH) throw refuse(`at most ${MAX_LENGTH} characters`);
  if (/[?#]/.test(source)) throw refuse("no query and no fragment");
  const texts = source.slice(1).split("/");
  if (texts.length > MAX_SEGMENTS) throw refuse(`at most ${MAX_SEGMENTS} segments`);
  const names = new Set<string>();
  const segments = texts.map((text, index): PatternSegment => {
    const kind = text.startsWith(":") ? "one" : text.startsWith("*") ? "rest" : "literal";
    if (kind === "literal") {
      const literal = decodedSegment(text);
      if (literal === undefined) throw refuse("percent-encoded characters in UTF-8");
      return { kind, text: literal };
    }
    if (kind === "rest" && index < texts.length - 1) throw refuse("* in the last segment only");
    const name = text === "*" ? text : text.slice(1);
    if (name !== "*" && !PARAM_NAME.test(name)) throw refuse("a name of letters, digits, _ and $ after : or *");
    if (names.has(name)) throw refuse(`different names, got ${name} twice`);
    names.add(name);
    return { kind, text: name };
  });
  return { source, segments };
}

/** Decodes percent-encoded characters. Returns undefined if they are malformed or not UTF-8. */
export function decodedSegment(text: string): string | undefined {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/**
 * The more specific one of two patterns: it matches a part of what the other one matches. `neither` if no path matches both;
 * `conflict` if some paths match both, and each of them matches other paths too, or if both match the same paths.
 */
export function compareSpecificity(a: PathPattern, b: PathPattern): "first" | "second" | "neither" | "conflict" {
  let [first, second] = [false, false];
  for (let index = 0; ; index += 1) {
    const [one, other] = [a.segments[index], b.segments[index]];
    if (one === undefined && other === undefined) break;
    if (one?.kind === "rest" || other?.kind === "rest") {
      // The rest is at least one segment, so it matches no path that ends before it.
      if (one === undefined || other === undefined) return "neither";
      if (one.kind !== "rest") first = true;
      if (other.kind !== "rest") second = true;
      break;
    }
    if (one === undefined || other === undefined) return "neither";
    if (one.kind === "literal" && other.kind === "literal") {
      if (one.text !== other.text) return "neither";
    } else if (one.kind === "literal") {
      if (one.text === "") return "neither";
      first = true;
    } else if (other.kind === "literal") {
      if (other.text === "") return "neither";
      second = true;
    }
  }
  if (first === second) return "conflict";
  return first ? "first" : "second";
}
