/**
 * Which tests run when. A test file that is not listed here runs with `npm test`.
 *
 * An entry is a folder of `tests`, or a file of it without its ending. Paths are given as they are in `.build`.
 */

import { filesIn } from "./ready.mjs";

/** The tests of `npm run check`: what a change to `base`, `engine` or `connection` breaks first, in less than 30 seconds. */
const CHECK = ["connection", "engine", "base", "contract/memory", "docs", "exports", "house"];

/** The tests that only `npm run test:all` runs: they last seconds each, or need root or other programs. */
const LONG = [
  // The programs of the benchmarks, which are compiled first.
  "bench",
  // Programs of other projects: browsers, runtimes, libraries.
  "conformance/peers",
  "examples/servers",
  "interop",
  "runtimes",
  // Packet loss, network namespaces, control groups, proxies, soaks.
  "faults",
  // The package as it is published, installed in other projects and compiled by every supported TypeScript.
  "package",
  // Processes that serve for many seconds, and are killed and started again.
  "requirements/s4-load",
  "requirements/s4-reconnect",
  // Prometheus.
  "metrics/prometheus",
  "monitoring/incidents",
  "monitoring/promtool",
  // The memory of a server in a process of its own, with thousands of connections.
  "connection/footprint",
  // What the developer's tools do in a checkout of their own, and slow clients up to the default limits.
  "tools",
  "cli/serve/slow-openings",
  // One chat over several processes, with servers of Redis and NATS.
  "cli/serve/broker",
  // Servers of Redis, which the tests start and kill.
  "broker/redis-cluster",
  "broker/redis-contract",
  "broker/redis-faults",
  "broker/redis-hub",
  // Servers of NATS, which the tests start and kill.
  "broker/nats",
  "broker/nats-contract",
  "broker/nats-core-contract",
  // The report in a browser.
  "cli/bench/report-page",
  // The dashboard in a browser.
  "dashboard/page/browser",
  // A server that stalls for one second in ten, over ten seconds.
  "cli/bench/stall",
  "cli/bench/terminal",
  // Dozens of processes, and a terminal whose other side is Python.
  "cli/examples",
  // The doctor with programs of other projects.
  "cli/doctor/ages",
  "cli/doctor/attach",
  // The shells that complete command lines.
  "cli/completion",
  "cli/connect/connect",
  "cli/connect/terminal",
  "cli/top/terminal",
  // nginx, HAProxy and servers of other libraries, probed.
  "cli/probe/foreign",
  // Attacks on a server in a process of its own, whose memory and processor time are measured.
  "hostile",
];

/** The tests that only the oldest Node runs: they are about documents, the developer's tools, compilers and other runtimes. */
const ONCE = ["bench", "docs", "exports", "house", "monitoring", "package/types", "runtimes", "tools"];

/**
 * The tests that only the oldest and the newest Node run. The Nodes between would give the same result: the functions are pure,
 * the bytes are compared with a table, or the test is about the network or other programs.
 */
const ALIKE = [
  ...ONCE,
  ...["conformance", "engine", "faults", "fuzz", "interop"],
  ...["broker", "dashboard/page", "metrics/prometheus", "simulation/topics"],
  // Commands on top of the library. Those that reach into Node run everywhere: serve, and doctor --attach.
  ...["cli/bench", "cli/chaos", "cli/connect", "cli/probe", "cli/top", "cli/completion", "cli/examples"],
  ...["cli/doctor/ages", "cli/serve/broker"],
];

/** Which test files belong to each set. */
export const SETS = {
  check: (path) => listed(path, CHECK) && !listed(path, LONG),
  usual: (path) => !listed(path, LONG),
  long: (path) => listed(path, LONG),
  all: () => true,
  newest: (path) => !listed(path, ONCE),
  node: (path) => !listed(path, ALIKE),
};

/** The test files of a set, in the order in which they are run. */
export function testFiles(set) {
  return filesIn(".build/tests")
    .filter((path) => path.endsWith(".test.js"))
    .filter(SETS[set]);
}

/** The entries that no test file matches any more. */
export function unmatchedEntries() {
  const files = testFiles("all");
  return [...CHECK, ...LONG, ...ALIKE].filter((entry) => !files.some((path) => listed(path, [entry])));
}

function listed(path, entries) {
  return entries.some((entry) => path.startsWith(`.build/tests/${entry}/`) || path === `.build/tests/${entry}.test.js`);
}
