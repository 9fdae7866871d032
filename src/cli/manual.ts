/** The form of a command's manual: one table from which its flags are parsed, and its help, completion and page are made. */

/** One flag. The first four properties are those of `parseArgs` in node:util. */
export interface Flag {
  readonly type: "string" | "boolean";
  readonly short?: string;
  /** True if the flag may be repeated. Its values are then a list. */
  readonly multiple?: boolean;
  readonly default?: string;
  /** True if the command cannot run without the flag. */
  readonly required?: boolean;
  /** Name of the value in the help, such as `PORT`. Only with type `string`. */
  readonly value?: string;
  /** What the flag does: a phrase without a full stop. The help adds the default and the choices. */
  readonly text: string;
  /** All values that the flag accepts. Any other is a UsageError. */
  readonly choices?: readonly string[];
  /** True if the value is the path of a file. Shells then complete it. */
  readonly file?: boolean;
  /** Title of the section of the help that lists the flag. @default "Flags" */
  readonly section?: string;
}

export type FlagTable = Readonly<Record<string, Flag>>;

/** One argument that is no flag, in their order. */
export interface Operand {
  /** In capitals, such as `URL`. */
  readonly name: string;
  /** True if the command runs without it, and without those that follow. */
  readonly optional?: boolean;
  readonly text: string;
  readonly choices?: readonly string[];
}

/** A line for a shell, which is tested: `tests/cli/manuals.test.ts` runs it. */
export interface Example {
  /** What the line does: a phrase without a full stop. */
  readonly text: string;
  readonly line: string;
}

export interface Manual<Flags extends FlagTable = FlagTable> {
  readonly name: string;
  /** Paragraphs; the first says what the command does. A line that begins with two spaces is printed as it is. */
  readonly description: readonly string[];
  readonly operands?: readonly Operand[];
  readonly flags: Flags;
  /** Further sections, after those of the flags. */
  readonly notes?: Readonly<Record<string, readonly string[]>>;
  /** The meaning of each exit status. */
  readonly statuses: Readonly<Record<number, string>>;
  readonly examples: readonly Example[];
}

type ValueOf<F extends Flag> = F extends { readonly type: "boolean" }
  ? boolean
  : F extends { readonly choices: readonly (infer Choice)[] }
    ? Choice
    : string;

/**
 * The values of the flags, by name. An absent flag of type `boolean` is false, an absent flag that may be repeated is an empty
 * list, and any other absent flag without a default is undefined.
 */
export type Given<Flags extends FlagTable> = {
  readonly [Name in keyof Flags]: Flags[Name] extends { readonly multiple: true }
    ? readonly ValueOf<Flags[Name]>[]
    : Flags[Name] extends { readonly type: "boolean" } | { readonly default: string } | { readonly required: true }
      ? ValueOf<Flags[Name]>
      : ValueOf<Flags[Name]> | undefined;
};

const HELP: Flag = { type: "boolean", short: "h", text: "print this manual" };

/** All flags of a command, in the order of its help: its own ones, and `--help`. */
export function flagsOf({ flags }: Manual): FlagTable {
  return { ...flags, help: HELP };
}
