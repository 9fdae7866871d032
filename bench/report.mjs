/** The results as tables for the documents: what each server did, how it compares, and under which conditions. */

const NOT_THERE = "–";

/** One work: its servers, then ours against each, then what was to be reached. */
export function tableOf(result) {
  return [
    `### ${result.title}`,
    "",
    `\`npm run bench -- --work ${result.work}\`; ${result.method.runs} pairs of ${result.method.seconds} s each.`,
    "",
    ...(Object.keys(result.servers).length > 0 ? [...(SERVERS[result.kind] ?? SERVERS.echo)(result), ""] : []),
    ...compared(result),
    ...goals(result),
    ...remarks(result),
  ].join("\n");
}

/** The columns by kind of work. */
const SERVERS = {
  echo: (result) =>
    rows(result, {
      "messages/s": (one) => count(one.rate),
      "CPU µs/message (user + system)": (one) => `${figure(one.cpu)} (${figure(one.user)} + ${figure(one.system)})`,
      "p50 / p99 / p99.9 µs": (one) => `${count(one.p50)} / ${count(one.p99)} / ${count(one.p999)}`,
      resident: (one) => megabytes(one.resident),
    }),
  idle: (result) =>
    rows(result, {
      "resident bytes/connection": (one) => count(one.memory),
      "of these on the heap": (one) => count(one.live),
      "CPU of a core": (one) => `${((one.share ?? 0) * 100).toFixed(2)} %`,
      connections: (one) => count(one.connections),
    }),
  stalled: (result) =>
    rows(result, {
      "memory grew by": (one) => megabytes(one.grown),
      "over the bound": (one) => `${figure(one.growth)}x`,
    }),
};

function rows({ servers, versions }, columns) {
  const titles = Object.keys(columns);
  const lines = [`| server | ${titles.join(" | ")} |`, `|---|${titles.map(() => "---:|").join("")}`];
  for (const [name, one] of Object.entries(servers)) {
    const cells = titles.map((title) => columns[title](one));
    lines.push(
      `| ${versions[name] ?? name}${name.startsWith("holdfast-") ? " (public sockets)" : ""} | ${cells.join(" | ")} |`,
    );
  }
  return lines;
}

const RATIO_TITLES = {
  rate: "throughput, ours over theirs",
  cpu: "CPU per message, ours over theirs",
  memory: "memory, theirs over ours",
  growth: "growth, theirs over ours",
};

function compared({ against }) {
  const measures = Object.keys(RATIO_TITLES).filter((name) => Object.values(against).some((one) => one[name]));
  if (measures.length === 0) return [];
  return [
    `| against | ${measures.map((name) => RATIO_TITLES[name]).join(" | ")} |`,
    `|---|${measures.map(() => "---:|").join("")}`,
    ...Object.entries(against).map(([peer, ratios]) => {
      const cells = measures.map((name) => {
        const ratio = ratios[name];
        return ratio ? `${figure(ratio.median)} (${figure(ratio.least)} to ${figure(ratio.most)})` : NOT_THERE;
      });
      return `| ${peer} | ${cells.join(" | ")} |`;
    }),
    "",
  ];
}

const GOAL_WORDS = {
  rate: RATIO_TITLES.rate,
  cpu: RATIO_TITLES.cpu,
  memory: "resident bytes per connection (against a peer: theirs over ours)",
  share: "share of a core",
  tail: "p99 over that without slow members",
  growth: "growth over the bound",
};

function goals({ goals: all }) {
  return all.map(({ measure, peer, atLeast, atMost, value, met }) => {
    const bound = atLeast === undefined ? `at most ${atMost}` : `at least ${atLeast}`;
    const what = `${GOAL_WORDS[measure]}${peer === undefined ? "" : `, against ${peer}`}: ${bound}`;
    return `- ${what}; ${value === undefined ? "not measured" : `${figure(value)}, ${met ? "reached" : "missed"}`}`;
  });
}

/** Server, generator and harness make a load of two. */
const BUSY = 3;

function remarks({ servers, leftOut, failed, busy }) {
  const lines = [];
  if (busy > BUSY) lines.push(`- the machine had a load of ${figure(busy)} when this began: others were at work on it`);
  for (const [name, one] of Object.entries(servers)) {
    if (one.saturated) {
      const share = Math.round(one.generatorCpu * 100);
      lines.push(`- ${name}: the generator was at ${share} % of its core, so the server can do more than this`);
    }
    if (one.asked !== undefined) {
      lines.push(
        `- ${name}: ${count(one.connections)} connections instead of ${count(one.asked)}, for want of descriptors`,
      );
    }
  }
  for (const [name, why] of Object.entries(leftOut)) lines.push(`- ${name} is left out: ${why}`);
  for (const [name, why] of Object.entries(failed)) lines.push(`- ${name} failed: ${why}`);
  return lines;
}

/** Everything that was measured, with the machine it was measured on. */
export function document(results) {
  const machines = new Map(results.map(({ machine }) => [JSON.stringify(machine), machine]));
  const described = Array.from(machines.values(), (machine) => {
    const cores =
      machine.pinned === null
        ? "server and generator share a core"
        : `server on core ${machine.pinned.server}, generator on core ${machine.pinned.generator}`;
    return `${machine.processor}, ${machine.cores} cores, ${machine.memory}, ${machine.kernel}, Node ${machine.node}; ${cores}.`;
  });
  return [
    "# Results",
    "",
    "Drawn by `npm run bench` from the files beside it. The method is in `bench/README.md`. Rates depend on the",
    "machine and on its day; ratios are between runs of the same minute: the median, and the least and the most of all pairs.",
    "",
    ...described,
    "",
    ...results.flatMap((result) => [tableOf(result), ""]),
  ].join("\n");
}

function count(value) {
  if (value === null || value === undefined) return NOT_THERE;
  return Math.round(value).toLocaleString("en");
}

function figure(value) {
  if (value === null || value === undefined) return NOT_THERE;
  return value >= 100 ? count(value) : Number(value.toPrecision(3)).toString();
}

function megabytes(value) {
  return value === undefined ? NOT_THERE : `${figure(value / 1e6)} MB`;
}
