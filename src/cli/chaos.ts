/** `holdfast chaos`: a proxy that makes the network's faults between any two programs, until a signal comes. */

import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type ChaosProxy, chaosProxy } from "../testing/index.js";
import { chaosControl } from "./chaos-control.js";
import { CHAOS_USAGE, type ChaosFlags, parseChaosFlags } from "./chaos-flags.js";
import { speakUnheard } from "./unheard.js";
import { UsageError } from "./usage.js";

export class ChaosCommand {
  /** Passes on until a signal comes. */
  async run(args: readonly string[]): Promise<number | undefined> {
    const flags = parseChaosFlags(args);
    if (flags === undefined) {
      process.stdout.write(CHAOS_USAGE);
      return 0;
    }
    speakUnheard();
    const proxy = await started(flags);
    const control = flags.control === undefined ? undefined : await controlled(proxy, flags.control);
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.once(signal, () => {
        control?.close();
        void proxy.close();
      });
    }
    const { address, seed } = proxy;
    const where =
      control === undefined ? {} : { control: `http://127.0.0.1:${(control.address() as AddressInfo).port}` };
    process.stdout.write(
      flags.json
        ? `${JSON.stringify({ address, to: flags.to, seed, ...where })}\n`
        : banner(proxy, flags, where.control),
    );
    return undefined;
  }
}

async function started({ to, listen, seed, faults }: ChaosFlags): Promise<ChaosProxy> {
  try {
    return await chaosProxy({ to, listen, faults, ...(seed !== undefined && { seed }) });
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) throw new UsageError(error.message);
    throw cannotListen(listen, error);
  }
}

async function controlled(proxy: ChaosProxy, port: number): Promise<Server> {
  try {
    return await chaosControl(proxy, port);
  } catch (error) {
    await proxy.close();
    throw cannotListen(`127.0.0.1:${port}`, error);
  }
}

const cannotListen = (place: string, error: unknown): Error =>
  new Error(`cannot listen on ${place}: ${(error as NodeJS.ErrnoException).code}`);

function banner({ address, seed }: ChaosProxy, { to, faults }: ChaosFlags, control: string | undefined): string {
  const made = Object.entries(faults).map(([name, value]) => `${name} ${String(value)}`);
  const lines = [
    `${address} leads to ${to}; stop it with Ctrl+C`,
    `  faults ${made.join(", ") || "none"}`,
    `  seed   ${seed}`,
    ...(control === undefined ? [] : [`  control ${control}`]),
  ];
  return `${lines.join("\n")}\n`;
}
