/** Sections 1 to 7, and further requirements of the RFC: every rule of the wire, with default options, as server and as client. */

import { describe, it } from "node:test";
import { CLIENT, HOOKED, SERVER } from "./roles.ts";
import { CLOSING } from "./sections/closing.ts";
import { FRAGMENTATION } from "./sections/fragmentation.ts";
import { FRAMING } from "./sections/framing.ts";
import { OPCODES } from "./sections/opcodes.ts";
import { PINGS } from "./sections/pings.ts";
import { RESERVED_BITS } from "./sections/reserved-bits.ts";
import { RFC_FRAMES } from "./sections/rfc-frames.ts";
import { UTF8 } from "./sections/utf8.ts";

const ROWS = [FRAMING, PINGS, RESERVED_BITS, OPCODES, FRAGMENTATION, UTF8, CLOSING, RFC_FRAMES].flat();

for (const stage of [SERVER, HOOKED, CLIENT]) {
  describe(stage.name, () => {
    for (const row of ROWS) {
      it(`${row.id} ${row.what}`, { timeout: 120_000 }, ({ signal }) => stage.play(row, {}, signal));
    }
  });
}
