/** One kind of step of a run. */

import type { Client } from "./clients.ts";
import type { World } from "./world.ts";

export interface Step {
  readonly name: string;
  /** Other rules hold in a run with such a step. */
  readonly fault?: true;
  /** `a` and `b` are choices of which 0 is the plainest. */
  run(world: World, clients: readonly Client[], client: Client, a: number, b: number): void;
}
