/** The FIN of a TLS peer, while reading is paused, causes no busy loop on Bun and Deno. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";
import { connect } from "node:tls";
import { fileURLToPath } from "node:url";
import { RUNTIMES } from "../examples/places.ts";
import { ChildProgram } from "../kit/child-process.ts";
import { found, wanting } from "../kit/foreign-programs.ts";

const fixture = (name: string): string => fileURLToPath(new URL(`../../../tests/fixtures/${name}`, import.meta.url));
const PROGRAM = fileURLToPath(new URL("./paused-tls-program.js", import.meta.url));
const CERTIFICATE = [fixture("localhost.key.pem"), fixture("localhost.cert.pem")];

for (const { program, place } of RUNTIMES) {
  describe(`a paused TLS connection on ${program.name}`, {
    skip: found(program) === undefined && wanting(program),
  }, () => {
    for (const lines of [10, 100_000]) {
      it(`whose peer sends ${lines} lines and its FIN`, async () => {
        const { runtime = [] } = await place();
        await using server = new ChildProgram(PROGRAM, CERTIFICATE, { runtime });
        const port = Number(new URL(await server.line()).port);
        const peer = connect({ port, host: "127.0.0.1", rejectUnauthorized: false }).on("error", () => undefined);
        await once(peer, "secureConnect");
        peer.write("x\n".repeat(lines));
        await server.line();
        await server.line();
        peer.end();
        const shares: number[] = [];
        while (shares.length < 4) shares.push(Number(await server.line()));
        assert.ok(Math.min(...shares) < 0.5, `used ${shares.join(", ")} of a processor`);
        peer.destroy();
      });
    }
  });
}
