/** A program on a pseudo-terminal, and what a person sees on its screen. */

import { type ChildOptions, ChildProgram } from "./child-process.ts";

// Python has pseudo-terminals in its library; Node has none. The size is set before the program starts.
const BRIDGE = `
import fcntl, os, pty, re, select, struct, sys, termios
def resize(descriptor, rows, columns):
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", int(rows), int(columns), 0, 0))
pid, terminal = pty.fork()
if pid == 0:
    resize(0, sys.argv[1], sys.argv[2])
    os.execv(sys.argv[3], sys.argv[3:])
inputs = [0, terminal]
while terminal in inputs:
    for ready in select.select(inputs, [], [])[0]:
        try:
            data = os.read(ready, 65536)
        except OSError:
            data = b""
        if not data:
            inputs.remove(ready)
        elif ready == 0:
            size = re.fullmatch(rb"\\x1b\\[8;(\\d+);(\\d+)t", data)
            if size:
                resize(terminal, *size.groups())
            else:
                os.write(terminal, data)
        else:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

const [ROWS, COLUMNS] = [24, 80];

/** A Node program whose stdin, stdout and stderr are a terminal of 80 columns. */
export class TerminalProgram extends ChildProgram {
  constructor(python: string, program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    const options: ChildOptions = {
      runtime: [python, "-c", BRIDGE, String(ROWS), String(COLUMNS), process.execPath],
      // For Node, a terminal in CI shows no colours.
      env: { TERM: "xterm-256color", NO_COLOR: undefined, FORCE_COLOR: undefined, CI: undefined, ...env },
      stdin: "piped",
      stderr: "kept",
    };
    super(program, args, options);
  }

  /** Gives the terminal another size: at most 80 columns. */
  resize(rows: number, columns: number): void {
    // With the sequence of xterm for it, which the bridge reads.
    this.write(`\u001b[8;${rows};${columns}t`);
  }

  /** The lines on the screen, without those at its end that are empty. */
  get screen(): readonly string[] {
    return screenOf(this.stdout);
  }

  /** Resolves when the last line on the screen is this one. */
  untilLast(line: RegExp): Promise<void> {
    return this.until((stdout) => line.test(screenOf(stdout).at(-1) ?? ""));
  }
}

// A control sequence, or one character.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the sequences to read.
const PART = /\u001b\[([?\d;]*)([@-~])|\u001b.|[\s\S]/gu;

/** What a terminal of 80 columns shows of this output: only what node:readline and this program use. Nothing scrolls away. */
export function screenOf(output: string): string[] {
  const lines: string[][] = [[]];
  let [row, column] = [0, 0];
  const lineAt = (at: number): string[] => {
    while (lines.length <= at) lines.push([]);
    return lines[at] as string[];
  };
  const moves: Readonly<Record<string, (count: number) => void>> = {
    A: (count) => (row = Math.max(row - count, 0)),
    B: (count) => (row += count),
    C: (count) => (column = Math.min(column + count, COLUMNS - 1)),
    D: (count) => (column = Math.max(column - count, 0)),
    G: (count) => (column = count - 1),
    H: () => {
      [row, column] = [0, 0];
    },
  };
  for (const [part, numbers, command] of output.matchAll(PART)) {
    if (command !== undefined) {
      const count = Number(numbers) || (command === "J" || command === "K" ? 0 : 1);
      moves[command]?.(count);
      // Both erase from the cursor on; J the lines below too.
      if ((command === "J" || command === "K") && count === 0)
        lineAt(row).length = Math.min(lineAt(row).length, column);
      if (command === "J" && count === 0) lines.length = row + 1;
    } else if (part === "\r") column = 0;
    else if (part === "\n") row += 1;
    else if (part === "\b") column = Math.max(column - 1, 0);
    else if (!part.startsWith("\u001b")) {
      if (column === COLUMNS) [row, column] = [row + 1, 0];
      const line = lineAt(row);
      while (line.length < column) line.push(" ");
      line[column] = part;
      column += 1;
    }
  }
  lineAt(row);
  const texts = lines.map((line) => line.join("").trimEnd());
  while (texts.at(-1) === "") texts.pop();
  return texts;
}
