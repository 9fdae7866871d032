/** Sections 9 and 10, as server and as client. HOLDFAST_CONFORMANCE=cases or all plays every case. */

import { describe, it } from "node:test";
import { CLIENT, SERVER } from "./roles.ts";
import { row } from "./row.ts";
import { LARGEST, sizes } from "./sections/sizes.ts";

const ROWS = sizes(["cases", "all"].includes(process.env["HOLDFAST_CONFORMANCE"] ?? ""));

for (const stage of [SERVER, CLIENT]) {
  describe(`${stage.name}, with default options but for the limit of a message`, () => {
    for (const { id, what, steps } of ROWS) {
      it(`${id} ${what}`, { timeout: 240_000 }, ({ signal }) =>
        stage.play(row(id, what, steps()), { maxMessageSize: LARGEST }, signal),
      );
    }
  });
}
