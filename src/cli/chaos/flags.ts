/** The flags of `holdfast chaos`, their help text and their validation. */

import type { ParseArgsConfig } from "node:util";
import type { ChaosFaults } from "../../testing/index.ts";
import { parseFlags, UsageError, wholeNumber } from "../flags.ts";

export const CHAOS_USAGE: string = `Usage: holdfast chaos --to HOST:PORT [flags]

Forwards TCP connections with the given faults, until SIGTERM or SIGINT. It knows no protocol, so it can be used between
any two programs.

Flags:
  --to HOST:PORT         the target of the connections
  --listen HOST:PORT     the address to listen on             (default 127.0.0.1:0, a free port)
  --seed N               the seed of all random decisions     (default random; it is printed)
  --control PORT         HTTP on 127.0.0.1 that changes the faults at run time; 0 picks a free port
  --json                 print the addresses and the seed as one line of JSON
  --help                 print this

Faults:
  --direction NAME       both, to-server or to-client: the direction of the faults (default both)
  --latency MS           delay of all bytes and of the FIN
  --jitter MS            largest random delay in addition to the latency
  --bandwidth BYTES      bytes per second; 0: nothing is read
  --blackhole            nothing is forwarded, and neither side gets an error
  --reset-after BYTES    a reset after this many bytes in one direction
  --reset-rate N         average number of resets per second of each connection
  --truncate-after BYTES a FIN after this many bytes in one direction, in place of the rest
  --refuse               do not listen: new connections are refused

With --control:
  curl http://127.0.0.1:PORT/                                         shows the faults and the counts
  curl --json '{"latency":200,"blackhole":true}' http://127.0.0.1:PORT/faults   changes the given faults
  curl --json '{}' http://127.0.0.1:PORT/heal                         removes all faults; also /reset and /fin, for all connections
`;

export interface ChaosFlags {
  readonly to: string;
  readonly listen: string;
  /** Undefined for a random seed. */
  readonly seed: number | undefined;
  /** Port of the HTTP interface; undefined for no interface. */
  readonly control: number | undefined;
  readonly json: boolean;
  readonly faults: ChaosFaults;
}

const CHAOS_OPTIONS = {
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

/** Parses the flags; undefined for `--help`. Throws UsageError for a wrong flag. The proxy validates the values of the faults. */
export function parseChaosFlags(args: readonly string[]): ChaosFlags | undefined {
  const values = parseFlags("chaos", CHAOS_OPTIONS, args);
  if (values.help) return undefined;
  if (values.to === undefined) throw new UsageError('--to is missing; run "holdfast chaos --help" for the flags');
  const faults: Record<string, unknown> = {};
  for (const name of NUMBERS) {
    const text = values[name];
    if (text !== undefined) faults[camelCase(name)] = faultNumber(name, text);
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

function faultNumber(flag: string, text: string): number {
  if (/^(\d+(\.\d+)?|Infinity)$/.test(text)) return Number(text);
  throw new UsageError(`cannot use --${flag} ${JSON.stringify(text)}: expected a number from 0`);
}
