/** Finds the most specific pattern that matches the path of a request. */

import {
  compareSpecificity,
  decodedSegment,
  type PathParams,
  type PathPattern,
  type PatternSegment,
} from "./path-pattern.ts";

interface Entry<T> {
  readonly pattern: PathPattern;
  readonly value: T;
}

/** The patterns that continue in the same way. Literals are in a map, so a path is compared with few of many patterns. */
interface PathNode<T> {
  literals: Map<string, PathNode<T>> | undefined;
  one: PathNode<T> | undefined;
  /** The pattern that ends with `*` here. */
  rest: Entry<T> | undefined;
  /** The pattern that ends here. */
  end: Entry<T> | undefined;
}

export interface PathMatch<T> {
  readonly value: T;
  readonly params: PathParams;
}

const NO_PARAMS: PathParams = Object.freeze(Object.create(null));

/**
 * Patterns with a value each. A path matches the most specific pattern, whatever the order in which they were added: a literal
 * before `:name`, `:name` before `*`. Two patterns of which neither is more specific conflict, and the second one is refused.
 */
export class PathTable<T> {
  readonly #root: PathNode<T> = emptyNode();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The values, in no order. */
  *values(): Generator<T> {
    const nodes = [this.#root];
    for (let node = nodes.pop(); node !== undefined; node = nodes.pop()) {
      if (node.end !== undefined) yield node.end.value;
      if (node.rest !== undefined) yield node.rest.value;
      if (node.one !== undefined) nodes.push(node.one);
      if (node.literals !== undefined) nodes.push(...node.literals.values());
    }
  }

  /** Returns the pattern with which `pattern` conflicts. Undefined if it can be added. */
  conflictOf(pattern: PathPattern): PathPattern | undefined {
    return conflictBelow(this.#root, pattern, 0);
  }

  /** Adds a pattern that conflicts with none. */
  add(pattern: PathPattern, value: T): void {
    let node = this.#root;
    this.#size += 1;
    for (const segment of pattern.segments) {
      if (segment.kind === "rest") {
        node.rest = { pattern, value };
        return;
      }
      node = childOf(node, segment) ?? addChild(node, segment);
    }
    node.end = { pattern, value };
  }

  remove(pattern: PathPattern): void {
    const path: [PathNode<T>, PatternSegment][] = [];
    let node = this.#root;
    this.#size -= 1;
    for (const segment of pattern.segments) {
      path.push([node, segment]);
      if (segment.kind === "rest") node.rest = undefined;
      else node = childOf(node, segment) as PathNode<T>;
    }
    if (pattern.segments.at(-1)?.kind !== "rest") node.end = undefined;
    // Removes the nodes that have become empty: routes may be added and removed for as long as the server runs.
    for (const [parent, segment] of path.reverse()) {
      if (segment.kind === "rest") continue;
      const child = childOf(parent, segment);
      if (child === undefined || !isEmpty(child)) return;
      if (segment.kind === "one") parent.one = undefined;
      else parent.literals?.delete(segment.text);
      if (parent.literals?.size === 0) parent.literals = undefined;
    }
  }

  /**
   * Finds the most specific pattern for a path as received. Undefined if no pattern matches. `malformed` if percent-encoded
   * characters of the path are malformed or not UTF-8.
   */
  match(path: string): PathMatch<T> | "malformed" | undefined {
    const parts = (path.startsWith("/") ? path.slice(1) : path).split("/");
    for (const [index, part] of parts.entries()) {
      if (!part.includes("%")) continue;
      const decoded = decodedSegment(part);
      if (decoded === undefined) return "malformed";
      parts[index] = decoded;
    }
    const entry = find(this.#root, parts, 0);
    return entry && { value: entry.value, params: paramsOf(entry.pattern, parts) };
  }
}

function emptyNode<T>(): PathNode<T> {
  return { literals: undefined, one: undefined, rest: undefined, end: undefined };
}

function isEmpty<T>({ literals, one, rest, end }: PathNode<T>): boolean {
  return literals === undefined && one === undefined && rest === undefined && end === undefined;
}

function childOf<T>(node: PathNode<T>, { kind, text }: PatternSegment): PathNode<T> | undefined {
  return kind === "one" ? node.one : node.literals?.get(text);
}

function addChild<T>(node: PathNode<T>, { kind, text }: PatternSegment): PathNode<T> {
  const child: PathNode<T> = emptyNode();
  if (kind === "one") node.one = child;
  else {
    node.literals ??= new Map();
    node.literals.set(text, child);
  }
  return child;
}

/** Visits each node at most once, and goes no deeper than the longest pattern. */
function find<T>(node: PathNode<T>, parts: readonly string[], at: number): Entry<T> | undefined {
  const part = parts[at];
  if (part === undefined) return node.end;
  const literal = node.literals?.get(part);
  const found =
    (literal && find(literal, parts, at + 1)) ??
    (part !== "" && node.one !== undefined ? find(node.one, parts, at + 1) : undefined);
  return found ?? node.rest;
}

/** Compares only with patterns that can match a path that `pattern` matches. */
function conflictBelow<T>(node: PathNode<T>, pattern: PathPattern, at: number): PathPattern | undefined {
  const segment = pattern.segments[at];
  const conflicts = (entry: Entry<T> | undefined): PathPattern | undefined =>
    entry !== undefined && compareSpecificity(entry.pattern, pattern) === "conflict" ? entry.pattern : undefined;
  const own = conflicts(node.end) ?? conflicts(node.rest);
  if (own !== undefined || segment === undefined) return own;
  const children =
    segment.kind === "literal" ? [node.literals?.get(segment.text)] : [...(node.literals?.values() ?? [])];
  for (const child of [...children, node.one]) {
    if (child === undefined) continue;
    const found = conflictBelow(child, pattern, segment.kind === "rest" ? at : at + 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

function paramsOf({ segments }: PathPattern, parts: readonly string[]): PathParams {
  if (segments.every(({ kind }) => kind === "literal")) return NO_PARAMS;
  // No prototype, so that no name of a parameter conflicts with an inherited property.
  const params: Record<string, string> = Object.create(null);
  for (const [index, { kind, text }] of segments.entries()) {
    if (kind === "one") params[text] = parts[index] as string;
    else if (kind === "rest") params[text] = parts.slice(index).join("/");
  }
  return params;
}
