/** Keeps a long-running command alive when its output fails: the disk is full, or the reader of the pipe has ended. */

/** Ignores errors of stdout and stderr. Without a listener Node ends the process on them, but the proxy or server must run on. */
export function ignoreOutputErrors(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
}
