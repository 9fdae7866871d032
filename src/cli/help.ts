/** The help of a command in the form of a manual page, from its manual. */

import { type Flag, flagsOf, type Manual } from "./manual.ts";
import { plain, type Style } from "./terminal.ts";

// Columns of text where the output is no terminal, and the bounds on one.
const COLUMNS = 80;
const FEWEST_COLUMNS = 40;
const MOST_COLUMNS = 110;

const INDENT = "  ";

// The longest flag beside which its text begins. The text of a longer flag begins on the next line.
const LONGEST_TERM = 26;

export interface HelpForm {
  /** Width of the terminal; undefined where there is none. */
  readonly columns?: number | undefined;
  readonly style?: Style;
}

/** The manual page of a command. */
export function helpText(manual: Manual, { columns = COLUMNS, style = plain }: HelpForm = {}): string {
  const width = Math.min(Math.max(columns, FEWEST_COLUMNS), MOST_COLUMNS);
  const section = (title: string, lines: readonly string[]): string[] => [
    style("bold", title.toUpperCase()),
    ...lines.map((line) => (line === "" ? "" : `${INDENT}${line}`)),
    "",
  ];
  const inner = width - INDENT.length;
  const lines = [
    ...section("Synopsis", [synopsis(manual)]),
    ...section("Description", paragraphs(manual.description, inner)),
    ...[...flagSections(manual)].flatMap(([title, flags]) => section(title, terms(flags, inner))),
    ...Object.entries(manual.notes ?? {}).flatMap(([title, note]) => section(title, paragraphs(note, inner))),
    ...section("Exit status", terms(Object.entries(manual.statuses), inner)),
    ...section("Examples", examples(manual, inner)),
  ];
  return `${lines.join("\n").trimEnd()}\n`;
}

/** The line that shows the form of the command. */
export function synopsis({ name, operands = [], flags }: Manual): string {
  const required = Object.entries(flags).filter(([, flag]) => flag.required === true);
  const parts = [
    ...operands.map(({ name: operand, optional }) => (optional ? `[${operand}]` : operand)),
    ...required.map(([flag, { value }]) => `--${flag} ${value}`),
  ];
  return ["holdfast", name, ...parts, "[flags]"].join(" ");
}

/** The flags and arguments under the titles of their sections, each with its description. */
export function flagSections(manual: Manual): Map<string, (readonly [term: string, text: string])[]> {
  const sections = new Map<string, (readonly [string, string])[]>();
  const add = (title: string, term: string, text: string): void => {
    sections.set(title, [...(sections.get(title) ?? []), [term, text]]);
  };
  for (const { name, text, choices } of manual.operands ?? [])
    add("Arguments", name, withFacts(text, choicesOf(choices)));
  for (const [name, flag] of Object.entries(flagsOf(manual))) {
    add(flag.section ?? "Flags", termOf(name, flag), textOf(flag));
  }
  return sections;
}

function termOf(name: string, { short, value }: Flag): string {
  return `--${name}${short === undefined ? "" : `, -${short}`}${value === undefined ? "" : ` ${value}`}`;
}

function textOf({ text, default: absent, multiple = false, required = false, choices }: Flag): string {
  const more = [...(multiple ? ["may be repeated"] : []), ...(absent === undefined ? [] : [`default ${absent}`])];
  return withFacts(text, [...choicesOf(choices), ...more, ...(required ? ["required"] : [])]);
}

function choicesOf(choices: readonly string[] | undefined): string[] {
  return choices === undefined ? [] : [`one of ${choices.join(", ")}`];
}

function withFacts(text: string, facts: readonly string[]): string {
  return facts.length === 0 ? text : `${text} (${facts.join("; ")})`;
}

/** Two columns: a term, and its text. */
function terms(rows: readonly (readonly [term: string, text: string])[], width: number): string[] {
  const longest = Math.max(...rows.map(([{ length }]) => (length > LONGEST_TERM ? 0 : length)));
  // Beside the terms only where a readable column of text is left.
  const beside = width - longest - 2 >= FEWEST_COLUMNS / 2;
  const margin = " ".repeat(beside ? longest + 2 : INDENT.length * 2);
  return rows.flatMap(([term, text]) => {
    const [first = "", ...rest] = wrapped(text, width - margin.length);
    const more = rest.map((line) => `${margin}${line}`);
    return beside && term.length <= longest
      ? [`${term.padEnd(margin.length)}${first}`, ...more]
      : [term, `${margin}${first}`, ...more];
  });
}

/** Paragraphs with an empty line between them. Lines that are printed as they are follow theirs at once. */
function paragraphs(texts: readonly string[], width: number): string[] {
  return texts.flatMap((text, at) => {
    if (text.startsWith(INDENT)) return [text];
    return [...(at === 0 ? [] : [""]), ...wrapped(text, width)];
  });
}

function examples({ examples: all }: Manual, width: number): string[] {
  return all.flatMap(({ text, line }, at) => [
    ...(at === 0 ? [] : [""]),
    ...wrapped(`${text}:`, width),
    `${INDENT}${line}`,
  ]);
}

/** `text` in lines of at most `width` columns, unless a word is longer. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
