/** Sections 9 and 10, as server and as client; every case of theirs with HOLDFAST_CONFORMANCE=cases or all. */

import { describe, it } from "node:test";
import { row } from "./row.js";
import { LARGEST, sizes } from "./sections/sizes.js";
import { CLIENT, SERVER } from "./stage.js";

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
