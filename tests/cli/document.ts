/** The page about the command line, made from the manuals of the commands. */

import { manuals } from "../../src/cli/commands.ts";
import { flagSections, synopsis } from "../../src/cli/help.ts";
import type { Manual } from "../../src/cli/manual.ts";

/** The text of `docs/cli.md`. */
export async function cliDocument(): Promise<string> {
  const all = Object.entries(await manuals());
  const lines = [
    "# The command line",
    "",
    "This page is made by `npm run docs` from the manuals that `holdfast COMMAND --help` prints; a test compares them. The examples expect",
    "`holdfast serve` on its default ports, and are run by `tests/cli/examples.test.ts`.",
    "",
    "```sh",
    ...["holdfast --help", "holdfast --version", "holdfast help serve"],
    "```",
    "",
    "| command | what it does |",
    "|---|---|",
    ...all.map(([name, { summary }]) => `| [\`holdfast ${name}\`](#holdfast-${name}) | ${summary} |`),
    "",
    "In a project that has Holdfast installed, and in a checkout after `npm start`, it is `npx holdfast`.",
    "",
    "- A wrong command line, and any other error, is one line on stderr. The exit status of wrong use is 2.",
    "- Colours are for terminals only, and never with the environment variable NO_COLOR. Strings of a peer are printed with escapes in",
    "  place of control characters, so that a peer cannot write over the screen or forge a line.",
    "- With `--json`, where a command has it, each result is one line of JSON on stdout.",
    "- The value of a flag follows after a space or `=`. A value that begins with a dash needs the `=`.",
    ...all.flatMap(([, { manual }]) => commandSection(manual)),
  ];
  return `${lines.join("\n")}\n`;
}

function commandSection(manual: Manual): string[] {
  return [
    "",
    `## holdfast ${manual.name}`,
    "",
    `    ${synopsis(manual)}`,
    ...paragraphs(manual.description),
    ...[...flagSections(manual)].flatMap(([title, rows]) =>
      table(
        title,
        rows.map(([term, text]) => [`\`${term}\``, text]),
      ),
    ),
    ...Object.entries(manual.notes ?? {}).flatMap(([title, note]) => ["", `### ${title}`, ...paragraphs(note)]),
    ...table("Exit status", Object.entries(manual.statuses)),
    "",
    "### Examples",
    ...manual.examples.flatMap(({ text, line }) => ["", `${text}:`, "", "```sh", line, "```"]),
  ];
}

function table(title: string, rows: readonly (readonly [string, string])[]): string[] {
  // A bar ends a cell, also between backticks.
  const cell = (text: string): string => text.replaceAll("|", "\\|");
  return [
    "",
    `### ${title}`,
    "",
    "| | |",
    "|---|---|",
    ...rows.map(([term, text]) => `| ${cell(term)} | ${cell(text)} |`),
  ];
}

/** Paragraphs in lines of the width of the other pages, and lines that are printed as they are as a block of code. */
function paragraphs(texts: readonly string[]): string[] {
  return texts.flatMap((text, at) => {
    if (text.startsWith("  ")) return [...(texts[at - 1]?.startsWith("  ") ? [] : [""]), `  ${text}`];
    return ["", ...(text.match(/.{1,136}(?= |$)/g) ?? []).map((line) => line.trim())];
  });
}
