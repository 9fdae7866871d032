/** Two machines in network namespaces of Linux, and a link between them that damages traffic: link.py forwards each packet. */

import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { found, PYTHON, wanting } from "../kit/foreign-programs.ts";
import { type Side, unable as unableNamespaces } from "./network.ts";

const run = promisify(execFile);

// Python is not compiled, so the file is in the source folder.
const PROGRAM = fileURLToPath(new URL("../../../tests/faults/link.py", import.meta.url));

/** Faults of the link; link.py describes each field. A field that is absent does not change. */
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

/** The number of packets that each fault has affected. */
export type PacketCounts = Readonly<
  Record<"passed" | "lost" | "duplicated" | "reordered" | "corrupted" | "tooLong" | "forgotten" | "rejected", number>
>;

/** Why no such link can be made here; false if it can. If everything is required, tests fail with this text. */
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
          // The namespace does not exist.
        }
      }
    };
    // A named namespace outlives its processes, also those of an interrupted run.
    process.once("exit", this.#remove);
    if (child.stdout !== null) {
      createInterface({ input: child.stdout }).on("line", (line) => this.#answers.shift()?.(JSON.parse(line)));
    }
  }

  /** `seed` determines which packets are affected. */
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

  /** The command prefix that runs a program on this machine. */
  on(side: Side): readonly [command: string, ...args: string[]] {
    return ["ip", "netns", "exec", this.#names[side]];
  }

  /** Sets /etc/hosts of this machine. Call it before a program starts there. Later changes apply to the next lookup. */
  hosts(side: Side, lines: readonly string[]): void {
    // ip netns exec mounts this folder over /etc as a bind mount of files, so the file is rewritten in place.
    const folder = `/etc/netns/${this.#names[side]}`;
    mkdirSync(folder, { recursive: true });
    writeFileSync(`${folder}/hosts`, `${lines.join("\n")}\n`);
  }

  /** Sets the faults of packets to one machine, or to both. Returns the counts so far. */
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

  /** Sets the device of the machine down: the machine has no route. */
  async down(side: Side): Promise<void> {
    await this.#ip(side, "link", "set", "cable", "down");
  }

  async up(side: Side): Promise<void> {
    await this.#ip(side, "link", "set", "cable", "up");
  }

  /** The kernel of the machine aborts all its TCP connections. */
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
