/** The tools in another checkout: what they build, run, refuse and leave behind. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const checkouts: string[] = [];
after(() => {
  for (const folder of checkouts) rmSync(folder, { recursive: true });
});

/** A folder with these files, our tools and our manifest. The installed packages are shared. */
function checkout(files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
  checkouts.push(folder);
  for (const name of [
    "tools",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "tsconfig.dist.json",
    "tsconfig.examples.json",
  ]) {
    cpSync(join(ROOT, name), join(folder, name), { recursive: true });
  }
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"), "junction");
  const example = { "examples/one.ts": 'console.log("one");' };
  write(folder, { "src/index.ts": "export const one: number = 1;", ...example, ...files });
  return folder;
}

function write(folder: string, files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), `${text}\n`);
  }
}

interface Ran {
  readonly status: number | null;
  readonly output: string;
}

/** Runs a program in that folder to its end. `heard` is called with its output so far, each time that it prints. */
async function run(
  folder: string,
  [command = "", ...args]: readonly string[],
  env: NodeJS.ProcessEnv = {},
  heard: (output: string, child: ChildProcess) => void = () => {},
): Promise<Ran> {
  // Our environment without what a runner sets for its test files, and without the variables of this project.
  const { NODE_TEST_CONTEXT: _, NODE_OPTIONS: __, ...others } = process.env;
  const ours = Object.fromEntries(Object.entries(others).filter(([name]) => !name.startsWith("HOLDFAST_")));
  const child = spawn(command, args, { cwd: folder, env: { ...ours, ...env } });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      heard(output, child);
    });
  }
  const status = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { status, output };
}

const TEST = 'import { test } from "node:test";';

describe("ready", () => {
  it("builds what is stale, keeps the rest, and removes files without a source", async () => {
    const folder = checkout({ "src/gone.ts": "export const gone: number = 1;" });
    const ready = (): Promise<Ran> => run(folder, [process.execPath, "tools/ready.mjs"]);
    const index = join(folder, "dist/index.js");
    const built = (): number => statSync(index).mtimeMs;

    assert.deepEqual(await ready(), { status: 0, output: "" });
    assert.ok(existsSync(join(folder, "dist/gone.d.ts")));
    const first = built();
    await ready();
    assert.equal(built(), first);

    rmSync(join(folder, "src/gone.ts"));
    await ready();
    assert.ok(!existsSync(join(folder, "dist/gone.js")) && !existsSync(join(folder, "dist/gone.d.ts")));

    rmSync(index);
    await ready();
    assert.ok(existsSync(index));
  });

  it("says on stderr that it installs, before npm does", async () => {
    const npm = 'console.log("npm", ...process.argv.slice(2)); process.exit(3);';
    const folder = checkout({ "npm-cli.js": npm });
    rmSync(join(folder, "node_modules"));
    const { status, output } = await run(folder, [process.execPath, "tools/ready.mjs"], {
      npm_execpath: join(folder, "npm-cli.js"),
    });
    assert.equal(status, 3);
    assert.match(output, /^holdfast: installs the packages that are missing, once \(npm ci\)\nnpm ci .*\n$/);
  });

  it("fails with the compiler's words, and tries again the next time", async () => {
    const folder = checkout({ "src/bad.ts": 'export const one: number = "1";' });
    for (const attempt of [1, 2]) {
      const { status, output } = await run(folder, [process.execPath, "tools/ready.mjs"]);
      assert.notEqual(status, 0, `attempt ${attempt}`);
      assert.match(output, /src\/bad\.ts.*TS2322/);
    }
  });

  for (const [what, killed] of [
    ["failed", false],
    ["was killed after the compiler had written its output", true],
  ] as const) {
    it(`builds again when the sources are as before a build that ${what}`, async () => {
      const notes = ".cache/built-dist.tsbuildinfo";
      // The compiler's notes are those of the previous build, as if the build had ended before it wrote them.
      const kill = [
        'import { copyFileSync } from "node:fs";',
        'if (process.argv[1]?.endsWith("typescript/bin/tsc")) {',
        "  // The compiler would take this process over, and nothing would run at its end.",
        "  process.execve = undefined;",
        '  process.on("exit", () => {',
        `    copyFileSync("notes", "${notes}");`,
        '    process.kill(process.pid, "SIGKILL");',
        "  });",
        "}",
      ];
      const folder = checkout({ "kill.mjs": kill.join("\n") });
      const ready = (env: NodeJS.ProcessEnv = {}): Promise<Ran> =>
        run(folder, [process.execPath, "tools/ready.mjs"], env);
      const source = readFileSync(join(folder, "src/index.ts"), "utf8").trimEnd();
      const built = (): string => readFileSync(join(folder, "dist/index.js"), "utf8");
      await ready();
      const first = built();
      cpSync(join(folder, notes), join(folder, "notes"));

      write(folder, { "src/index.ts": `export const one: number = ${killed ? "2" : '"2"'};` });
      const { status } = await ready(killed ? { NODE_OPTIONS: "--import=./kill.mjs" } : {});
      assert.notEqual(status, 0);
      assert.notEqual(built(), first);

      write(folder, { "src/index.ts": source });
      assert.deepEqual(await ready(), { status: 0, output: "" });
      assert.equal(built(), first);
    });
  }
});

describe("npm test", () => {
  const tests = (folder: string, ...args: string[]): Promise<Ran> =>
    run(folder, [process.execPath, "tools/test.mjs", ...args]);
  const allTests = (folder: string, ...args: string[]): Promise<Ran> =>
    run(folder, [process.execPath, "tools/test.mjs", ...args], { HOLDFAST_REQUIRE_ALL: "1" });

  it("picks files by their path and tests by their name, and keeps the status", async () => {
    const folder = checkout({
      "tests/engine/good.test.ts": `${TEST}\ntest("stands", () => {});`,
      "tests/engine/bad.test.ts": `${TEST}\ntest("falls", () => { throw new Error("as it should"); });`,
    });
    const whole = await tests(folder);
    assert.equal(whole.status, 1);
    assert.match(whole.output, /ℹ tests 2\n[\s\S]*ℹ pass 1\nℹ fail 1\n/);
    assert.equal((await tests(folder, "engine/good")).status, 0);
    assert.equal((await tests(folder, "tests/engine/bad.test.ts")).status, 1);
    assert.equal((await tests(folder, "stands")).status, 0);
    assert.equal((await tests(folder, "no such name")).status, 1);
  });

  it("fails for a skipped test when all are required, and only then; never for one that is to be written", async () => {
    const folder = checkout({
      "tests/a.test.ts": `${TEST}\ntest("stands", () => {});\ntest("waits", { skip: "install curl" }, () => {});`,
      "tests/b.test.ts": `${TEST}\ntest("stands", (t) => { t.diagnostic("x"); });\ntest.todo("later");`,
    });
    assert.equal((await tests(folder)).status, 0);
    assert.equal((await allTests(folder, "tests/b")).status, 0);
    const { status, output } = await allTests(folder);
    assert.equal(status, 1);
    assert.match(output, /these were skipped\n {2}waits \(install curl\)\n/);
  });

  it("ends a file that a failed test keeps alive, and a file that is kept alive although all is well", async () => {
    const alive = "setInterval(() => {}, 1000);";
    const folder = checkout({
      "tests/hangs.test.ts": `${TEST}\ntest("hangs", { timeout: 10 }, () => new Promise(() => { ${alive} }));`,
      "tests/leaks.test.ts": `${TEST}\ntest("leaks", () => { ${alive} });`,
    });
    const { status, output } = await run(folder, [process.execPath, "tools/test.mjs"], {
      HOLDFAST_TEST_PATIENCE: "100",
    });
    assert.equal(status, 1);
    assert.match(output, /ℹ pass 1\n/);
    assert.match(output, /test timed out after 10ms/);
    assert.match(output, /leaks\.test\.js: is kept alive by .*Timeout/);
  });

  it("repeats the draws of a property test, and draws more, on request", async () => {
    const property = [
      'import fc from "fast-check";',
      "let runs = 0;",
      'test("draws", () => fc.assert(fc.property(fc.nat(), () => { runs += 1; })));',
      'test("counts", () => { console.log(`${runs} runs`); });',
      'test("falls", () => fc.assert(fc.property(fc.nat(), () => false)));',
    ];
    const random = readFileSync(join(ROOT, "tests/kit/random.ts"), "utf8");
    const folder = checkout({ "tests/kit/random.ts": random, "tests/a.test.ts": [TEST, ...property].join("\n") });
    const set = { HOLDFAST_SEED: "42", HOLDFAST_RUNS: "3" };
    const { output } = await run(folder, [process.execPath, "tools/test.mjs"], set);
    assert.match(output, /seed: 42,/);
    assert.match(output, /300 runs/);
  });

  it("fails for a path that no test file has, without trying it as a name", async () => {
    const folder = checkout({ "tests/engine/good.test.ts": `${TEST}\ntest("stands", () => {});` });
    const { status, output } = await tests(folder, "engine/gone.test.ts");
    assert.equal(status, 1);
    assert.equal(output, "npm test: no test file has a path that contains\n  engine/gone.test.ts\n");
  });

  it("leaves the long tests to test:all, except when they are named, and can run them alone", async () => {
    const folder = checkout({
      "tests/faults/slow.test.ts": `${TEST}\ntest("lasts", () => {});`,
      "tests/engine/good.test.ts": `${TEST}\ntest("stands", () => {});`,
    });
    const ran = async (...args: string[]): Promise<string[]> =>
      Array.from((await tests(folder, ...args)).output.matchAll(/^✔ (\w+)/gm), ([, name = ""]) => name);
    assert.deepEqual(await ran(), ["stands"]);
    assert.deepEqual(await ran("--set=all"), ["stands", "lasts"]);
    assert.deepEqual(await ran("--set=long"), ["lasts"]);
    assert.deepEqual(await ran("faults/slow"), ["lasts"]);
    assert.deepEqual((await ran("lasts")).includes("lasts"), true);
  });

  it("prints the slowest files with --slowest", async () => {
    const folder = checkout({ "tests/engine/good.test.ts": `${TEST}\ntest("stands", () => {});` });
    assert.match((await tests(folder, "--slowest")).output, /\n {4}\d\.\d {2}engine\/good\n$/);
  });

  it("fails when there is nothing to run", async () => {
    assert.equal((await tests(checkout({}))).status, 1);
    const { status, output } = await tests(
      checkout({ "tests/a.test.ts": `${TEST}\ntest("a", () => {});`, "tests/b.test.ts": "export {};" }),
    );
    assert.equal(status, 1);
    assert.match(output, /there is no test in\n.*b\.test\.js/);
  });
});

describe("npm run check", () => {
  const check = (folder: string): Promise<Ran> => run(folder, [process.execPath, "tools/check.mjs"]);
  const OURS = ["biome.json", ".gitignore"];
  const ours = Object.fromEntries(OURS.map((name) => [name, readFileSync(join(ROOT, name), "utf8").trimEnd()]));
  const stands = `${TEST}\n\ntest("stands", () => {});`;

  it("prints a line for each step that passed", async () => {
    const { status, output } = await check(checkout({ ...ours, "tests/engine/good.test.ts": stands }));
    assert.equal(status, 0, output);
    assert.deepEqual(output.match(/^.*(?= \()/gm)?.sort(), ["✔ format and lint", "✔ tests", "✔ types"]);
  });

  it("prints the test that fails, with its file and its error, and not the others", async () => {
    const falls = `${TEST}\n\ntest("falls", () => {\n  throw new Error("as it should");\n});`;
    const files = { "tests/engine/good.test.ts": stands, "tests/engine/bad.test.ts": falls };
    const { status, output } = await check(checkout({ ...ours, ...files }));
    assert.equal(status, 1);
    assert.match(output, /^✖ tests .*\n\ntests\/engine\/bad\.test\.ts: falls\nError: as it should\n/m);
    assert.match(output, /^✔ format and lint/m);
    assert.doesNotMatch(output, /stands/);
  });

  it("prints what the linter finds", async () => {
    const files = { "tests/engine/good.test.ts": stands, "src/b.ts": "export default 1;" };
    const { status, output } = await check(checkout({ ...ours, ...files }));
    assert.equal(status, 1);
    assert.match(output, /^✖ format and lint .*\n\nsrc\/b\.ts.*noDefaultExport/m);
    assert.match(output, /^✔ tests/m);
  });

  it("ends with the first step if the types are wrong", async () => {
    const { status, output } = await check(checkout({ ...ours, "src/bad.ts": 'export const one: number = "1";' }));
    assert.notEqual(status, 0);
    assert.match(output, /src\/bad\.ts.*TS2322/);
    assert.match(output, /^✖ types$/m);
    assert.doesNotMatch(output, /lint|tests/);
  });
});

describe("the sets of tests", () => {
  it("list folders and files that exist", async () => {
    const { unmatchedEntries } = await import(pathToFileURL(join(ROOT, "tools/tiers.mjs")).href);
    assert.deepEqual(unmatchedEntries(), []);
  });
});

describe("npm run fuzz", () => {
  it("lists the targets when none is named, and says in one line what it cannot do, with status 2", async () => {
    const target = "{ tries: 'what is tried', longest: 1, words: [], run: () => [] }";
    const targets = `export const TARGETS: object = { one: ${target}, other: ${target} };`;
    const folder = checkout({ "tests/fuzz/targets.ts": targets });
    const fuzz = (...args: string[]): Promise<Ran> => run(folder, [process.execPath, "tools/fuzz.mjs", ...args]);
    const said = (problem: string): Ran => ({ status: 2, output: `npm run fuzz: ${problem}\n` });

    assert.deepEqual(await fuzz(), { status: 0, output: "one    what is tried\nother  what is tried\n" });
    assert.deepEqual(await fuzz("nothing"), said("there is no target nothing: npm run fuzz lists them"));
    assert.deepEqual(await fuzz("toString", "5"), said("there is no target toString: npm run fuzz lists them"));
    for (const seconds of ["soon", "0", "-1", "1e9"])
      assert.deepEqual(await fuzz("one", seconds), said("expected a target and a number of seconds"));
  });
});

describe("npm run test:conformance", () => {
  const suites = 'import { describe, it } from "node:test";\nvoid [describe, it];';
  const played = (folder: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<Ran> =>
    run(folder, [process.execPath, "tools/conformance.mjs", ...args], env);
  const results = (folder: string, name: string): unknown =>
    JSON.parse(readFileSync(join(folder, "conformance/results", name), "utf8"));

  it("prints and writes how each section went, with the peers' versions", async () => {
    const folder = checkout({
      "tests/conformance/a.test.ts": `${suites}
        describe("as server", () => { it("10.2 two", () => {}); it("2.10 ten", () => {}); it("2.9 nine", () => {}); });
        describe("row 7, RFC 1: seven", () => { it("is whole", () => {}); it.todo("is more"); });`,
      "tests/interop/b.test.ts": `${suites}
        describe("Peer as client", () => { it("speaks", (t) => t.diagnostic("version of Peer: 1.2")); });`,
      "tests/other.test.ts": `${suites}\nit("is not of it", () => { throw new Error("no"); });`,
    });
    const { status, output } = await played(folder);
    assert.equal(status, 0, output);
    assert.match(output, /^2 pings and pongs +as server +2 +2 +0 +0$/m);
    assert.match(output, /^RFC row 7: 426, 100-continue +raw bytes +2 +1 +0 +1$/m);
    assert.match(output, /^interop +Peer as client +1 +1 +0 +0$/m);
    assert.match(output, /^all +6 +5 +0 +1$/m);
    const [pings, automatic] = results(folder, "sections.json") as [unknown, { readonly section: string }];
    assert.deepEqual(pings, {
      section: "2 pings and pongs",
      peer: "as server",
      passed: ["2.9 nine", "2.10 ten"],
      failed: [],
      todo: [],
    });
    assert.equal(automatic.section, "10 automatic fragmentation");
    assert.deepEqual((results(folder, "table.json") as { readonly peers: unknown }).peers, { Peer: "1.2" });
    // A second run says the same.
    const before = readFileSync(join(folder, "conformance/results/table.json"), "utf8");
    await played(folder);
    assert.equal(readFileSync(join(folder, "conformance/results/table.json"), "utf8"), before);
  });

  it("fails for a case that fails, and for a suite that cannot be begun, and writes nothing then", async () => {
    for (const bad of [
      'it("1.1 one", () => { throw new Error("as it should"); });',
      'throw new Error("as it should");',
    ]) {
      const folder = checkout({ "tests/conformance/a.test.ts": `${suites}\ndescribe("as client", () => { ${bad} });` });
      const { status, output } = await played(folder);
      assert.equal(status, 1, output);
      assert.match(output, /^failed: .*\n.*as it should/m);
      assert.ok(!existsSync(join(folder, "conformance/results")));
    }
  });

  it("checks that what passed before still does, and writes nothing", async () => {
    const file = "tests/conformance/a.test.ts";
    const one = 'describe("as client", () => it("1.1 one", () => {}));';
    const two = 'describe("as client", () => it("1.2 two", () => {}));';
    const folder = checkout({ [file]: `${suites}\n${one}` });
    assert.equal((await played(folder)).status, 0);
    assert.equal((await played(folder, ["--check"])).status, 0);
    write(folder, { [file]: `${suites}\n${one}\n${two}` });
    const more = await played(folder, ["--check"]);
    assert.equal(more.status, 0);
    assert.match(more.output, /^1 that pass are not in conformance\/results/m);
    write(folder, { [file]: `${suites}\n${two}` });
    const less = await played(folder, ["--check"]);
    assert.equal(less.status, 1);
    assert.match(less.output, /^passed before, and does not now: 1 framing, as client: 1\.1 one$/m);
  });

  it("names what is skipped and writes nothing then, and fails if everything is required", async () => {
    const folder = checkout({
      "tests/interop/a.test.ts": `${suites}\ndescribe("Peer as client", { skip: "needs it" }, () => {});\nit("a", () => {});`,
    });
    const { status, output } = await played(folder);
    assert.equal(status, 0, output);
    assert.match(output, /^skipped: Peer as client: needs it$/m);
    assert.ok(!existsSync(join(folder, "conformance/results")));
    assert.equal((await played(folder, [], { HOLDFAST_REQUIRE_ALL: "1" })).status, 1);
  });
});

describe("npm start", { skip: process.platform === "win32" && "signals are a matter of POSIX" }, () => {
  it("passes arguments and signals to the server, whose status is its own", async () => {
    const folder = checkout({
      "src/cli/main.ts": [
        'process.on("SIGTERM", () => clearInterval(alive));',
        "const alive: NodeJS.Timeout = setInterval(() => {}, 1000);",
        'process.on("exit", () => console.log(process.pid, "ends"));',
        'console.log(process.pid, "has", process.argv.slice(2).join(" "));',
      ].join("\n"),
    });
    let told = false;
    const { status, output } = await run(folder, ["npm", "start", "--", "--port", "0"], {}, (soFar, npm) => {
      if (!told && / has /.test(soFar)) told = npm.kill("SIGTERM");
    });
    const [, pid] = /(\d+) has serve --port 0\n/.exec(output) ?? [];
    assert.ok(output.includes(`${pid} ends`), output);
    assert.equal(status, 0, output);
  });
});
