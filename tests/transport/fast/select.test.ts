/** Which transport is chosen: on a Node as it is, on one that has changed, and where the choice was made already. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { outputOf } from "../broken-node.ts";
import type { Choice } from "./select-program.ts";

const skip =
  process.platform === "linux" || process.platform === "darwin" ? false : "the fast transport is for Linux and macOS";

const choice = (broken: string, flags?: readonly string[], env?: Record<string, string>): Choice =>
  outputOf("fast/select-program", broken, flags, env);

const FAST = { transport: "FastTransport", shared: "SharedHandleTransport", tls: "SharedHandleTransport" };
const PUBLIC = { transport: "SocketTransport", shared: "SocketTransport", tls: "SocketTransport" };

describe("the transport of a TCP connection", { skip }, () => {
  it("is the fast transport, without a warning of Node, not even a pending deprecation", () => {
    const chosen = choice("nothing", ["--pending-deprecation", "--throw-deprecation"]);
    assert.deepEqual(chosen, { ...FAST, echoed: "hello", warnings: [] });
  });

  it("is the public one if HOLDFAST_TRANSPORT says so", () => {
    const chosen = choice("nothing", [], { HOLDFAST_TRANSPORT: "socket" });
    assert.deepEqual(chosen, { ...PUBLIC, echoed: "hello", warnings: [] });
  });

  for (const broken of [
    "no buffer is taken",
    "there is no call for a buffer",
    "read bytes are not counted",
    "a reset is an end",
    "sockets write in another way",
    "servers accept in another way",
  ]) {
    it(`is the public one, with one warning, on a Node on which ${broken}`, () => {
      // What breaks TCP may break TLS on it too, or not.
      const { warnings, tls: _, ...chosen } = choice(broken);
      assert.deepEqual(chosen, { transport: "SocketTransport", shared: "SocketTransport", echoed: "hello" });
      for (const { name } of warnings) assert.equal(name, "HoldfastWarning");
      assert.match(warnings[0]!.message, /^Holdfast's fast transport does not work on Node v\d+.*, and is not used: ./);
    });
  }

  // From Node 22 on, the property that the second one replaces cannot be redefined.
  const replaceable = Number.parseInt(process.versions.node, 10) < 22;
  for (const broken of ["TLS takes no buffer", ...(replaceable ? ["TLS reads in another way"] : [])]) {
    it(`is the public one for TLS only, with one warning, on a Node on which ${broken}`, () => {
      const { warnings, ...chosen } = choice(broken);
      assert.deepEqual(chosen, { ...FAST, tls: "SocketTransport", echoed: "hello" });
      assert.equal(warnings.length, 1);
      assert.match(warnings[0]!.message, /^Holdfast's fast transport on TLS does not work on Node v\d+/);
    });
  }

  it("is tested again, without a warning, if there was no loopback", () => {
    const chosen = choice("loopback is not to be had");
    assert.deepEqual(chosen, { ...FAST, echoed: "hello", warnings: [] });
  });
});
