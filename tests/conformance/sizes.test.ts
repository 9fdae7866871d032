/** Sections 9 and 10, as server and as client; all of their cases with HOLDFAST_CONFORMANCE=all. */

import { describe, it } from "node:test";
import { row } from "./row.js";
import { LARGEST, sizes } from "./sections/sizes.js";
import { CLIENT, SERVER } from "./stage.js";

const ROWS = sizes(process.env["HOLDFAST_CONFORMANCE"] === "all");

for (const stage of [SERVER, CLIENT]) {
  describe(`${stage.name}, with default options but for the limit of a message`, () => {
    for (const { id, what, steps } of ROWS) {
      it(`${id} ${what}`, { timeout: 240_000 }, ({ signal }) =>
        stage.play(row(id, what, steps()), { maxMessageSize: LARGEST }, signal),
      );
    }
  });
}
