/** The package as it is published: packed by npm, and installed from the tarball in projects that have nothing else. */

import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const ROOT: string = fileURLToPath(new URL("../../..", import.meta.url));

const shell = process.platform === "win32";

/** Runs a program. Rejects with what it printed if it fails. */
export async function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  // Npm hands on its own settings, and Node's test runner what makes a child report to it.
  const kept = Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_TEST_CONTEXT$)/i.test(name));
  try {
    const options = { cwd, env: Object.fromEntries(kept), maxBuffer: 2 ** 26, shell: shell && command === "npm" };
    return (await promisify(execFile)(command, args, options)).stdout;
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${command} ${args.join(" ")} failed in ${cwd}:\n${stdout}${stderr}`, { cause: error });
  }
}

/** A new folder outside of the checkout, so that no module of the checkout is found from it. It is deleted at exit. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-package-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Packs the checkout in `from` and returns the path of the tarball. Builds first, as npm does before it publishes. */
export async function pack(from: string = ROOT): Promise<string> {
  const folder = newFolder();
  await run("npm", ["pack", "--pack-destination", folder], from);
  return join(folder, "holdfast-0.1.0.tgz");
}

/** A new project with the packed package and these files. */
export async function project(tarball: string, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = newFolder();
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }\n');
  await run(
    "npm",
    ["install", "--offline", "--no-audit", "--no-fund", "--no-save", "--no-package-lock", tarball],
    folder,
  );
  addFiles(folder, files);
  return folder;
}

export function addFiles(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
}
