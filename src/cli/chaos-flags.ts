/** The flags of `holdfast chaos`. */

import type { ParseArgsConfig } from "node:util";
import type { ChaosFaults } from "../testing/index.js";
import { parseFlags, wholeNumber } from "./flags.js";
import { UsageError } from "./usage.js";

export const CHAOS_USAGE: string = `Usage: holdfast chaos --to HOST:PORT [flags]

Passes TCP connections on, with the faults that it is told to make, until SIGTERM or SIGINT. It knows no protocol, so
it stands between any two programs.

Flags:
  --to HOST:PORT         where connections are led
  --listen HOST:PORT     where to listen                      (default 127.0.0.1:0, a free port)
  --seed N               what all chance comes from           (default by chance; it is printed)
  --control PORT         HTTP on 127.0.0.1 to change the faults while it runs; 0 picks a free port
  --json                 print the addresses and the seed as one line of JSON
  --help                 print this

Faults:
  --direction WAY        both, to-server or to-client: the way that the faults apply to (default both)
  --latency MS           how long everything is under way
  --jitter MS            how much longer at most, by chance
  --bandwidth BYTES      bytes a second; 0 for one who does not read
  --blackhole            nothing passes, and nobody is told
  --reset-after BYTES    a reset after so many bytes one way
  --reset-rate N         resets a second of each connection, on average
  --truncate-after BYTES a FIN after so many bytes one way, in place of the rest
  --refuse               nobody listens

With --control:
  curl http://127.0.0.1:PORT/                                         what goes wrong, and what has happened
  curl --json '{"latency":200,"blackhole":true}' http://127.0.0.1:PORT/faults   changes what is named
  curl --json '{}' http://127.0.0.1:PORT/heal                         no faults; also /reset and /fin, of all connections now
`;

export interface ChaosFlags {
  readonly to: string;
  readonly listen: string;
  /** Undefined for one by chance. */
  readonly seed: number | undefined;
  /** Undefined for none. */
  readonly control: number | undefined;
  readonly json: boolean;
  readonly faults: ChaosFaults;
}

const OPTIONS = {
  to: { type: "string" },
  listen: { type: "string", default: "127.0.0.1:0" },
  seed: { type: "string" },
  control: { type: "string" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
  direction: { type: "string" },
  latency: { type: "string" },
  jitter: { type: "string" },
  bandwidth: { type: "string" },
  blackhole: { type: "boolean" },
  "reset-after": { type: "string" },
  "reset-rate": { type: "string" },
  "truncate-after": { type: "string" },
  refuse: { type: "boolean" },
} as const satisfies ParseArgsConfig["options"];

const NUMBERS = ["latency", "jitter", "bandwidth", "reset-after", "reset-rate", "truncate-after"] as const;

/** Judges the flags; undefined if help was asked for. UsageError with what was wrong; the proxy judges the faults themselves. */
export function parseChaosFlags(args: readonly string[]): ChaosFlags | undefined {
  const values = parseFlags("chaos", OPTIONS, args);
  if (values.help) return undefined;
  if (values.to === undefined) throw new UsageError('--to is missing; run "holdfast chaos --help" for the flags');
  const faults: Record<string, unknown> = {};
  for (const name of NUMBERS) {
    const text = values[name];
    if (text !== undefined) faults[camelCase(name)] = number(name, text);
  }
  for (const name of ["direction", "blackhole", "refuse"] as const) {
    if (values[name] !== undefined) faults[name] = values[name];
  }
  return {
    to: values.to,
    listen: values.listen,
    seed: values.seed === undefined ? undefined : wholeNumber("--seed", values.seed, 0, 2 ** 32 - 1),
    control: values.control === undefined ? undefined : wholeNumber("--control", values.control, 0, 65_535),
    json: values.json,
    faults,
  };
}

const camelCase = (name: string): string => name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());

function number(flag: string, text: string): number {
  if (/^(\d+(\.\d+)?|Infinity)$/.test(text)) return Number(text);
  throw new UsageError(`cannot use --${flag} ${JSON.stringify(text)}: expected a number from 0`);
}
