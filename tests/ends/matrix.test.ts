/** The matrix of ends: every way to end, on every line, with every way to read, whatever is queued. */

import { after, before, describe, it } from "node:test";
import { openSockets, socketsDownTo } from "../kit/kernel-sockets.ts";
import { type Cell, cellsOf, LINES, WAYS, type WayName } from "./ends.ts";
import { playKilled, playPair, playRaw } from "./play.ts";

const WINDOWS = process.platform === "win32" && "Windows has no signals by which a process could be killed or stopped";

/** No cell has a limit of time: one that does not end fails here. */
const LIMIT = { timeout: 60_000 };
/** Cells that are played at once. More would hold each other up. */
const CONCURRENCY = 12;

const titleOf = ({ role, view, load }: Cell): string => `as ${role}, read with ${view}, ${load}`;

for (const line of LINES) {
  for (const way of Object.keys(WAYS) as WayName[]) {
    const cells = cellsOf(way, line);
    if (cells.length === 0) continue;
    const { name, peer } = WAYS[way];
    describe(`${line}: ${name}`, { ...LIMIT, concurrency: CONCURRENCY, skip: peer === "process" && WINDOWS }, () => {
      let sockets: number;
      before(() => {
        sockets = openSockets();
      });
      after(() => socketsDownTo(sockets), LIMIT);

      if (peer === "process") {
        for (const role of ["server", "client"] as const) {
          const group = cells.filter((cell) => cell.role === role);
          let checks: Promise<(() => Promise<void>)[]> | undefined;
          for (const [index, cell] of group.entries()) {
            it(titleOf(cell), LIMIT, async () => {
              checks ??= playKilled(group);
              await (await checks)[index]?.();
            });
          }
        }
      } else {
        const play = peer === "raw" ? playRaw : playPair;
        for (const cell of cells) it(titleOf(cell), LIMIT, () => play(cell));
      }
    });
  }
}
