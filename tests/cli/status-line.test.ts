/** The line that is written again and again. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { StatusLine, type StatusStream } from "../../src/cli/status-line.ts";

/** A stream that keeps what is written. */
function kept(form: Pick<StatusStream, "isTTY" | "columns">): StatusStream & { text: string } {
  return {
    ...form,
    text: "",
    write(text: string): void {
      this.text += text;
    },
  };
}

const ERASE = "\r\u001b[K";

describe("a status line", () => {
  it("replaces its text, and is gone when it is cleared", () => {
    const stream = kept({ isTTY: true, columns: 20 });
    const line = new StatusLine(stream);
    line.show("one");
    line.show("two");
    line.clear();
    line.clear();
    assert.equal(stream.text, `${ERASE}one${ERASE}two${ERASE}`);
  });

  it("is never longer than the terminal is wide", () => {
    const stream = kept({ isTTY: true, columns: 5 });
    new StatusLine(stream).show("123456");
    assert.equal(stream.text, `${ERASE}1234`);
  });

  it("writes nothing where there is no terminal", () => {
    const stream = kept({ isTTY: false });
    const line = new StatusLine(stream);
    line.show("one");
    line.clear();
    assert.equal(stream.text, "");
  });
});
