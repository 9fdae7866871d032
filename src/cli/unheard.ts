/** What a command that goes on does when nobody takes its words: a full disk, or a pipe whose reader has gone. */

/** Lets this process go on where its output fails, which otherwise ends it: its work is elsewhere. */
export function speakUnheard(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
}
