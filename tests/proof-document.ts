/** Writes the page docs/proof.md from recorded results: nothing on it is written by hand. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

interface Facts {
  readonly commit: string;
  readonly date: string;
  readonly where: string;
}

interface Simulation extends Facts {
  readonly seeds: number;
  readonly from: number;
  readonly failing: readonly number[];
  readonly seconds: number;
  readonly workers: number;
  readonly wanted: number;
  readonly rare: readonly string[];
  readonly reach: Readonly<Record<string, number>>;
}

interface Mutants extends Facts {
  readonly most: number;
  readonly results: readonly { readonly name: string; readonly caught: number | null; readonly rule: string | null }[];
}

interface Tests extends Facts {
  readonly folders: Readonly<
    Record<string, { readonly files: number; readonly tests: number; readonly properties: number }>
  >;
  readonly corpus: number;
}

interface Section {
  readonly passed: readonly string[];
  readonly failed: readonly string[];
  readonly todo: readonly string[];
}

export interface Fuzz extends Facts {
  readonly targets: Readonly<
    Record<
      string,
      {
        readonly runs: number;
        readonly inputs: number;
        readonly seconds: number;
        readonly edges: number;
        readonly found: number;
      }
    >
  >;
}

interface Soak extends Facts {
  readonly minutes: number;
  readonly connections: number;
  readonly accepted: number;
  readonly resets: number;
  readonly sent: number;
  readonly answers: number;
  readonly cut: number;
  readonly before: number;
  readonly after: number;
  readonly samples: readonly { readonly second: number; readonly bytes: number; readonly descriptors: number }[];
}

interface Amplification extends Facts {
  readonly peers: readonly { readonly name: string; readonly version: string }[];
  readonly attacks: readonly {
    readonly attack: string;
    readonly results: Readonly<
      Record<
        string,
        {
          readonly bytes: number;
          readonly memory: number;
          readonly cpu: number;
          readonly open: number;
          readonly ended: boolean;
        }
      >
    >;
  }[];
}

/** An entry of proof/faults.json. */
export interface KnownFault {
  /** The versions that have it. "Unreleased" for one that no release has had. */
  readonly versions: string;
  readonly state: "open" | "mended";
  /** What has found it. */
  readonly found: string;
  readonly fault: string;
  /** The test that shows that it is mended. */
  readonly test?: string;
}

const number = (value: number): string => value.toLocaleString("en-US");
const found = ({ commit, date, where }: Facts): string => `Commit ${commit}, ${date}, ${where}.`;

/** The page. `root` is the folder of the repository. */
export function proofDocument(root: string): string {
  const read = <T>(path: string): T | undefined => {
    const file = join(root, path);
    return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as T) : undefined;
  };
  const conformance = ["sections", "rfc", "interop", "differential"].map(
    (name) => [name, read<readonly Section[]>(`conformance/results/${name}.json`) ?? []] as const,
  );
  const systems = read<Simulation>("proof/results/simulation.json");
  const breakages = read<Mutants>("proof/results/mutants.json");
  const topics = read<Simulation>("proof/results/topics-simulation.json");
  const hubBreakages = read<Mutants>("proof/results/topics-mutants.json");
  const fuzz = read<Fuzz>("proof/results/fuzz.json");
  const soak = read<Soak>("proof/results/soak.json");
  const amplification = read<Amplification>("proof/results/amplification.json");
  const faults = read<readonly KnownFault[]>("proof/faults.json") ?? [];
  return `${[
    "# Proof",
    "What has been done to find faults of this library, and with which result. This page is written by `npm run docs` from recorded results, and a test compares them. Each result has the command that finds it, and the commit, day and machine on which it was found.",
    table(
      ["what", "result"],
      [
        [
          "[simulated systems](#whole-systems-each-from-a-seed)",
          systems && `${number(systems.seeds)} seeds, ${number(systems.failing.length)} failed`,
        ],
        [
          "[breakages](#breakages-that-the-rules-notice)",
          breakages && `${noticed(breakages)} of ${breakages.results.length} noticed`,
        ],
        ["[tests](#tests-by-folder)", "each requirement, error and way to end"],
        ["[conformance](#conformance)", "RFC 6455, RFC 7692, and peers of other projects"],
        [
          "[fuzzing](#fuzzing)",
          fuzz && `${number(total(fuzz, "inputs"))} inputs for ${Object.keys(fuzz.targets).length} targets`,
        ],
        [
          "[soak](#soak)",
          soak &&
            `${number(soak.minutes)} minutes of random faults on ${number(soak.connections)} connections; ${mebibytes(soak.after)} MiB and no socket at the end`,
        ],
        [
          "[amplification](#amplification)",
          amplification &&
            `${amplification.attacks.length} attacks on ${amplification.peers.map(({ version }) => version).join(", ")}`,
        ],
        ["[known faults](#known-faults-by-version)", `${faults.filter(({ state }) => state === "open").length} open`],
      ].map(([what = "", result]) => [what, result ?? "not recorded"]),
    ),
    ...simulation("Whole systems, each from a seed", systems),
    ...mutants(breakages),
    ...topicRuns(topics, hubBreakages),
    ...tests(read("proof/results/tests.json")),
    ...conformed(conformance),
    ...fuzzed(fuzz),
    ...soaked(soak),
    ...amplified(amplification),
    ...known(faults),
  ].join("\n\n")}\n`;
}

const noticed = ({ results }: Mutants): number => results.filter(({ caught }) => caught !== null).length;

const total = ({ targets }: Fuzz, field: "inputs" | "seconds" | "found"): number =>
  Object.values(targets).reduce((sum, target) => sum + target[field], 0);

/** A long table, which a reader opens. */
const folded = (title: string, content: string): string =>
  `<details><summary>${title}</summary>\n\n${content}\n\n</details>`;

const EVENTS = /^(cause|states|policy|HANDSHAKE|PROTOCOL|openTimeout|queueTimeout|code|refused|onError \w+$|listen)/;

function simulation(title: string, result: Simulation | undefined): string[] {
  const heading = `## ${title}`;
  if (result === undefined) return [heading, "Not recorded: `npm run simulate -- 100000 --record`."];
  const { seeds, from, failing, seconds, workers, wanted, rare, reach } = result;
  const failed = failing.length === 0 ? "none failed" : `${number(failing.length)} failed (${failing.join(", ")})`;
  const reached = `${wanted - rare.length} of ${wanted} wanted events (the rows of [failures](failures.md), the states of both ends, causes of ends, policies) occurred in at least 1 of 1,000 runs${rare.length === 0 ? "." : `; rarer were: ${rare.map((name) => `${name} (${reach[name] ?? 0})`).join(", ")}.`}`;
  return [
    heading,
    "Each run has a server with groups, hooks and framed TCP, a second server that is connected by an exchange, up to four clients, clients that reconnect, and peers that break rules. Links are cut, reset and slow; processes are frozen, killed and lose power. All of it runs in one process, on the network in memory and in virtual time, so that a seed has the same events each time. The rules (`tests/simulation/end.ts` and `oracle.ts`) are judged in each step and at the end: order and content of messages, each call settles once, each limit neither too early nor too late by its own length, bounds of queues, descriptors, groups.",
    `**${number(seeds)} seeds from ${number(from)}: ${failed}**, in ${number(seconds)} s with ${workers} processes. ${reached} \`npm run simulate -- ${seeds} --from ${from}\`. ${found(result)}`,
    folded(
      "How many runs had each event",
      table(
        ["event", "runs with it"],
        Object.entries(reach)
          .filter(([name]) => EVENTS.test(name))
          .map(([name, times]) => [name, number(times)]),
      ),
    ),
  ];
}

function topicRuns(result: Simulation | undefined, breakages: Mutants | undefined): string[] {
  if (result === undefined || breakages === undefined) return [];
  const { seeds, from, failing, seconds, workers } = result;
  const failed = failing.length === 0 ? "none failed" : `${number(failing.length)} failed (${failing.join(", ")})`;
  return [
    "## Topics, each from a seed",
    "Each run has three hosts with hubs, four clients that move between them, code that follows the topic on each host, and one server of a broker. The server loses entries on their way, ends connections, freezes, forgets its newest entries or all of them; hosts die and start again. The rules (`tests/hub/clients.ts`, `tests/hub/promises.ts`): each reader gets a run of one history or a gap in its place, each message once, nothing is missing at the end, `except`, and bounds of reads and renewals.",
    `**${number(seeds)} seeds from ${number(from)}: ${failed}**, in ${number(seconds)} s with ${workers} processes. \`npm run simulate -- ${seeds} --from ${from} --topics\`. ${found(result)}`,
    ...mutants(breakages, "## Breakages of the hub that the rules notice", "npm run simulate -- --topics --mutants"),
  ];
}

function mutants(
  result: Mutants | undefined,
  heading: string = "## Breakages that the rules notice",
  command: string = "npm run simulate -- --mutants",
): string[] {
  if (result === undefined) return [heading, "Not recorded: `npm run simulate -- --mutants --record`."];
  const { results, most } = result;
  const caught = noticed(result);
  return [
    heading,
    `Rules that never fail prove nothing. So the built library is broken in one line at a time. **${caught} of ${results.length} breakages are noticed within ${number(most)} seeds.** \`${command}\`. ${found(result)}`,
    folded(
      "Each breakage, with the number of seeds until it is noticed",
      table(
        ["breakage", "seeds", "broken rule"],
        results.map(({ name, caught: seeds, rule }) => [
          name,
          seeds === null ? "not noticed" : number(seeds),
          rule ?? "",
        ]),
      ),
    ),
  ];
}

function tests(result: Tests | undefined): string[] {
  const heading = "## Tests by folder";
  if (result === undefined) return [heading, "Not recorded: `npm run proof`."];
  const rows = Object.entries(result.folders).map(([name, { files, tests: count, properties }]) => [
    name,
    number(files),
    number(count),
    number(properties),
  ]);
  return [
    heading,
    `Calls of \`it\` in the sources, many of which run once for each row of a table; property tests draw a hundred inputs or more each. The corpus of the fuzz targets has ${number(result.corpus)} inputs, which every \`npm test\` runs. \`npm run proof\`. ${found(result)}`,
    table(["folder", "files", "tests", "property tests"], rows),
  ];
}

function conformed(results: readonly (readonly [string, readonly Section[]])[]): string[] {
  const rows = results.map(([name, sections]) => {
    const sum = (field: keyof Section): string =>
      number(sections.reduce((total, section) => total + section[field].length, 0));
    return [name, sum("passed"), sum("failed"), sum("todo")];
  });
  return [
    "## Conformance",
    "RFC 6455 and RFC 7692, by cases of this project, with peers of other projects, and by comparison of decoders: see [conformance](conformance.md). `npm run test:conformance` writes `conformance/results`.",
    table(["cases", "passed", "failed", "not implemented"], rows),
  ];
}

function fuzzed(result: Fuzz | undefined): string[] {
  const heading = "## Fuzzing";
  if (result === undefined) return [heading, "Not recorded: `npm run fuzz -- TARGET 60 --record`."];
  const targets = Object.entries(result.targets).sort(([one], [other]) => (one < other ? -1 : 1));
  return [
    heading,
    `Inputs are made by [Jazzer.js](https://github.com/CodeIntelligenceTesting/jazzer.js), guided by coverage, and each target compares the decoder with a second one or with rules. **${number(targets.length)} targets, ${number(total(result, "inputs"))} inputs in ${(total(result, "seconds") / 3_600).toFixed(1)} hours: ${number(total(result, "found"))} found.** A found input is kept in \`tests/fuzz/corpus\` and tried by every \`npm test\`. \`npm run fuzz -- TARGET 60 --record\`. ${found(result)}`,
    table(
      ["target", "runs", "inputs", "seconds", "edges reached", "found"],
      targets.map(([name, { runs, inputs, seconds, edges, found: faults }]) => [
        name,
        ...[runs, inputs, seconds, edges, faults].map(number),
      ]),
    ),
  ];
}

const mebibytes = (bytes: number): string => (bytes / 1_048_576).toFixed(1);

function soaked(result: Soak | undefined): string[] {
  const heading = "## Soak";
  if (result === undefined)
    return [heading, 'Not recorded: `HOLDFAST_RECORD=1 HOLDFAST_SOAK="10 400" npm test -- faults/soak`.'];
  const { minutes, connections, accepted, resets, sent, answers, cut, before, after, samples } = result;
  const memory = samples.map(({ bytes }) => bytes);
  const descriptors = samples.map((sample) => sample.descriptors);
  const [least, most] = [Math.min(...memory), Math.max(...memory)];
  return [
    heading,
    `${number(connections)} clients connect again and again for ${number(minutes)} minutes through a proxy with random faults: latency, little bandwidth, black holes, resets, truncated streams, refusals. Clients, servers and proxy are in one process. ${number(accepted)} connections, ${number(resets)} of them reset by the proxy; ${number(sent)} messages sent, ${number(answers)} answered, ${number(cut)} in flight when their connection ended, none lost otherwise and none twice. **Memory without garbage: ${mebibytes(before)} MiB after a warm-up, ${mebibytes(least)} to ${mebibytes(most)} MiB meanwhile, ${mebibytes(after)} MiB at the end; ${number(Math.min(...descriptors))} to ${number(Math.max(...descriptors))} descriptors, and no socket at the end.** \`HOLDFAST_RECORD=1 HOLDFAST_SOAK="${minutes} ${connections}" npm test -- faults/soak\`. ${found(result)}`,
    [
      "```text",
      chart(
        "memory without garbage, in MiB, from the beginning to the end",
        memory.map((bytes) => bytes / 1_048_576),
      ),
      "",
      chart("descriptors", descriptors),
      "```",
    ].join("\n"),
  ];
}

const ROWS = 8;

/** A chart in characters: a column for each value, up to the largest. */
function chart(title: string, values: readonly number[]): string {
  const most = Math.max(...values);
  const heights = values.map((value) => Math.round((value / most) * ROWS));
  const lines = Array.from({ length: ROWS }, (_, index) => {
    const row = ROWS - index;
    const scale = row === ROWS ? String(Math.round(most)) : row === 1 ? "0" : "";
    return `${scale.padStart(6)} |${heights.map((height) => (height >= row ? "#" : " ")).join("")}`.trimEnd();
  });
  return [title, ...lines].join("\n");
}

function amplified(result: Amplification | undefined): string[] {
  const heading = "## Amplification";
  if (result === undefined) return [heading, "Not recorded: `npm run amplification -- --record`."];
  const { peers, attacks } = result;
  const rows = attacks.flatMap(({ attack, results }) =>
    peers.map(({ name, version }, index) => {
      const one = results[name];
      if (one === undefined) return ["", version, "", "", "", ""];
      const { bytes, memory, cpu, open, ended } = one;
      return [
        index === 0 ? attack : "",
        version,
        mebibytes(bytes),
        mebibytes(memory),
        number(cpu),
        ended ? "the process has ended" : number(open),
      ];
    }),
  );
  return [
    heading,
    `What an attack costs a server, each with its defaults: bytes that the attacker could send, and the resident memory and processor time of the server process, with garbage. A few connections attack for at most 6 s, slow requests for 12 s. \`npm run amplification\`. ${found(result)}`,
    table(["attack", "server", "MiB in", "MiB of memory", "ms of processor", "connections left"], rows),
  ];
}

function known(faults: readonly KnownFault[]): string[] {
  const open = faults.filter(({ state }) => state === "open");
  const mended = faults.filter(({ state }) => state === "mended");
  const rows = [...open, ...mended].map(({ versions, state, found: by, fault, test }) => [
    versions,
    state,
    fault,
    by,
    test === undefined ? "" : `\`${test}\``,
  ]);
  return [
    "## Known faults by version",
    `From \`proof/faults.json\`. There is no release yet, so all of them are of the code before the first one. ${number(open.length)} open, ${number(mended.length)} mended.`,
    table(["versions", "state", "what a user would see", "found by", "shown by"], rows),
  ];
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(heads), `|${heads.map(() => "---|").join("")}`, ...rows.map(line)].join("\n");
}
