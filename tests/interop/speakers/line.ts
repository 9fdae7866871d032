/** What the peers in JavaScript share: orders come as lines of JSON on stdin, and what they are told goes out so on stdout. */

import { createInterface } from "node:readline";
import type { Order, Tell } from "./orders.js";

export const tell: Tell = (told) => void process.stdout.write(`${JSON.stringify(told)}\n`);

/** Has each order obeyed, until stdin ends, and with it the program. */
export async function obeying(version: string, obey: (order: Order) => unknown): Promise<never> {
  tell({ told: "ready", version });
  for await (const line of createInterface({ input: process.stdin })) await obey(JSON.parse(line) as Order);
  process.exit();
}
