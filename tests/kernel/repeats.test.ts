/** The rows of the kernel's table, which it may repeat while the table changes. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { withoutRepeats } from "../../src/kernel/processes.ts";
import type { SocketRow } from "../../src/transport/socket/socket-table.ts";

const ROW: SocketRow = {
  ...{ state: "ESTABLISHED", localHost: "127.0.0.1", localPort: 80, remoteHost: "127.0.0.1", remotePort: 9 },
  ...{ sendQueue: 0, receiveQueue: 0, timer: "none", expiresIn: 0, retransmits: 0, probes: 0, inode: 1 },
};

describe("the rows of the kernel's table", () => {
  it("are counted once, as the kernel has shown them last", () => {
    const later = { ...ROW, state: "CLOSE_WAIT" } as const;
    assert.deepEqual(withoutRepeats([ROW, { ...ROW, remotePort: 10 }, later]), [later, { ...ROW, remotePort: 10 }]);
  });

  it("are different ones with the same addresses, if several sockets listen there", () => {
    const listening = { ...ROW, state: "LISTEN", remotePort: 0 } as const;
    const rows = [listening, { ...listening, inode: 2 }];
    assert.deepEqual(withoutRepeats(rows), rows);
  });
});
