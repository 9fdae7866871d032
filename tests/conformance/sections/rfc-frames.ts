/** The rows of the RFC's table about frames that go beyond the testsuite. */

import { binary, close, continuation, type Frame, fragments, frame, ping, pong, text } from "../frame.ts";
import { CLEAN, closed, type End, failed, hear, type Row, row, say, sayPart } from "../row.ts";

/** One frame that is judged by its header. The announced payload never arrives. */
const judged = (id: string, what: string, given: Frame, code = 1002): Row => {
  return row(id, what, [sayPart(given, 0, 0)], failed(code));
};
const START = text("started", { fin: false });
const DONE = close(1000);
const KIB = 1024;
const large = fragments(binary, ...Array.from({ length: 17 }, () => Buffer.alloc(64 * KIB)));
const empty = Array.from({ length: 131_072 }, () => continuation("", { fin: false }));

const pings = (count: number): Frame[] => Array.from({ length: count }, (_, index) => ping(`${index}`));

const minimal = (length: number, form: 2 | 8): Row[] =>
  (["text", "binary"] as const).map((kind) => {
    const payload = Buffer.alloc(length, "a");
    const given = kind === "text" ? text(payload, { form }) : binary(payload, { form });
    return judged("row 16", `${length} bytes of ${kind}, their length in ${form} bytes`, given);
  });

const inside = (what: string, frames: Frame[], answer: Frame[], end: End): Row =>
  row("row 19", `${what} inside a fragmented message`, [say(START, ...frames), hear(...answer)], end);

export const RFC_FRAMES: readonly Row[] = [
  ...[0, 1, 125].flatMap((length) => minimal(length, 2)),
  ...[0, 125, 126, 65_535].flatMap((length) => minimal(length, 8)),
  judged("row 16", "a Ping, its length in 2 bytes", ping("ping", { form: 2 })),
  judged("row 16", "a Close, its length in 8 bytes", close(1000, "", { form: 8 })),
  row("row 16", "a fragment, its length in 2 bytes", [say(START, continuation("a", { form: 2 }))], failed(1002)),
  ...[text("a"), binary("a"), ping("a"), pong("a"), DONE, continuation("a")].map((given) =>
    judged("row 17", `opcode ${given.opcode}, masked as the other side's are`, { ...given, maskedWrongly: true }),
  ),
  ...[2n ** 63n, 2n ** 64n - 1n].map((announced) =>
    judged("row 18", `a length of ${announced}`, binary("", { announced, form: 8 })),
  ),
  ...[126, 65_536].flatMap((length) =>
    [8, 9, 10].map((opcode) =>
      judged("row 18", `opcode ${opcode} of ${length} bytes`, frame(opcode, Buffer.alloc(length))),
    ),
  ),
  judged("row 18", "a Close in fragments", close(1000, "", { fin: false })),
  inside("a Ping and a Pong", [ping("p"), pong("q"), continuation("")], [pong("p"), text("started")], CLEAN),
  inside("Close", [DONE], [DONE], closed(1000)),
  inside("a Ping that breaks a rule", [ping("p", { rsv: 2 })], [], failed(1002)),
  row("row 20", "a Ping behind Close is not answered", [say(DONE, ping("late")), hear(DONE)], closed(1000)),
  row("row 20", "each Ping is answered, and in order, while the answers are read", [
    say(...pings(200)),
    hear(...pings(200).map(({ payload }) => pong(payload))),
  ]),
  row("row 22", "whatever comes behind a broken rule", [say(frame(3), ping(), text("a"), DONE)], failed(1002)),
  row("row 22", "a text behind one that is not UTF-8", [say(text(Buffer.of(0xff)), text("a"))], failed(1007)),
  ...[2n ** 31n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 60n, 2n ** 62n, 2n ** 63n - 1n].map(
    (announced) => judged("row 25", `a length of ${announced}`, binary("", { announced }), 1009),
  ),
  row("row 25", "fragments that are too much together", [say(...large)], failed(1009)),
  row("row 25", "fragments that are too many", [{ do: "say", frames: [START, ...empty], cut: "whole" }], failed(1009)),
  row("row 26", "a character cut by a Ping", [
    say(text(Buffer.of(0xc3), { fin: false }), ping(), continuation(Buffer.of(0xa4))),
    hear(pong(), text("ä")),
  ]),
];
