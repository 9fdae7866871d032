/** The page about the failures of topics, made of `hub/failure-matrix.ts`. */

import { TOPIC_FAILURES } from "./hub/failure-matrix.ts";

export function topicFailuresDocument(): string {
  const rows = TOPIC_FAILURES.map(({ what, members, reported, tests }) => [
    what,
    members,
    reported,
    tests.map(([file, test]) => `\`${file}\`: ${test}`).join("; "),
  ]);
  const head = ["what happens", "what members get", "what is reported, and to which side", "tests"];
  const table = [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
  return [
    "# When something fails under a topic",
    "",
    "This page is made of `tests/hub/failure-matrix.ts` by `npm run docs`; a test compares them, and checks that the named tests exist.",
    "It is about topics whose broker has a log. [Brokers of topics](brokers.md) has what each broker keeps, and after which failure.",
    "",
    "A gap is reported once, in its place among the messages. The tests of `broker/contract-*` run with every broker that can suffer the",
    "failure, on real servers of Redis and NATS. `faults/topics-soak` produces the failures at random, and compares all that was",
    "published, confirmed, stored and delivered; `HOLDFAST_TOPICS_SOAK=10` makes it last 10 minutes.",
    "",
    ...table,
    "",
  ].join("\n");
}
