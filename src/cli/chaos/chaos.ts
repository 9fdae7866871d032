/** `holdfast chaos`: runs a proxy that causes network faults between any two programs, until SIGTERM or SIGINT. */

import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type ChaosProxy, chaosProxy } from "../../testing/index.ts";
import { ignoreOutputErrors } from "../broken-pipe.ts";
import { type Command, command } from "../command.ts";
import { UsageError } from "../flags.ts";
import { cannotListen } from "../listen-error.ts";
import { chaosControl } from "./control.ts";
import { CHAOS_LINE, type ChaosFlags } from "./flags.ts";

export const chaosCommand: Command = command(CHAOS_LINE, (flags) => new ChaosCommand().run(flags));

class ChaosCommand {
  /** Starts the proxy; SIGTERM or SIGINT stops it. Resolves with undefined: the proxy keeps running. */
  async run(flags: ChaosFlags): Promise<undefined> {
    ignoreOutputErrors();
    const proxy = await startProxy(flags);
    const control = flags.control === undefined ? undefined : await startControl(proxy, flags.control);
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.once(signal, () => {
        control?.close();
        void proxy.close();
      });
    }
    const { address, seed } = proxy;
    const controlUrl = control && `http://127.0.0.1:${(control.address() as AddressInfo).port}`;
    process.stdout.write(
      flags.json
        ? `${JSON.stringify({ address, to: flags.to, seed, ...(controlUrl !== undefined && { control: controlUrl }) })}\n`
        : chaosBanner(proxy, flags, controlUrl),
    );
    return undefined;
  }
}

async function startProxy({ to, listen, seed, faults }: ChaosFlags): Promise<ChaosProxy> {
  try {
    return await chaosProxy({ to, listen, faults, ...(seed !== undefined && { seed }) });
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) throw new UsageError(error.message);
    throw cannotListen(listen, (error as NodeJS.ErrnoException).code);
  }
}

async function startControl(proxy: ChaosProxy, port: number): Promise<Server> {
  try {
    return await chaosControl(proxy, port);
  } catch (error) {
    await proxy.close();
    throw cannotListen(`127.0.0.1:${port}`, (error as NodeJS.ErrnoException).code);
  }
}

function chaosBanner({ address, seed }: ChaosProxy, { to, faults }: ChaosFlags, control: string | undefined): string {
  const active = Object.entries(faults).map(([name, value]) => `${name} ${String(value)}`);
  const lines = [
    `forwards ${address} to ${to}; stop it with Ctrl+C`,
    `  faults ${active.join(", ") || "none"}`,
    `  seed   ${seed}`,
    ...(control === undefined ? [] : [`  control ${control}`]),
  ];
  return `${lines.join("\n")}\n`;
}
