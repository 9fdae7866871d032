/** Removes the file of a unix socket whose server was killed, and says why another file is not removed. */

import { type BigIntStats, linkSync, lstatSync, renameSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { TransportError } from "../../base/errors.ts";

/**
 * Called after the system has refused to bind `path` with `refusal` (EADDRINUSE). Resolves when the file was left behind by a
 * server that no longer runs, and is removed. Otherwise rejects with a TransportError that says what is there.
 */
export async function removeStaleSocket(path: string, refusal: TransportError): Promise<void> {
  const found = fileAt(path);
  // Removed by its server since then.
  if (found === undefined) return;
  if (!found.isSocket()) throw inUse(refusal, `${path} is a file that is not a socket`);
  const answer = await connectOnce(path);
  if (answer === "ENOENT") return;
  if (answer === undefined || answer === "EAGAIN") throw inUse(refusal, `a server is listening on ${path}`);
  // Every other error, such as EACCES, does not show whether there is a server.
  if (answer !== "ECONNREFUSED") throw inUse(refusal, `${path} exists, and connecting to it fails with ${answer}`);
  let removed: boolean;
  try {
    removed = removeFile(path, found);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw inUse(refusal, `${path} was left by a server that has ended, and cannot be removed: ${code}`);
  }
  if (!removed) throw inUse(refusal, `another process has bound ${path}`);
}

let removals = 0;

/**
 * Removes `file`, and returns true. If another process has replaced it meanwhile, restores that one, and returns false. A rename is
 * atomic: it shows which file it has moved, while a look before `unlink` could be out of date. Synchronous, so that other calls of
 * this process come before or after it.
 */
function removeFile(path: string, file: BigIntStats): boolean {
  removals += 1;
  const aside = `${path}.${process.pid}.${removals}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    // Removed by another process, which binds the path now.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
  const moved = fileAt(aside);
  // The number of a removed file is used again at once, so the number alone does not identify it.
  const same = moved?.ino === file.ino && moved.dev === file.dev && moved.mtimeNs === file.mtimeNs;
  // Does not replace a file that was bound at `path` meanwhile.
  if (!same) linkSync(aside, path);
  unlinkSync(aside);
  return same;
}

/** Undefined if there is none. */
function fileAt(path: string): BigIntStats | undefined {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false });
}

function inUse(refusal: TransportError, detail: string): TransportError {
  return new TransportError({ errno: refusal.errno, syscall: "listen", detail }, { cause: refusal.cause });
}

/** Connects and disconnects. Resolves with the name of the error, undefined if a server has accepted. */
function connectOnce(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.once("error", ({ code = "" }: NodeJS.ErrnoException) => resolve(code));
  });
}
