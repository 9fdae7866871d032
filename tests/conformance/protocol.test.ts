/** Sections 1 to 7, and what the RFC demands beyond them: every rule of the wire, by default options, as server and as client. */

import { describe, it } from "node:test";
import { CLOSING } from "./sections/closing.js";
import { FRAGMENTATION } from "./sections/fragmentation.js";
import { FRAMING } from "./sections/framing.js";
import { OPCODES } from "./sections/opcodes.js";
import { PINGS } from "./sections/pings.js";
import { RESERVED_BITS } from "./sections/reserved-bits.js";
import { RFC_FRAMES } from "./sections/rfc-frames.js";
import { UTF8 } from "./sections/utf8.js";
import { CLIENT, HOOKED, SERVER } from "./stage.js";

const ROWS = [FRAMING, PINGS, RESERVED_BITS, OPCODES, FRAGMENTATION, UTF8, CLOSING, RFC_FRAMES].flat();

for (const stage of [SERVER, HOOKED, CLIENT]) {
  describe(stage.name, () => {
    for (const row of ROWS) {
      it(`${row.id} ${row.what}`, { timeout: 120_000 }, ({ signal }) => stage.play(row, {}, signal));
    }
  });
}
