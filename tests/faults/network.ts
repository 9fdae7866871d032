/** Two machines and a router between them, as network namespaces of Linux, where packets can be dropped. */

import { execFile, execFileSync } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

export type Side = "server" | "client";

/** Why namespaces cannot be made here; false if they can. If everything is required, tests fail with this text. */
export function unable(): false | string {
  const reason =
    process.platform === "linux"
      ? process.geteuid?.() === 0
        ? false
        : "network namespaces need root"
      : "only Linux has network namespaces";
  if (reason !== false && process.env["HOLDFAST_REQUIRE_ALL"] === "1") throw new Error(reason);
  return reason;
}

let built = 0;

export class Network implements AsyncDisposable {
  readonly #names: Readonly<Record<Side | "router", string>>;
  readonly #remove: () => void;

  private constructor(names: Readonly<Record<Side | "router", string>>) {
    this.#names = names;
    this.#remove = () => {
      for (const name of Object.values(names)) {
        try {
          execFileSync("ip", ["netns", "del", name], { stdio: "ignore" });
        } catch {
          // The namespace does not exist.
        }
      }
    };
    // A named namespace outlives its processes, also those of an interrupted run.
    process.once("exit", this.#remove);
  }

  static async build(): Promise<Network> {
    built += 1;
    const name = (part: string): string => `hf${process.pid}x${built}${part}`;
    const network = new Network({ server: name("s"), client: name("c"), router: name("r") });
    await network.#connect();
    return network;
  }

  async #connect(): Promise<void> {
    const { server, client, router } = this.#names;
    for (const name of [server, client, router]) await run("ip", ["netns", "add", name]);
    for (const [side, subnet] of [
      ["server", 1],
      ["client", 2],
    ] as const) {
      const name = this.#names[side];
      await run("ip", ["link", "add", "cable", "netns", name, "type", "veth", "peer", "name", side, "netns", router]);
      await this.#ip(router, "address", "add", `10.77.${subnet}.1/24`, "dev", side);
      await this.#ip(router, "link", "set", side, "up");
      await this.#ip(name, "address", "add", `10.77.${subnet}.2/24`, "dev", "cable");
      await this.#ip(name, "link", "set", "cable", "up");
      await this.#ip(name, "link", "set", "lo", "up");
      await this.#ip(name, "route", "add", "default", "via", `10.77.${subnet}.1`);
    }
    await run("ip", ["netns", "exec", router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
  }

  /** The address of a machine. */
  address(side: Side): string {
    return `10.77.${side === "server" ? 1 : 2}.2`;
  }

  /** The command prefix that runs a program on this machine. */
  on(side: Side): readonly [command: string, ...args: string[]] {
    return ["ip", "netns", "exec", this.#names[side]];
  }

  /** The router drops every packet to this machine, without an ICMP message. */
  async lose(...sides: readonly Side[]): Promise<void> {
    for (const side of sides) await this.#route("blackhole", side);
  }

  /** The router answers every packet to this machine: host unreachable. */
  async refuse(...sides: readonly Side[]): Promise<void> {
    for (const side of sides) await this.#route("unreachable", side);
  }

  /** The cable between this machine and the router is disconnected. */
  async pull(side: Side): Promise<void> {
    await this.#ip(this.#names.router, "link", "set", side, "down");
  }

  /** Restores the initial state. */
  async heal(): Promise<void> {
    const { router } = this.#names;
    for (const side of ["server", "client"] as const) {
      await this.#ip(router, "link", "set", side, "up");
      // The kernel does not resolve a neighbour again at once after a failure.
      await this.#ip(this.#names[side], "neighbour", "flush", "dev", "cable");
      await this.#ip(router, "neighbour", "flush", "dev", side);
      // The route may not exist.
      for (const kind of ["blackhole", "unreachable"]) {
        await this.#ip(router, "route", "del", kind, this.address(side)).catch(() => undefined);
      }
    }
  }

  async #route(kind: string, side: Side): Promise<void> {
    await this.#ip(this.#names.router, "route", "replace", kind, this.address(side));
  }

  async #ip(name: string, ...args: readonly string[]): Promise<void> {
    await run("ip", ["-n", name, ...args]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off("exit", this.#remove);
    this.#remove();
  }
}
