/** What a command does when its output fails: the disk is full, or the reader of the pipe has ended, as `head` does. */

/**
 * Ignores errors of stdout and stderr. Without a listener Node ends the process on them, with a stack trace. A proxy or server must run on,
 * and a command that prints once ends by itself, with its own status.
 */
export function ignoreOutputErrors(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
}
