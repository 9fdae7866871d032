/** The common part of the peers in JavaScript: orders are lines of JSON on stdin, and reports are lines of JSON on stdout. */

import { createInterface } from "node:readline";
import type { Order, Tell } from "./orders.ts";

export const tell: Tell = (told) => void process.stdout.write(`${JSON.stringify(told)}\n`);

/** Carries out each order until stdin ends, and then ends the program. */
export async function obeying(version: string, obey: (order: Order) => unknown): Promise<never> {
  tell({ told: "ready", version });
  for await (const line of createInterface({ input: process.stdin })) await obey(JSON.parse(line) as Order);
  process.exit();
}
