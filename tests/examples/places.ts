/** Where the examples are run, as JavaScript: in the checkout and in the packed package on Node, and in the checkout on Bun and Deno. */

import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { ChildProgram, type Exit } from "../kit/child-process.ts";
import { BUN, DENO, found, type Program } from "../kit/foreign-programs.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const run = promisify(execFile);

export const NAMES: readonly string[] = readdirSync(join(ROOT, "examples"))
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.slice(0, -".ts".length));

/** A folder with examples in JavaScript. */
export interface Place extends AsyncDisposable {
  readonly folder: string;
  /** The command that runs them. Undefined for Node. */
  readonly runtime?: readonly string[];
}

const checkout = { folder: join(ROOT, "examples"), [Symbol.asyncDispose]: () => Promise.resolve() };

export function inCheckout(): Promise<Place> {
  return Promise.resolve(checkout);
}

/** The runtimes other than Node, each with the command that runs a program on it. */
export const RUNTIMES: readonly { readonly program: Program; readonly place: () => Promise<Place> }[] = [
  { program: BUN, place: () => Promise.resolve({ ...checkout, runtime: [found(BUN) ?? ""] }) },
  { program: DENO, place: () => Promise.resolve({ ...checkout, runtime: [found(DENO) ?? "", "run", "--allow-all"] }) },
];

/** Runs an example to its end. */
export function runExample({ folder, runtime }: Place, name: string): Promise<Exit> {
  return ChildProgram.run(join(folder, `${name}.js`), [], { stderr: "kept", ...(runtime && { runtime }) });
}

/** Packs the package and unpacks it as npm installs it: below the checkout, where Node finds express and ws. */
export async function inPackage(): Promise<Place> {
  mkdirSync(join(ROOT, ".cache"), { recursive: true });
  const home = mkdtempSync(join(ROOT, ".cache", "packed-"));
  const shell = process.platform === "win32";
  await run("npm", ["pack", "--ignore-scripts", "--pack-destination", home], { cwd: ROOT, shell });
  const [tarball = ""] = readdirSync(home);
  await run("tar", ["-xzf", tarball], { cwd: home });
  mkdirSync(join(home, "node_modules"));
  renameSync(join(home, "package"), join(home, "node_modules/holdfast"));
  return {
    folder: join(home, "node_modules/holdfast/examples"),
    [Symbol.asyncDispose]: async () => rmSync(home, { recursive: true }),
  };
}

/** An example that serves until a signal ends it. The first line that it prints has its address. */
export class ExampleServer extends ChildProgram {
  static async start(place: Place, name: string, env: NodeJS.ProcessEnv = {}): Promise<ExampleServer> {
    const server = new ExampleServer(join(place.folder, `${name}.js`), [], {
      env: { PORT: "0", ...env },
      stderr: "kept",
      ...(place.runtime && { runtime: place.runtime }),
    });
    server.url = await server.line();
    return server;
  }

  url = "";

  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** Resolves with the status and with what is on stderr, when a signal has ended the server. */
  async stop(): Promise<{ readonly status: number | null; readonly stderr: string }> {
    this.signal("SIGTERM");
    const { status, stderr } = await this.exit;
    return { status, stderr };
  }
}
