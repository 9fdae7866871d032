/** `holdfast completion SHELL`: prints a script that completes commands, flags, their choices and files in bash, zsh or fish. */

import { type Command, command, commandLine } from "./command.ts";
import { type Flag, flagsOf, type Manual } from "./manual.ts";

/** A command in the list of all commands. */
interface Listed {
  readonly summary: string;
  readonly manual: Manual;
}

const SHELLS = ["bash", "zsh", "fish"] as const;

type Shell = (typeof SHELLS)[number];

const MANUAL: Manual<Record<never, Flag>> = {
  name: "completion",
  description: [
    "Prints a script for a shell, which completes commands, flags, the values of flags that have choices, and files. The script is made from the manuals of this version, so it is made anew after an update.",
  ],
  operands: [{ name: "SHELL", choices: SHELLS, text: "the shell" }],
  flags: {},
  statuses: { 0: "printed", 2: "wrong use" },
  examples: [
    { text: "bash: put this line into ~/.bashrc", line: 'eval "$(holdfast completion bash)"' },
    {
      text: "zsh: in a folder of $fpath, before compinit in ~/.zshrc",
      line: "holdfast completion zsh > _holdfast",
    },
    { text: "fish: in ~/.config/fish/completions", line: "holdfast completion fish > holdfast.fish" },
  ],
};

/** The command. `listed` loads the manuals of all commands, by name. */
export function completionCommand(listed: () => Promise<Readonly<Record<string, Listed>>>): Command {
  const line = commandLine(MANUAL, (_, [shell]) => shell as Shell);
  return command(line, async (shell) => {
    process.stdout.write(completionScript(shell, await listed()));
    return 0;
  });
}

/** The script of a shell for these commands. */
export function completionScript(shell: Shell, commands: Readonly<Record<string, Listed>>): string {
  return SCRIPTS[shell](Object.entries(commands));
}

type Commands = readonly (readonly [name: string, listed: Listed])[];

const SCRIPTS: Readonly<Record<Shell, (commands: Commands) => string>> = { bash, zsh, fish };

/** All names of a flag, with their dashes. */
function namesOf(name: string, { short }: Flag): string[] {
  return [`--${name}`, ...(short === undefined ? [] : [`-${short}`])];
}

function flagNames(manual: Manual): string[] {
  return Object.entries(flagsOf(manual)).flatMap(([name, flag]) => namesOf(name, flag));
}

/** Flags whose values can be completed: those with choices, and files. Others have a value that only the user knows. */
function flagsWithValue(manual: Manual): (readonly [names: string[], flag: Flag])[] {
  return Object.entries(flagsOf(manual))
    .filter(([, { type }]) => type === "string")
    .map(([name, flag]) => [namesOf(name, flag), flag] as const);
}

const operandChoices = ({ operands = [] }: Manual): readonly string[] => operands[0]?.choices ?? [];

function bash(commands: Commands): string {
  const names = commands.map(([name]) => name);
  const lines = [
    "_holdfast() {",
    "  local current=$2 previous=$3",
    "  COMPREPLY=()",
    "  if [ $COMP_CWORD -eq 1 ]; then",
    `    COMPREPLY=($(compgen -W "${[...names, "help", "--help", "--version"].join(" ")}" -- "$current"))`,
    "    return",
    "  fi",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: of bash.
    '  case "${COMP_WORDS[1]} $previous" in',
    `    "help "*) COMPREPLY=($(compgen -W "${names.join(" ")}" -- "$current")); return ;;`,
    ...commands.flatMap(([name, { manual }]) =>
      flagsWithValue(manual).map(([flags, { choices, file }]) => {
        const patterns = flags.map((flag) => `"${name} ${flag}"`).join(" | ");
        const action = choices ? `-W "${choices.join(" ")}"` : file ? "-f" : undefined;
        return `    ${patterns}) ${action ? `COMPREPLY=($(compgen ${action} -- "$current")); ` : ""}return ;;`;
      }),
    ),
    "  esac",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: of bash.
    '  case "${COMP_WORDS[1]}" in',
    ...commands.map(([name, { manual }]) => {
      const words = [...flagNames(manual), ...operandChoices(manual)];
      return `    ${name}) COMPREPLY=($(compgen -W "${words.join(" ")}" -- "$current")) ;;`;
    }),
    "  esac",
    "}",
    "complete -F _holdfast holdfast",
  ];
  return `${lines.join("\n")}\n`;
}

/** `text` for a shell, as one word. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function zsh(commands: Commands): string {
  // In `_arguments` a colon and brackets have a meaning.
  const plain = (text: string): string => text.replace(/[[\]:\\]/g, "\\$&");
  const described = (name: string, text: string): string => quoted(`${name}:${plain(text)}`);
  const lines = [
    "#compdef holdfast",
    "_holdfast() {",
    "  local -a commands",
    `  commands=(${commands.map(([name, { summary }]) => described(name, summary)).join(" ")})`,
    "  if (( CURRENT == 2 )); then",
    "    _describe command commands",
    "    return",
    "  fi",
    "  local name=$words[2]",
    "  shift words",
    "  (( CURRENT-- ))",
    "  case $name in",
    "    help) _describe command commands ;;",
    ...commands.flatMap(([name, { manual }]) => {
      const choices = operandChoices(manual);
      const operands = choices.length === 0 ? [] : [quoted(`1:${manual.operands?.[0]?.name}:(${choices.join(" ")})`)];
      const flags = Object.entries(flagsOf(manual)).flatMap(([flag, facts]) =>
        namesOf(flag, facts).map((one) => zshFlag(one, facts, plain)),
      );
      return [`    ${name}) _arguments ${[...flags, ...operands].join(" \\\n      ")} ;;`];
    }),
    "  esac",
    "}",
    // As a file in $fpath it is the body of the function; from `source` it defines it.
    'if [ "$funcstack[1]" = "_holdfast" ]; then _holdfast "$@"; else compdef _holdfast holdfast; fi',
  ];
  return `${lines.join("\n")}\n`;
}

function zshFlag(
  name: string,
  { type, value, text, choices, file, multiple }: Flag,
  plain: (text: string) => string,
): string {
  const action = choices ? `(${choices.join(" ")})` : file ? "_files" : " ";
  return quoted(`${multiple ? "*" : ""}${name}[${plain(text)}]${type === "boolean" ? "" : `:${value}:${action}`}`);
}

function fish(commands: Commands): string {
  const names = commands.map(([name]) => name);
  const lines = [
    "complete -c holdfast -f",
    ...commands.map(
      ([name, { summary }]) => `complete -c holdfast -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`,
    ),
    `complete -c holdfast -n '__fish_seen_subcommand_from help' -a ${quoted(names.join(" "))}`,
    ...commands.flatMap(([name, { manual }]) => {
      const condition = `-n '__fish_seen_subcommand_from ${name}'`;
      const choices = operandChoices(manual);
      return [
        ...(choices.length === 0 ? [] : [`complete -c holdfast ${condition} -a ${quoted(choices.join(" "))}`]),
        ...Object.entries(flagsOf(manual)).map(([flag, { short, type, text, choices: values, file }]) =>
          [
            `complete -c holdfast ${condition} -l ${flag}`,
            ...(short === undefined ? [] : [`-s ${short}`]),
            ...(type === "boolean" ? [] : file ? ["-rF"] : ["-x"]),
            ...(values === undefined ? [] : [`-a ${quoted(values.join(" "))}`]),
            `-d ${quoted(text)}`,
          ].join(" "),
        ),
      ];
    }),
  ];
  return `${lines.join("\n")}\n`;
}
