/** Node's permission model: a program that may not use the network gets errors, and its process does not end. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { ChildProgram } from "../kit/child-process.ts";

// Earlier versions of Node cannot forbid the network. The matrix runs this file on later ones.
const PERMISSION = process.allowedNodeEnvironmentFlags.has("--allow-net");

describe("without the permission to use the network", () => {
  it("connect and listen reject", async () => {
    if (!PERMISSION) return;
    const program = fileURLToPath(new URL("permission-program.js", import.meta.url));
    const node = ["--permission", "--allow-fs-read=*"];
    const { stdout, stderr, status } = await ChildProgram.run(program, [], { node, stderr: "kept" });
    const ends = ["HANDSHAKE tcp", "HANDSHAKE dns", "HANDSHAKE tcp", "TRANSPORT", "TRANSPORT", "TRANSPORT"];
    assert.deepEqual(
      stdout.trim().split("\n"),
      ends.map((end) => `${end} ERR_ACCESS_DENIED`),
    );
    assert.equal(status, 0);
    assert.doesNotMatch(stderr, /HOLDFAST/);
  });
});
