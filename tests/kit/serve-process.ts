/** `holdfast serve` as a process. */

import { fileURLToPath } from "node:url";
import { ChildProgram } from "./child-process.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

export class ServeProcess extends ChildProgram {
  /** Runs `holdfast` with `args`; `node` are flags for Node. */
  constructor(args: readonly string[], node: readonly string[] = [], env: NodeJS.ProcessEnv = {}) {
    super(MAIN, args, { node, env, stderr: "kept" });
  }

  /** Serves on free ports with `flags`, and resolves when it does. */
  static async start(...flags: readonly string[]): Promise<ServeProcess> {
    const tcp = flags.includes("--no-tcp") ? [] : ["--tcp-port", "0"];
    const serving = new ServeProcess(["serve", "--port", "0", ...tcp, "--json", ...flags]);
    await serving.until((text) => text.includes("\n"));
    return serving;
  }

  /** The addresses of the line of JSON. */
  get addresses(): { readonly ws: string; readonly tcp?: string; readonly fingerprint?: string } {
    return JSON.parse(this.stdout.split("\n")[0] ?? "");
  }

  get http(): string {
    return this.addresses.ws.replace("ws", "http");
  }
}

/** The port in an address. */
export function portIn(url = ""): number {
  return Number(new URL(url).port);
}
