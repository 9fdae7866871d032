/** A foreign peer as a process, with orders on stdin and reports on stdout. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Open } from "./foreign-peer.ts";
import type { Told } from "./speakers/orders.ts";

/** Runs `command`, which must end when its stdin does. */
export function program(
  command: string,
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Open {
  return async (tell, gone) => {
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const child = spawn(command, args, { env: { ...env, ...variables }, stdio: "pipe" });
    let complaint = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      complaint = (complaint + text).slice(-4_000);
    });
    const ended = once(child, "close");
    // The end of the process is reported instead.
    child.stdin.on("error", () => undefined);
    createInterface({ input: child.stdout }).on("line", (line) => tell(JSON.parse(line) as Told));
    child.on("close", (code, signal) => gone(new Error(`${command} ended: ${signal ?? code}\n${complaint}`)));
    await once(child, "spawn");
    return {
      order: (order) => void child.stdin.write(`${JSON.stringify(order)}\n`),
      end: async () => {
        child.stdin.end();
        // A peer without pending work has nothing left to do. Others would wait for this side.
        child.kill();
        await ended;
      },
    };
  };
}
