/** The manual of `holdfast chaos`, and the validation of its flags. */

import type { ChaosFaults } from "../../testing/index.ts";
import { type CommandLine, commandLine } from "../command.ts";
import { UsageError, wholeNumber } from "../flags.ts";
import type { FlagTable, Given, Manual } from "../manual.ts";

const FAULTS = { section: "Faults" } as const;

const CHAOS_FLAGS = {
  to: { type: "string", value: "HOST:PORT", required: true, text: "the target of the connections" },
  listen: {
    ...{ type: "string", value: "HOST:PORT", default: "127.0.0.1:0" },
    text: "the address to listen on; port 0 picks a free one",
  },
  seed: {
    type: "string",
    value: "N",
    text: "the seed of all random decisions; without it a random one, which is printed",
  },
  control: {
    type: "string",
    value: "PORT",
    text: "HTTP on 127.0.0.1 that changes the faults at run time; 0 picks a free port",
  },
  json: { type: "boolean", text: "print the addresses and the seed as one line of JSON" },
  direction: {
    ...{ type: "string", value: "NAME", choices: ["both", "to-server", "to-client"], ...FAULTS },
    text: "the direction of the faults, without this flag both",
  },
  latency: { type: "string", value: "MS", ...FAULTS, text: "delay of all bytes and of the FIN" },
  jitter: { type: "string", value: "MS", ...FAULTS, text: "largest random delay in addition to the latency" },
  bandwidth: { type: "string", value: "BYTES", ...FAULTS, text: "bytes per second; 0: nothing is read" },
  blackhole: { type: "boolean", ...FAULTS, text: "nothing is forwarded, and neither side gets an error" },
  "reset-after": { type: "string", value: "BYTES", ...FAULTS, text: "a reset after this many bytes in one direction" },
  "reset-rate": {
    type: "string",
    value: "N",
    ...FAULTS,
    text: "average number of resets per second of each connection",
  },
  "truncate-after": {
    ...{ type: "string", value: "BYTES", ...FAULTS },
    text: "a FIN after this many bytes in one direction, in place of the rest",
  },
  refuse: { type: "boolean", ...FAULTS, text: "do not listen: new connections are refused" },
} as const satisfies FlagTable;

const CHAOS_MANUAL: Manual<typeof CHAOS_FLAGS> = {
  name: "chaos",
  description: [
    "Forwards TCP connections with the given faults, until SIGTERM or SIGINT. It knows no protocol, so it can be used between any two programs.",
  ],
  flags: CHAOS_FLAGS,
  notes: {
    Control: [
      "With --control, PORT has an HTTP interface. Only programs of this machine can use it.",
      "GET / answers with the faults and the counts as JSON. POST changes them; it needs a body of JSON, with Content-Type: application/json.",
      '  POST /faults  changes the given faults: {"latency":200,"blackhole":true}',
      "  POST /heal    removes all faults: {}",
      "  POST /reset   resets all connections: {}",
      "  POST /fin     ends all connections with a FIN: {}",
    ],
  },
  statuses: { 0: "ended by a signal", 1: "cannot listen", 2: "wrong use" },
  examples: [
    {
      text: "A slow and unsteady network before a server",
      line: "holdfast chaos --to 127.0.0.1:9000 --latency 80 --jitter 40",
    },
    { text: "The same faults in each run", line: "holdfast chaos --to 127.0.0.1:9000 --reset-rate 0.1 --seed 7" },
    {
      text: "No fault yet: a test sets them at run time, and reads the addresses as JSON",
      line: "holdfast chaos --to 127.0.0.1:9000 --control 0 --json",
    },
  ],
};

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

const NUMBERS = ["latency", "jitter", "bandwidth", "reset-after", "reset-rate", "truncate-after"] as const;

export const CHAOS_LINE: CommandLine<ChaosFlags> = commandLine(CHAOS_MANUAL, settle);

/** Validates the flags. Throws UsageError for a wrong one. The proxy validates the values of the faults. */
function settle(values: Given<typeof CHAOS_FLAGS>): ChaosFlags {
  const faults: Record<string, unknown> = {};
  for (const name of NUMBERS) {
    const text = values[name];
    if (text !== undefined) faults[camelCase(name)] = faultNumber(name, text);
  }
  if (values.direction !== undefined) faults["direction"] = values.direction;
  for (const name of ["blackhole", "refuse"] as const) if (values[name]) faults[name] = true;
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
