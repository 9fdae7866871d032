/** What must occur in at least 1 of 1,000 runs of topics: a campaign that does not reach it shows nothing about it. */

import { STEPS } from "./steps.ts";

export const WANTED: readonly string[] = [
  ...new Set(STEPS.map(({ name }) => `topics: ${name}`)),
  "topics: hole healed",
  "topics: gap trimmed",
  "topics: gap epoch",
  "topics: gap fork",
];
