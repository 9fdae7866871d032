/** The parts of a connection that most never need, in a place that is itself not there until one of them is asked for. */

import type { LastWord } from "./last-word.js";
import type { Outcome } from "./outcome.js";
import type { Pings } from "./pings.js";
import type { Waits } from "./waits.js";

export class Seldom {
  waits: Waits | undefined;
  pings: Pings | undefined;
  lastWord: LastWord | undefined;
  outcome: Outcome | undefined;
}
