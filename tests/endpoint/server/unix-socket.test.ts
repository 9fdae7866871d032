/** Tests of unix sockets: the path in the URL, and a file of that path that exists already. */

import assert from "node:assert/strict";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type Connection, connect, listen, TransportError } from "../../../src/index.ts";
import { ChildProgram } from "../../kit/child-process.ts";

const LIMIT = { timeout: 240_000 };

const echo = async (connection: Connection): Promise<void> => {
  for await (const message of connection) await connection.send(message);
};

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
  try {
    await use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function echoed(url: string | URL): Promise<unknown> {
  const framing = String(url).startsWith("t") ? ({ framing: "lines" } as const) : {};
  await using connection = await connect(url, framing);
  await connection.send("hello");
  return String(await connection.receive());
}

/** Leaves the file of a unix socket at `path`, as a server does that is killed. */
async function leaveFile(path: string): Promise<void> {
  const program = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => console.log("listening"))`;
  const server = new ChildProgram("-e", [program]);
  await server.until((stdout) => stdout.includes("listening"));
  server.process.kill("SIGKILL");
  await server.exit;
  assert.ok(lstatSync(path).isSocket());
}

async function refusal(url: string): Promise<TransportError> {
  const error = await listen(url, echo).then(
    () => assert.fail("it was to fail"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof TransportError, String(error));
  assert.equal(error.errno, "EADDRINUSE");
  assert.equal(error.syscall, "listen");
  return error;
}

const onUnix = { skip: process.platform === "win32" && "Windows has named pipes instead of the files of unix sockets" };

describe("a unix socket", { ...LIMIT, ...onUnix }, () => {
  for (const scheme of ["ws", "tcp"]) {
    it(`replaces the file of a server that was killed: ${scheme}`, async () => {
      await inFolder(async (folder) => {
        const path = join(folder, "app.sock");
        await leaveFile(path);
        const url = `${scheme}+unix://${path}`;
        await assert.rejects(connect(url), { phase: "tcp", message: /ECONNREFUSED/ });
        await using server = await listen(url, scheme === "tcp" ? { framing: "lines" } : {}, echo);
        assert.equal(await echoed(server.url), "hello");
        await server.close();
        assert.equal(existsSync(path), false);
      });
    });
  }

  it("refuses the path of a server that runs, which continues", async () => {
    await inFolder(async (folder) => {
      const url = `ws+unix://${join(folder, "app.sock")}`;
      await using server = await listen(url, echo);
      for (const other of [url, url.replace("ws", "tcp")]) {
        const { message } = await refusal(other);
        assert.equal(message, `Cannot listen: EADDRINUSE: a server is listening on ${join(folder, "app.sock")}`);
      }
      assert.equal(await echoed(server.url), "hello");
    });
  });

  it("refuses a path at which there is something else, and leaves it as it is", async () => {
    await inFolder(async (folder) => {
      const path = (name: string): string => join(folder, name);
      writeFileSync(path("file"), "precious");
      mkdirSync(path("folder"));
      await leaveFile(path("stale"));
      symlinkSync(path("stale"), path("link"));
      for (const name of ["file", "folder", "link"]) {
        const { message } = await refusal(`ws+unix://${path(name)}`);
        assert.equal(message, `Cannot listen: EADDRINUSE: ${path(name)} is a file that is not a socket`);
      }
      assert.equal(readFileSync(path("file"), "utf8"), "precious");
      assert.ok(lstatSync(path("stale")).isSocket());
    });
  });

  it("is bound by one of several servers that find the same file", async () => {
    await inFolder(async (folder) => {
      for (let round = 0; round < 30; round += 1) {
        const path = join(folder, `${round}.sock`);
        await leaveFile(path);
        const outcomes = await Promise.allSettled([1, 2, 3].map(() => listen(`ws+unix://${path}`, echo)));
        const servers = outcomes.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
        assert.equal(servers.length, 1, `round ${round}`);
        assert.equal(await echoed(`ws+unix://${path}`), "hello");
        for (const server of servers) await server.close();
      }
      assert.deepEqual(readdirSync(folder), []);
    });
  });

  it("has any name: in a URL object, percent-encoded, and in the URL of the server", async () => {
    await inFolder(async (folder) => {
      for (const name of ["my app.sock", "äpp.sock", "100%.sock", "a:b?c#d.sock", "%20.sock"]) {
        const path = join(folder, name);
        const encoded = encodeURI(folder) + encodeURIComponent(`/${name}`).replace("%2F", "/");
        await using server = await listen(`ws+unix://${encoded}:/live`, echo);
        assert.ok(lstatSync(path).isSocket());
        for (const url of [server.url, new URL(server.url), `ws+unix://${encoded}:/live`])
          assert.equal(await echoed(url), "hello");
        await server.close();
      }
    });
  });
});
