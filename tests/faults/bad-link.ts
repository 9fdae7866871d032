/** Two machines and a link between them on which packets suffer, as namespaces of Linux: link.py carries each packet by hand. */

import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { found, PYTHON, wanting } from "../programs.js";
import { type Side, unable as unableNamespaces } from "./network.js";

const run = promisify(execFile);

// Python is not compiled, so it lies with the sources.
const PROGRAM = fileURLToPath(new URL("../../../tests/faults/link.py", import.meta.url));

/** What befalls packets; link.py says what each of them means. Whatever is not named stays as it is. */
export interface PacketFaults {
  readonly delay?: number;
  readonly jitter?: number;
  readonly loss?: number;
  readonly duplicate?: number;
  readonly reorder?: number;
  readonly corrupt?: number;
  readonly rate?: number;
  readonly longest?: number;
  readonly forget?: number;
  readonly reject?: boolean;
}

const HEALED: Required<PacketFaults> = {
  ...{ delay: 0, jitter: 0, loss: 0, duplicate: 0, reorder: 0, corrupt: 0 },
  ...{ rate: 0, longest: 0, forget: 0, reject: false },
};

/** How many packets have met with what. */
export type PacketCounts = Readonly<
  Record<"passed" | "lost" | "duplicated" | "reordered" | "corrupted" | "tooLong" | "forgotten" | "rejected", number>
>;

/** Why there can be no such link here; false where there can. To be failed on where everything is required. */
export function unable(): false | string {
  const reason =
    unableNamespaces() ||
    (existsSync("/dev/net/tun") ? found(PYTHON) === undefined && wanting(PYTHON) : "there is no /dev/net/tun");
  if (reason !== false && process.env["HOLDFAST_REQUIRE_ALL"] === "1") throw new Error(reason);
  return reason;
}

let built = 0;

export class BadLink implements AsyncDisposable {
  readonly #names: Readonly<Record<Side, string>>;
  readonly #child: ChildProcess;
  readonly #answers: ((counts: PacketCounts) => void)[] = [];
  readonly #remove: () => void;

  private constructor(names: Readonly<Record<Side, string>>, child: ChildProcess) {
    this.#names = names;
    this.#child = child;
    this.#remove = () => {
      child.kill("SIGKILL");
      for (const name of Object.values(names)) {
        rmSync(`/etc/netns/${name}`, { recursive: true, force: true });
        try {
          execFileSync("ip", ["netns", "del", name], { stdio: "ignore" });
        } catch {
          // It was never made.
        }
      }
    };
    // A namespace with a name outlives its processes, also those of a run that was broken off.
    process.once("exit", this.#remove);
    if (child.stdout !== null) {
      createInterface({ input: child.stdout }).on("line", (line) => this.#answers.shift()?.(JSON.parse(line)));
    }
  }

  /** `seed` decides what befalls which packet. */
  static async build(seed: number): Promise<BadLink> {
    built += 1;
    const name = (part: string): string => `hf${process.pid}l${built}${part}`;
    const names = { server: name("s"), client: name("c") };
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const child = spawn(found(PYTHON) ?? "python3", ["-B", PROGRAM, names.server, names.client, `${seed}`], {
      env,
      stdio: ["pipe", "pipe", "inherit"],
    });
    const link = new BadLink(names, child);
    const devices = new Promise<PacketCounts>((resolve, reject) => {
      link.#answers.push(resolve);
      child.once("exit", (code, signal) => reject(new Error(`the link ended: ${signal ?? code}`)));
    });
    await devices;
    await link.#connect();
    return link;
  }

  async #connect(): Promise<void> {
    for (const side of ["server", "client"] as const) {
      const name = this.#names[side];
      await run("ip", ["netns", "add", name]);
      await run("ip", ["link", "set", name, "netns", name, "name", "cable"]);
      await this.#ip(side, "address", "add", `${this.address(side)}/24`, "dev", "cable");
      await this.#ip(side, "address", "add", `${this.address(side, 6)}/64`, "dev", "cable", "nodad");
      await this.#ip(side, "link", "set", "lo", "up");
      await this.#ip(side, "link", "set", "cable", "up");
    }
  }

  /** The address of a machine. */
  address(side: Side, family: 4 | 6 = 4): string {
    const number = side === "server" ? 1 : 2;
    return family === 4 ? `10.78.0.${number}` : `fd78::${number}`;
  }

  /** The name of a machine's namespace. */
  name(side: Side): string {
    return this.#names[side];
  }

  /** What to run a program with, so that it runs on this machine. */
  on(side: Side): readonly [command: string, ...args: string[]] {
    return ["ip", "netns", "exec", this.#names[side]];
  }

  /** What this machine takes for /etc/hosts: to be said before a program starts there, and from then on looked up anew each time. */
  hosts(side: Side, lines: readonly string[]): void {
    // ip netns exec lays what is in this folder over /etc: the file itself, so it is written in place.
    const folder = `/etc/netns/${this.#names[side]}`;
    mkdirSync(folder, { recursive: true });
    writeFileSync(`${folder}/hosts`, `${lines.join("\n")}\n`);
  }

  /** From now on this befalls the packets to one machine, or to both; what has been counted until now. */
  set(faults: PacketFaults, to?: Side): Promise<PacketCounts> {
    return new Promise((resolve) => {
      this.#answers.push(resolve);
      this.#child.stdin?.write(`${JSON.stringify({ set: faults, to })}\n`);
    });
  }

  counts(): Promise<PacketCounts> {
    return this.set({});
  }

  heal(): Promise<PacketCounts> {
    return this.set(HEALED);
  }

  /** The machine's device goes down: it has no way to anywhere. */
  async down(side: Side): Promise<void> {
    await this.#ip(side, "link", "set", "cable", "down");
  }

  async up(side: Side): Promise<void> {
    await this.#ip(side, "link", "set", "cable", "up");
  }

  /** The machine's kernel aborts every connection of TCP that stands. */
  async kill(side: Side): Promise<void> {
    const [command, ...args] = this.on(side);
    await run(command, [...args, "ss", "--kill", "--tcp", "--no-header", "state", "established"]);
  }

  async #ip(side: Side, ...args: readonly string[]): Promise<void> {
    await run("ip", ["-n", this.#names[side], ...args]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off("exit", this.#remove);
    this.#remove();
  }
}
